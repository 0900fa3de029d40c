# SPDX-License-Identifier: Apache-2.0
"""What a route is asked and answers, and routes that have a bearer token of their own."""

from __future__ import annotations

import hmac
import logging
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

from railwatch.settings import ConfigError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

log = logging.getLogger(__name__)

_BEARER = "Bearer "


@dataclass(frozen=True, slots=True)
class Request:
    """What a route is asked: the query, and the header Authorization, empty without one."""

    query: Mapping[str, str]
    authorization: str = ""


@dataclass(frozen=True, slots=True)
class Response:
    """What a route answers."""

    body: bytes
    content_type: str = "text/plain; charset=utf-8"
    status: int = 200
    headers: tuple[tuple[str, str], ...] = ()


Route: TypeAlias = "Callable[[Request], Response]"


@dataclass(frozen=True, slots=True)
class GuardedRoute:
    """A route for those who show the bearer token; *token* answers with it, each time.

    What *token* raises as ConfigError is logged and answered with 503: without a token that can be
    read nobody is let in.
    """

    route: Route
    token: Callable[[], str]

    def __call__(self, request: Request) -> Response:
        """Answer *request* if it shows the token."""
        try:
            expected = f"{_BEARER}{self.token()}".encode()
        except ConfigError as exc:
            log.warning("%s", exc)
            return Response(b"the token cannot be read\n", status=503)
        # In the same time whatever is wrong with it.
        if not hmac.compare_digest(request.authorization.encode("utf-8", "replace"), expected):
            headers = (("WWW-Authenticate", "Bearer"),)
            return Response(b"not authorized\n", status=401, headers=headers)
        return self.route(request)


def guarded(route: Route, token: Callable[[], str]) -> Route:
    """Return *route* for those who show the bearer token that *token* answers with."""
    return GuardedRoute(route, token)


def has_own_guard(route: Route | None, authorization: str) -> bool:
    """Whether *route* itself judges an *authorization*: a header holds one, password or token."""
    return isinstance(route, GuardedRoute) and authorization.startswith(_BEARER)
