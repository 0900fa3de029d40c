"""An HTTP server on loopback that behaves as badly as a test wants."""

import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Self

Answer = Callable[[BaseHTTPRequestHandler], None]
Headers = tuple[tuple[str, str], ...]


def answer_with(body: bytes, status: int = 200, headers: Headers = ()) -> Answer:
    """Return a behaviour: a complete and immediate answer."""

    def answer(request: BaseHTTPRequestHandler) -> None:
        request.send_response(status)
        for name, value in headers:
            request.send_header(name, value)
        request.send_header("Content-Length", str(len(body)))
        request.end_headers()
        request.wfile.write(body)

    return answer


class Loopback:
    """Answers GET with `answer` on a free port while the context is open."""

    def __init__(self, answer: Answer) -> None:
        self.answer = answer
        self.closing = threading.Event()
        self.connections = 0
        self.paths: list[str] = []
        self.headers: list[dict[str, str]] = []
        self._server = _Server(("127.0.0.1", 0), self)
        self._thread = threading.Thread(target=self._serve, daemon=True)

    @property
    def address(self) -> str:
        """`host:port` of the server."""
        host, port = self._server.server_address[:2]
        return f"{host!s}:{port}"

    @property
    def url(self) -> str:
        """The server's URL without a path."""
        return f"http://{self.address}"

    def _serve(self) -> None:
        # Closing waits for the next poll.
        self._server.serve_forever(poll_interval=0.01)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *exception: object) -> None:
        self.closing.set()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


def wait_for_the_end(request: BaseHTTPRequestHandler) -> None:
    """Take the request and never answer."""
    loopback_of(request).closing.wait()


def loopback_of(request: BaseHTTPRequestHandler) -> Loopback:
    """Return the server that a behaviour answers for."""
    assert isinstance(request.server, _Server)
    return request.server.loopback


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False

    def __init__(self, address: tuple[str, int], loopback: Loopback) -> None:
        self.loopback = loopback
        super().__init__(address, _Handler)

    def handle_error(self, request: object, client_address: object) -> None:
        """Say nothing: that clients hang up on a bad server is what is tested."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: _Server

    def setup(self) -> None:
        self.server.loopback.connections += 1
        super().setup()

    def do_GET(self) -> None:
        self.server.loopback.paths.append(self.path)
        self.server.loopback.headers.append(dict(self.headers.items()))
        self.server.loopback.answer(self)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base class's name
        """Say nothing."""
