# SPDX-License-Identifier: Apache-2.0
"""The microscope by HTTP: `POST` begins a look, `GET` answers with what it has seen."""

from __future__ import annotations

import json
import math
from typing import TYPE_CHECKING, Any, Final

from railwatch.secret import read_secret
from railwatch.web import Request, Response, guarded
from railwatch_agent.microscope import BusyError, Microscope

if TYPE_CHECKING:
    from railwatch.web import Route

PATH: Final = "/api/v1/microscope"
_KEY: Final = "[microscope] token_file"
_DEFAULT_SECONDS: Final = 10.0


def microscope_routes(microscope: Microscope, token_file: str) -> dict[str, Route]:
    """Return the routes, for those who have the token in *token_file*.

    Raises
    ------
    ConfigError
        The token cannot be read.
    """
    read_secret(token_file, _KEY)

    def begin(request: Request) -> Response:
        try:
            rail = int(request.query.get("rail", ""))
            seconds = float(request.query.get("seconds", _DEFAULT_SECONDS))
            microscope.look(rail, seconds)
        except LookupError as exc:
            return _answer({"error": str(exc.args[0])}, 404)
        except BusyError as exc:
            wait = (("Retry-After", str(math.ceil(exc.wait_seconds))),)
            return _answer({"error": str(exc)}, 429, wait)
        except ValueError as exc:
            return _answer({"error": str(exc)}, 400)
        return _answer({"rail": str(rail), "seconds": seconds}, 202)

    def seen(_: Request) -> Response:
        found = microscope.seen()
        return _answer({"error": "no look so far"}, 404) if found is None else _answer(found)

    def token() -> str:
        return read_secret(token_file, _KEY)

    return {f"POST {PATH}": guarded(begin, token), PATH: guarded(seen, token)}


def _answer(
    content: dict[str, Any], status: int = 200, headers: tuple[tuple[str, str], ...] = ()
) -> Response:
    body = json.dumps(content, allow_nan=False).encode() + b"\n"
    return Response(body, "application/json", status, headers)
