# SPDX-License-Identifier: Apache-2.0
"""A small HTTP server for metrics: bounded connections, bounded patience, no bodies of requests."""

from __future__ import annotations

import hmac
import ipaddress
import logging
import socket
import threading
import urllib.parse
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any, TypeAlias

from railwatch.settings import ConfigError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

log = logging.getLogger(__name__)

# A scraper keeps one connection; this many leave room for people and for a few Prometheis.
MOST_CONNECTIONS = 64
# How long a connection may say nothing.
IDLE_SECONDS = 30.0


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


def guarded(route: Route, token: Callable[[], str]) -> Route:
    """Return *route* for those who show the bearer token; *token* answers with it, each time.

    What *token* raises as ConfigError is logged and answered with 503: without a token that can be
    read nobody is let in.
    """

    def answer(request: Request) -> Response:
        try:
            expected = f"Bearer {token()}".encode()
        except ConfigError as exc:
            log.warning("%s", exc)
            return Response(b"the token cannot be read\n", status=503)
        # In the same time whatever is wrong with it.
        if not hmac.compare_digest(request.authorization.encode("utf-8", "replace"), expected):
            headers = (("WWW-Authenticate", "Bearer"),)
            return Response(b"not authorized\n", status=401, headers=headers)
        return route(request)

    return answer


def parse_listen(listen: str) -> tuple[str, int]:
    """Return host and port of `HOST:PORT` or `[IPV6]:PORT`.

    Raises
    ------
    ConfigError
        If it is neither.

    >>> parse_listen("[::1]:9810")
    ('::1', 9810)
    """
    host, colon, port = listen.rpartition(":")
    if not colon or not port.isdecimal() or int(port) > 65535:
        raise ConfigError(f"listen: expected HOST:PORT, got {listen!r}")
    if host.startswith("[") and host.endswith("]"):
        return host[1:-1], int(port)
    if ":" in host:
        raise ConfigError(f"listen: an IPv6 address needs brackets, got {listen!r}")
    return host, int(port)


def is_loopback(host: str) -> bool:
    """Whether only this machine can reach a server that listens on *host*."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def refuse_public(listen: str, *, insecure: bool) -> None:
    """Refuse an address that other machines reach, unless that is meant.

    Raises
    ------
    ConfigError
        If *listen* is such an address, or none at all.
    """
    host, _ = parse_listen(listen)
    if not insecure and not is_loopback(host):
        raise ConfigError(
            f"listen: {listen!r} is reachable from other machines without TLS and "
            "authentication; set insecure = true to allow that"
        )


class Server:
    """Serves *routes* on *listen* from a thread of its own.

    A key is a path, which is got, or `POST ` and a path.

    Raises
    ------
    ConfigError
        If the address cannot be bound; one line with the key and the reason.
    """

    def __init__(self, listen: str, routes: Mapping[str, Route]) -> None:
        host, port = parse_listen(listen)
        try:
            self._server = _BoundedServer(host, port, dict(routes))
        except OSError as exc:
            raise ConfigError(
                f"[server] listen: cannot listen on {listen!r}: {exc.strerror}"
            ) from exc
        self._thread = threading.Thread(target=self._serve, name="web", daemon=True)

    @property
    def port(self) -> int:
        """The port it listens on; useful after asking for port 0."""
        return int(self._server.server_address[1])

    def start(self) -> None:
        """Begin to answer."""
        self._thread.start()

    def close(self) -> None:
        """Stop listening; connections that are open end with the process."""
        if self._thread.is_alive():
            self._server.shutdown()
        self._server.server_close()

    def _serve(self) -> None:
        # How long `close` may wait, and how often an idle program wakes up for it.
        self._server.serve_forever(poll_interval=0.5)


class _BoundedServer(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False
    request_queue_size = 128
    allow_reuse_address = True

    def __init__(self, host: str, port: int, routes: dict[str, Route]) -> None:
        self.routes = routes
        self._slots = threading.BoundedSemaphore(MOST_CONNECTIONS)
        self.address_family = socket.AF_INET6 if ":" in host else socket.AF_INET
        super().__init__((host, port), _Handler)

    def process_request(self, request: Any, client_address: Any) -> None:
        if not self._slots.acquire(blocking=False):
            log.debug("connection refused: %d are open", MOST_CONNECTIONS)
            self.shutdown_request(request)
            return
        try:
            super().process_request(request, client_address)
        except BaseException:
            # No thread could be started, so that none will release the slot.
            self._slots.release()
            raise

    def process_request_thread(self, request: Any, client_address: Any) -> None:
        try:
            super().process_request_thread(request, client_address)
        finally:
            self._slots.release()

    def handle_error(self, request: Any, client_address: Any) -> None:  # noqa: ARG002
        # A client that goes away is its own business; a fault of ours is answered with 500.
        log.debug("connection from %s ended early", client_address)


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server_version = "railwatch"
    sys_version = ""
    timeout = IDLE_SECONDS
    server: _BoundedServer
    # One segment an answer: with Nagle's algorithm the body would wait for the header's ACK.
    disable_nagle_algorithm = True
    wbufsize = -1

    def do_GET(self) -> None:
        self._answer(self._response())

    def do_HEAD(self) -> None:
        self._answer(self._response(), body=False)

    def do_POST(self) -> None:
        if self.headers.get("Transfer-Encoding") or self.headers.get("Content-Length", "0") != "0":
            # A body that is not read would be taken for the next request.
            self.close_connection = True
            self._answer(Response(b"a request has no body here\n", status=413))
            return
        self._answer(self._response("POST "))

    def _response(self, method: str = "") -> Response:
        url = urllib.parse.urlsplit(self.path)
        route = self.server.routes.get(method + url.path)
        if route is None:
            is_known = {url.path, f"POST {url.path}"} & self.server.routes.keys()
            return Response(b"no such route\n", status=405 if is_known else 404)
        query = dict(urllib.parse.parse_qsl(url.query))
        try:
            return route(Request(query, self.headers.get("Authorization", "")))
        except Exception:
            # The last line before a client would see a closed connection: say 500, tell the log.
            log.exception("cannot answer path=%s", url.path)
            return Response(b"internal error\n", status=500)

    def _answer(self, response: Response, *, body: bool = True) -> None:
        self.send_response(response.status)
        self.send_header("Content-Type", response.content_type)
        self.send_header("Content-Length", str(len(response.body)))
        for name, value in response.headers:
            self.send_header(name, value)
        if self.close_connection:
            self.send_header("Connection", "close")
        self.end_headers()
        if body:
            self.wfile.write(response.body)

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002
        log.debug(format, *args)
