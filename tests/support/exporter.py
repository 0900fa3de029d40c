"""A synthetic exporter: a scrape target whose text, or whose failure, a test decides."""

import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Self


class Exporter:
    """Answers every GET with `text` on a free loopback port while the context is open."""

    def __init__(self, text: str = "", host: str = "127.0.0.1") -> None:
        self._lock = threading.Lock()
        self._text = text
        self._failures_left = 0
        self._scrapes = 0
        self._server = _Server((host, 0), self)
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)

    @property
    def address(self) -> str:
        """`host:port` of the exporter."""
        host, port = self._server.server_address[:2]
        return f"{host!s}:{port}"

    @property
    def scrapes(self) -> int:
        """How many requests have been answered, failures included."""
        with self._lock:
            return self._scrapes

    @property
    def failures_left(self) -> int:
        """How many of the announced failures have not happened yet."""
        with self._lock:
            return self._failures_left

    def set_text(self, text: str) -> None:
        """Answer with `text` from the next request on."""
        with self._lock:
            self._text = text

    def fail_next(self, requests: int) -> None:
        """Answer the next `requests` requests with an error, as a scrape that is missed."""
        with self._lock:
            self._failures_left = requests

    def answer(self) -> tuple[int, bytes]:
        """Return status and body for one request."""
        with self._lock:
            self._scrapes += 1
            if self._failures_left > 0:
                self._failures_left -= 1
                return 503, b""
            return 200, self._text.encode()

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *exception: object) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self, address: tuple[str, int], exporter: Exporter) -> None:
        self.exporter = exporter
        super().__init__(address, _Handler)


class _Handler(BaseHTTPRequestHandler):
    server: _Server

    def do_GET(self) -> None:
        status, body = self.server.exporter.answer()
        self.send_response(status)
        self.send_header("Content-Type", "text/plain; version=0.0.4")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base class's name
        """Say nothing: a request a second is not news."""
