# SPDX-License-Identifier: Apache-2.0
"""A small HTTP server for metrics: bounded connections, bounded patience, no bodies of requests."""

from __future__ import annotations

import contextlib
import io
import logging
import socket
import ssl
import threading
import time
import urllib.parse
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any

from railwatch.settings import ConfigError
from railwatch.web.access import Access
from railwatch.web.address import parse_listen
from railwatch.web.crowd import Crowd, Guest
from railwatch.web.route import Request, Response
from railwatch.web.tls import has_name
from railwatch.web.wire import Limits, TooLargeError, Wire

if TYPE_CHECKING:
    from collections.abc import Mapping

    from railwatch.web.route import Route

log = logging.getLogger(__name__)

_COMPLAIN_SECONDS = 60.0
_PAUSE_SECONDS = 0.1


class Server:
    """Serves *routes* on *listen* from a thread of its own, to those whom *access* admits.

    A key is a path, which is got, or `POST ` and a path.

    Raises
    ------
    ConfigError
        If the address cannot be bound; one line with the key and the reason.
    """

    def __init__(
        self,
        listen: str,
        routes: Mapping[str, Route],
        access: Access | None = None,
        *,
        limits: Limits | None = None,
    ) -> None:
        try:
            self._server = _BoundedServer(
                listen, routes, access=access or Access(), limits=limits or Limits()
            )
        except OSError as exc:
            raise ConfigError(
                f"[server] listen: cannot listen on {listen!r}: {exc.strerror}"
            ) from exc
        self._closing = threading.Event()
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
        self._closing.set()
        # Wakes up who waits for a connection.
        with contextlib.suppress(OSError):
            self._server.socket.shutdown(socket.SHUT_RDWR)
        if self._thread.is_alive():
            self._thread.join()
        self._server.server_close()

    def _serve(self) -> None:
        """Accept connections: without a poll, which would wake up an idle program."""
        while not self._closing.is_set():
            try:
                connection, address = self._server.get_request()
            except OSError as exc:
                log.debug("no connection: %s", exc)
                # Out of file descriptors, perhaps, of which some will be free again.
                self._closing.wait(_PAUSE_SECONDS)
                continue
            self._server.process_request(connection, address)


class _BoundedServer(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False
    request_queue_size = 128
    allow_reuse_address = True

    def __init__(
        self, listen: str, routes: Mapping[str, Route], *, access: Access, limits: Limits
    ) -> None:
        self.routes = routes
        self.access = access
        self.limits = limits
        self.crowd = Crowd(limits.connections)
        self._complained_at = -_COMPLAIN_SECONDS
        host, port = parse_listen(listen)
        self.address_family = socket.AF_INET6 if ":" in host else socket.AF_INET
        super().__init__((host, port), _Handler)

    def process_request(self, request: Any, client_address: Any) -> None:
        guest = self.crowd.admit(request)
        if guest is None:
            log.debug("connection refused: %d are open", self.limits.connections)
            self.shutdown_request(request)
            return
        arguments = (guest, client_address)
        try:
            threading.Thread(target=self._receive, args=arguments, daemon=True).start()
        except RuntimeError as exc:
            # No thread could be started, so that none will give up the room.
            log.debug("connection refused: %s", exc)
            self.crowd.leave(guest)
            self.shutdown_request(request)

    def _receive(self, guest: Guest, client_address: Any) -> None:
        """Answer one connection, in its own thread, until it ends."""
        try:
            self._secure(guest)
            _Handler(guest, client_address, self)
        except (ssl.SSLEOFError, ssl.SSLZeroReturnError) as exc:
            # Whoever only looks whether the port is open hangs up like this.
            log.debug("connection from %s ended early: %s", client_address, exc)
        except ssl.SSLError as exc:
            self._complain(client_address, exc)
        except Exception as exc:
            # A client that goes away is its own business; a fault of ours is answered with 500.
            log.debug("connection from %s ended early: %s", client_address, exc)
        finally:
            with contextlib.suppress(OSError):
                socket.socket.shutdown(guest.connection, socket.SHUT_WR)
            guest.connection.close()
            self.crowd.leave(guest)

    def _secure(self, guest: Guest) -> None:
        """Shake hands where there is TLS: here, and not where all connections are accepted."""
        policy = self.access.policy()
        if policy.context is None or policy.config.tls is None:
            return
        guest.connection.settimeout(self.limits.request_seconds)
        guest.connection = stream = policy.context.wrap_socket(
            guest.connection, server_side=True, do_handshake_on_connect=False
        )
        stream.do_handshake()
        allowed = policy.config.tls.client_allowed_sans
        if allowed and not has_name(stream.getpeercert(), allowed):
            raise ssl.SSLError("the client's certificate has none of client_allowed_sans")

    def _complain(self, client_address: Any, exc: ssl.SSLError) -> None:
        """Say that a handshake failed, seldom: whoever can connect can make them fail."""
        now = time.monotonic()
        is_due = now - self._complained_at >= _COMPLAIN_SECONDS
        # Only errors of OpenSSL itself have the attribute.
        reason = getattr(exc, "reason", None) or exc.args[-1]
        log.log(
            logging.WARNING if is_due else logging.DEBUG,
            "no TLS with %s: %s (said once in %g s)",
            client_address[0],
            reason,
            _COMPLAIN_SECONDS,
        )
        if is_due:
            self._complained_at = now


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server_version = "railwatch"
    sys_version = ""
    server: _BoundedServer

    def __init__(self, guest: Guest, client_address: Any, server: _BoundedServer) -> None:
        self._guest = guest
        super().__init__(guest.connection, client_address, server)

    def setup(self) -> None:
        self.connection = self._guest.connection
        # One segment an answer: with Nagle's algorithm the body would wait for the header's ACK.
        self.connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._wire = Wire(self.connection, self.server.limits)
        self._is_first = True
        self.rfile = io.BufferedReader(self._wire)
        self.wfile = io.BufferedWriter(self._wire)

    def handle_one_request(self) -> None:
        self.server.crowd.wait_for(self._guest)
        self._wire.expect_request(is_first=self._is_first)
        self._is_first = False
        try:
            super().handle_one_request()
        except TooLargeError:
            self.close_connection = True
            self.requestline, self.request_version = "", self.protocol_version
            self._send(Response(b"the request is too large\n", status=431))
            self.wfile.flush()

    def do_GET(self) -> None:
        self._answer()

    def do_HEAD(self) -> None:
        self._answer(body=False)

    def do_POST(self) -> None:
        self._answer("POST ")

    def _answer(self, method: str = "", *, body: bool = True) -> None:
        self._guest.waited_for_since = None
        if self.headers.get("Transfer-Encoding") or self.headers.get("Content-Length", "0") != "0":
            # A body that is not read would be taken for the next request.
            self.close_connection = True
            self._send(Response(b"a request has no body here\n", status=413))
            return
        self._send(self._response(method), body=body)

    def _response(self, method: str) -> Response:
        url = urllib.parse.urlsplit(self.path)
        route = self.server.routes.get(method + url.path)
        authorization = self.headers.get("Authorization", "")
        try:
            objection = self.server.access.objection(route, authorization)
            if objection is not None:
                return objection
            if route is None:
                is_known = {url.path, f"POST {url.path}"} & self.server.routes.keys()
                return Response(b"no such route\n", status=405 if is_known else 404)
            query = dict(urllib.parse.parse_qsl(url.query))
            return route(Request(query, authorization))
        except Exception:
            # The last line before a client would see a closed connection: say 500, tell the log.
            log.exception("cannot answer path=%s", url.path)
            return Response(b"internal error\n", status=500)

    def _send(self, response: Response, *, body: bool = True) -> None:
        self._wire.expect_taking()
        self.send_response(response.status)
        self.send_header("Content-Type", response.content_type)
        self.send_header("Content-Length", str(len(response.body)))
        for name, value in (*self.server.access.headers, *response.headers):
            self.send_header(name, value)
        if self.close_connection:
            self.send_header("Connection", "close")
        self.end_headers()
        if body:
            self.wfile.write(response.body)

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002
        log.debug(format, *args)
