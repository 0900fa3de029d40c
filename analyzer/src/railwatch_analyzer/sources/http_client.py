# SPDX-License-Identifier: Apache-2.0
"""GET and POST with bounds: so long in all, so many bytes, no redirect, no compression, no proxy.

httpx limits each read, not the whole, so that a server which drips would hold it for ever;
asyncio ends the whole exchange. Connections are kept between rounds.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, TypeVar

import httpx

if TYPE_CHECKING:
    import ssl
    from collections.abc import Coroutine, Mapping

    from railwatch.clock import Clock

Result = TypeVar("Result")

# Shorter than agents and Prometheus keep an idle connection, so that none is closed in use.
_KEEPALIVE_SECONDS = 20.0


class FetchError(Exception):
    """No usable answer; the message says why and leaves the address to the caller."""


@dataclass(frozen=True, slots=True)
class Access:
    """How servers are reached: secret *headers*, *tls* (None: the system's authorities).

    *server_name* is the one in their certificates, if it is not that in their address.
    """

    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    tls: ssl.SSLContext | None = None
    server_name: str | None = None


@dataclass(frozen=True, slots=True)
class Answer:
    """A complete response; `answered_at` is when its first byte was there, Unix seconds."""

    status: int
    body: bytes
    answered_at: float


class HttpClient:
    """Connections and the event loop that they live on; used by one thread at a time."""

    def __init__(self, access: Access, clock: Clock, *, most_bytes: int) -> None:
        # `identity`: a compressed answer could be small on the wire and huge in memory.
        self._headers = {**access.headers, "Accept-Encoding": "identity"}
        self._tls = access.tls or httpx.create_ssl_context(trust_env=False)
        self._extensions = {"sni_hostname": access.server_name} if access.server_name else {}
        self._clock = clock
        self._most_bytes = most_bytes
        self._runner = asyncio.Runner()
        self._servers: dict[str, httpx.AsyncClient] = {}

    def run(self, work: Coroutine[None, None, Result]) -> Result:
        """Run *work* to its end; what it fetches at once, it fetches concurrently."""
        return self._runner.run(work)

    async def get(
        self, url: str, *, within_seconds: float, parameters: Mapping[str, str] | None = None
    ) -> Answer:
        """Fetch *url* whole.

        Raises
        ------
        FetchError
            If there is no complete answer in time, or it is too large.
        """
        return await self._ask("GET", url, within_seconds, parameters)

    async def post(
        self, url: str, *, within_seconds: float, parameters: Mapping[str, str] | None = None
    ) -> Answer:
        """Ask *url* to do something; as `get`, and without a body."""
        return await self._ask("POST", url, within_seconds, parameters)

    async def _ask(
        self, method: str, url: str, within_seconds: float, parameters: Mapping[str, str] | None
    ) -> Answer:
        try:
            async with asyncio.timeout(within_seconds):
                return await self._exchange(method, url, parameters)
        except TimeoutError as exc:
            raise FetchError(f"no answer within {within_seconds:g} s") from exc
        except (httpx.HTTPError, httpx.InvalidURL, OSError) as exc:
            raise FetchError(_reason(exc)) from exc

    async def _exchange(
        self, method: str, url: str, parameters: Mapping[str, str] | None
    ) -> Answer:
        client = self._server(httpx.URL(url))
        async with client.stream(
            method, url, params=parameters, extensions=self._extensions
        ) as response:
            answered_at = self._clock.wall()
            body = bytearray()
            async for chunk in response.aiter_raw():
                body += chunk
                if len(body) > self._most_bytes:
                    raise FetchError(f"the answer is larger than {self._most_bytes} bytes")
        return Answer(response.status_code, bytes(body), answered_at)

    def _server(self, url: httpx.URL) -> httpx.AsyncClient:
        """Return the client for the server of *url*.

        One each, because a pool of httpx looks at all its connections for every request: 200
        agents in one pool cost a second and more of CPU a round.
        """
        server = f"{url.scheme}://{url.netloc.decode()}"
        client = self._servers.get(server)
        if client is None:
            client = self._servers[server] = httpx.AsyncClient(
                headers=self._headers,
                verify=self._tls,
                timeout=None,  # noqa: S113 - `get` limits the whole exchange
                limits=httpx.Limits(keepalive_expiry=_KEEPALIVE_SECONDS),
                trust_env=False,
            )
        return client

    def close(self) -> None:
        """Close the connections and end the event loop."""
        for client in self._servers.values():
            self._runner.run(client.aclose())
        self._runner.close()


def _reason(exc: Exception) -> str:
    return " ".join(str(exc).split()) or type(exc).__name__
