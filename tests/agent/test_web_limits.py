"""What clients may take of a server: connections, bytes, time; over real sockets."""

import contextlib
import socket
import threading
import time
from collections.abc import Iterator

import pytest

from railwatch.web import Limits, Request, Response, Server
from support.conditions import wait_until

_PATIENCE_SECONDS = 30.0
# Short, so that waiting for them is; nothing below depends on how short.
_LIMITS = Limits(connections=4, request_seconds=0.4, idle_seconds=0.8, answer_seconds=0.4)
_REQUEST = b"GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n"
_BIG = b"x" * 50_000_000


class Busy:
    """A route that answers once it is let go."""

    def __init__(self) -> None:
        self.asked = threading.Semaphore(0)
        self.go_on = threading.Event()

    def __call__(self, _: Request) -> Response:
        """Wait."""
        self.asked.release()
        self.go_on.wait(_PATIENCE_SECONDS)
        return Response(b"done\n")


@pytest.fixture
def busy() -> Iterator[Busy]:
    busy = Busy()
    yield busy
    busy.go_on.set()


@pytest.fixture
def server(busy: Busy) -> Iterator[Server]:
    routes = {
        "/metrics": lambda _: Response(b"up 1\n"),
        "/big": lambda _: Response(_BIG),
        "/busy": busy,
    }
    running = Server("127.0.0.1:0", routes, limits=_LIMITS)
    running.start()
    yield running
    running.close()


def _connect(server: Server) -> socket.socket:
    return socket.create_connection(("127.0.0.1", server.port), _PATIENCE_SECONDS)


def _ask(server: Server, request: bytes = _REQUEST) -> bytes:
    """Return the first bytes of the answer, none if the connection is closed in place of one."""
    with _connect(server) as client, contextlib.suppress(ConnectionError):
        client.sendall(request)
        return client.recv(4096)
    return b""


def _ends(client: socket.socket) -> bool:
    with contextlib.suppress(ConnectionError):
        while client.recv(65536):
            pass
    return True


@pytest.mark.parametrize(
    "request_",
    [b"", b"GET /metr", b"GET /metrics HTTP/1.1\r\nHost:"],
    ids=["silent", "line", "header"],
)
def test_a_request_that_does_not_come_is_not_waited_for(server: Server, request_: bytes) -> None:
    with _connect(server) as client:
        client.sendall(request_)

        assert _ends(client)


def test_a_request_that_drips_is_not_waited_for(server: Server) -> None:
    """Each byte comes in time, all of them together do not."""
    with _connect(server) as client, contextlib.suppress(ConnectionError):
        client.sendall(b"GET /metrics HTTP/1.1\r\nX-Long: ")
        deadline = time.monotonic() + _PATIENCE_SECONDS
        while time.monotonic() < deadline:
            client.sendall(b"x")
            client.settimeout(_LIMITS.request_seconds / 8)
            with contextlib.suppress(TimeoutError):
                if client.recv(1) == b"":
                    return
        pytest.fail("the connection is still open")


def test_a_connection_that_asks_nothing_more_is_closed(server: Server) -> None:
    with _connect(server) as client:
        client.sendall(_REQUEST)

        assert _ends(client)


def test_an_answer_that_is_not_taken_is_given_up(server: Server) -> None:
    """The room is the last one, so that it shows when it is free again."""
    with contextlib.ExitStack() as stack:
        for _ in range(_LIMITS.connections):
            stack.enter_context(_connect(server)).sendall(b"GET /big HTTP/1.1\r\nHost: x\r\n\r\n")

        wait_until(lambda: _ask(server).startswith(b"HTTP/1.1 200"), _PATIENCE_SECONDS, "room")


@pytest.mark.parametrize(
    "head",
    [
        b"GET /" + b"a" * 20_000 + b" HTTP/1.1\r\n\r\n",
        b"GET / HTTP/1.1\r\nX: " + b"a" * 20_000 + b"\r\n\r\n",
        b"GET / HTTP/1.1\r\n" + b"X: a\r\n" * 4_000 + b"\r\n",
    ],
    ids=["line", "header", "headers"],
)
def test_a_request_that_is_too_large_is_refused(server: Server, head: bytes) -> None:
    # What was not read of it may reset the connection before the answer is read.
    assert _ask(server, head)[:12] in {b"HTTP/1.1 431", b""}
    assert _ask(server).startswith(b"HTTP/1.1 200")


def test_many_headers_are_refused_although_they_are_small(server: Server) -> None:
    head = b"GET / HTTP/1.1\r\n" + b"X: a\r\n" * 150 + b"\r\n"

    assert _ask(server, head).startswith(b"HTTP/1.1 431")


def test_a_body_is_refused_whatever_the_method(server: Server) -> None:
    """What follows must not be taken for another request."""
    smuggled = b"GET /metrics HTTP/1.1\r\nContent-Length: 34\r\n\r\n" + _REQUEST

    assert _ask(server, smuggled).startswith(b"HTTP/1.1 413")


def test_who_is_being_answered_keeps_the_place_and_nobody_else_gets_one(
    server: Server, busy: Busy
) -> None:
    with contextlib.ExitStack() as stack:
        clients = [stack.enter_context(_connect(server)) for _ in range(_LIMITS.connections)]
        for client in clients:
            client.sendall(b"GET /busy HTTP/1.1\r\nHost: x\r\n\r\n")
            assert busy.asked.acquire(timeout=_PATIENCE_SECONDS)

        assert _ask(server) == b""
        busy.go_on.set()
        assert [client.recv(12) for client in clients] == [b"HTTP/1.1 200"] * len(clients)


def test_silent_connections_keep_nobody_out() -> None:
    """They may be silent for an hour here, and make room when somebody comes."""
    patient = Limits(connections=8, request_seconds=3600.0, idle_seconds=3600.0)
    server = Server("127.0.0.1:0", {"/metrics": lambda _: Response(b"up 1\n")}, limits=patient)
    server.start()
    with contextlib.ExitStack() as stack:
        stack.callback(server.close)
        for number in range(200):
            client = stack.enter_context(_connect(server))
            if number % 2:
                client.sendall(b"GET /metrics HT")

        wait_until(lambda: _ask(server).startswith(b"HTTP/1.1 200"), _PATIENCE_SECONDS, "room")
