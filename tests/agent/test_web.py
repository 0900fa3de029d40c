"""The HTTP server: what it answers, and what it does not let clients do to it."""

import http.client
import socket
import threading
from collections.abc import Iterator

import pytest

from railwatch.settings import ConfigError
from railwatch.web import Limits, Request, Response, Server, is_loopback, parse_listen

_PATIENCE_SECONDS = 20.0


def _break(_: Request) -> Response:
    raise RuntimeError("broken")


@pytest.fixture
def server() -> Iterator[Server]:
    running = Server(
        "127.0.0.1:0",
        {
            "/metrics": lambda _: Response(b"up 1\n", "text/plain"),
            "/echo": lambda request: Response(repr(sorted(request.query.items())).encode()),
            "POST /post": lambda request: Response(
                repr(list(request.query.values())).encode(), status=202
            ),
            "/no": lambda _: Response(b"no\n", status=503),
            "/broken": _break,
        },
    )
    running.start()
    yield running
    running.close()


def _get(server: Server, path: str, method: str = "GET") -> tuple[int, bytes]:
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=_PATIENCE_SECONDS)
    connection.request(method, path)
    response = connection.getresponse()
    body = response.read()
    connection.close()
    return response.status, body


def test_a_route_is_answered(server: Server) -> None:
    assert _get(server, "/metrics") == (200, b"up 1\n")
    assert _get(server, "/no") == (503, b"no\n")


def test_a_query_reaches_its_route(server: Server) -> None:
    assert _get(server, "/echo?a=1&b=x%20y") == (200, b"[('a', '1'), ('b', 'x y')]")


def test_head_has_no_body(server: Server) -> None:
    assert _get(server, "/metrics", "HEAD") == (200, b"")


def test_what_is_no_route_is_not_found(server: Server) -> None:
    assert _get(server, "/etc/passwd")[0] == 404
    assert _get(server, "/../metrics")[0] == 404


def test_other_methods_are_refused(server: Server) -> None:
    assert _get(server, "/metrics", "DELETE")[0] == 501
    assert _get(server, "/metrics", "POST")[0] == 405
    assert _get(server, "/post")[0] == 405
    assert _get(server, "/nothing", "POST")[0] == 404


def test_a_post_reaches_its_route_and_has_no_body(server: Server) -> None:
    assert _get(server, "/post?a=1", "POST") == (202, b"['1']")
    with socket.create_connection(("127.0.0.1", server.port), timeout=_PATIENCE_SECONDS) as client:
        client.sendall(b"POST /post HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\n\r\nGET ")
        answer = b""
        while part := client.recv(4096):
            answer += part

    assert answer.startswith(b"HTTP/1.1 413 ")
    assert b"Connection: close" in answer


def test_a_fault_of_ours_is_a_500_and_logged(
    server: Server, caplog: pytest.LogCaptureFixture
) -> None:
    assert _get(server, "/broken")[0] == 500
    assert _get(server, "/metrics")[0] == 200
    assert "cannot answer path=/broken" in caplog.text


def test_a_connection_is_kept(server: Server) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=_PATIENCE_SECONDS)
    connection.connect()
    first = connection.sock
    for _ in range(3):
        connection.request("GET", "/metrics")
        assert connection.getresponse().read() == b"up 1\n"

    assert connection.sock is first
    connection.close()


def test_a_client_that_talks_nonsense_hurts_nobody(server: Server) -> None:
    with socket.create_connection(("127.0.0.1", server.port), _PATIENCE_SECONDS) as client:
        client.sendall(b"\x00\x01\x02\r\n\r\n")
        client.recv(100)

    assert _get(server, "/metrics")[0] == 200


def test_a_connection_whose_thread_cannot_be_started_gives_its_room_back(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(_: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    with monkeypatch.context() as patched:
        patched.setattr(threading.Thread, "start", refuse)
        for _ in range(Limits().connections + 1):
            with socket.create_connection(("127.0.0.1", server.port), _PATIENCE_SECONDS) as client:
                assert client.recv(1) == b""

    assert _get(server, "/metrics")[0] == 200


def test_a_port_in_use_is_said_in_one_line(server: Server) -> None:
    with pytest.raises(ConfigError, match=r"\[server\] listen: cannot listen on .* in use"):
        Server(f"127.0.0.1:{server.port}", {})


@pytest.mark.parametrize(
    ("listen", "expected"),
    [
        ("127.0.0.1:9810", ("127.0.0.1", 9810)),
        ("[::1]:9810", ("::1", 9810)),
        (":9810", ("", 9810)),
        ("node-1.example:0", ("node-1.example", 0)),
    ],
)
def test_an_address_is_host_and_port(listen: str, expected: tuple[str, int]) -> None:
    assert parse_listen(listen) == expected


@pytest.mark.parametrize("listen", ["", "9810", "host", "host:", "host:x", "host:65536", "::1:1"])
def test_what_is_no_address_is_refused(listen: str) -> None:
    with pytest.raises(ConfigError, match="listen: "):
        parse_listen(listen)


@pytest.mark.parametrize(
    ("host", "loopback"),
    [
        ("127.0.0.1", True),
        ("127.9.9.9", True),
        ("::1", True),
        ("localhost", True),
        ("0.0.0.0", False),
        ("::", False),
        ("", False),
        ("10.0.0.1", False),
        ("node", False),
    ],
)
def test_only_this_machine_reaches_a_loopback_address(host: str, *, loopback: bool) -> None:
    assert is_loopback(host) is loopback
