"""A real agent under a flood of connections and of wrong passwords: its sampler goes on."""

import base64
import contextlib
import http.client
import resource
import selectors
import socket
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import bcrypt
import pytest

from agent.program import Program
from agent.trees import Nic, RdmaPort, Tree
from support.conditions import wait_until
from support.fetch import fetch_directly

_PATIENCE_SECONDS = 30.0
_SLOW, _SCRAPES, _WRONG = 200, 1000, 100
# The flood, its victim and whatever else runs share two cores; without a flood it is 1.
_LEAST_PACE = 0.2
_SAMPLES = "railwatch_agent_fast_samples_total"
_INTERVAL_SECONDS = 0.02
# Answering takes the agent over its budget, and it would sample less often on purpose.
_NO_BUDGET = "[sampler]\ncpu_budget_ratio = 1.0\n"


@pytest.fixture(autouse=True)
def _room_for_sockets() -> Iterator[None]:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, 4096), hard))
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


@pytest.fixture
def tree(tmp_path: Path) -> Tree:
    tree = Tree(tmp_path / "node")
    tree.add(Nic("rail0", pci="0000:3b:00.0", rdma="mlx5_0", port=RdmaPort()))
    return tree


def _request(authorization: str = "") -> bytes:
    return f"GET /metrics HTTP/1.1\r\nHost: x\r\nAuthorization: {authorization}\r\n\r\n".encode()


def _open(address: str, stack: contextlib.ExitStack) -> socket.socket:
    host, port = address.split(":")
    client = socket.create_connection((host, int(port)), _PATIENCE_SECONDS)
    stack.callback(client.close)
    return client


def _answers(address: str, requests: list[bytes]) -> list[bytes]:
    """Send all *requests* at once, each on its own connection; return how the answers begin."""
    answers = []
    with contextlib.ExitStack() as stack, selectors.DefaultSelector() as selector:
        for request in requests:
            client = _open(address, stack)
            with contextlib.suppress(ConnectionError):
                client.sendall(request)
            selector.register(client, selectors.EVENT_READ)
        deadline = time.monotonic() + _PATIENCE_SECONDS
        while selector.get_map() and time.monotonic() < deadline:
            for key, _ in selector.select(timeout=1.0):
                assert isinstance(key.fileobj, socket.socket)
                answers.append(_begin_of(key.fileobj))
                selector.unregister(key.fileobj)
    return answers


def _begin_of(client: socket.socket) -> bytes:
    """Return the first bytes of an answer, none from a connection that was refused."""
    with contextlib.suppress(ConnectionError):
        return client.recv(12)
    return b""


def _sampled(agent: Program) -> tuple[float, float]:
    """Return when, and how many fast samples there were; asks until there is room for that."""

    def sampled() -> tuple[float, float] | None:
        with contextlib.suppress(OSError, http.client.HTTPException):
            samples = agent.value(_SAMPLES)
            return None if samples is None else (time.monotonic(), samples)
        return None

    found = wait_until(sampled, _PATIENCE_SECONDS, "an answer")
    assert found is not None
    return found


def _pace(before: tuple[float, float], after: tuple[float, float]) -> float:
    """Return how many samples there were of those that were due."""
    return (after[1] - before[1]) * _INTERVAL_SECONDS / (after[0] - before[0])


def test_slow_connections_and_a_thousand_scrapes_do_not_stop_the_sampler(
    tmp_path: Path, tree: Tree
) -> None:
    with Program(tmp_path, tree, toml=_NO_BUDGET) as agent, contextlib.ExitStack() as stack:
        before = _sampled(agent)
        for _ in range(_SLOW):
            _open(agent.address, stack).sendall(b"GET /metrics HTTP/1.1\r\nX: ")
        # Slow ones make room after a grace, and not before.
        _sampled(agent)
        answers = _answers(agent.address, [_request()] * _SCRAPES)
        after = _sampled(agent)

        assert b"HTTP/1.1 200" in answers
        assert _pace(before, after) > _LEAST_PACE


def test_wrong_passwords_do_not_stop_the_sampler(tmp_path: Path, tree: Tree) -> None:
    config = tmp_path / "web.yml"
    hashed = bcrypt.hashpw(b"right", bcrypt.gensalt(8)).decode()
    config.write_text(f"basic_auth_users:\n  alice: {hashed}\n")
    given = ["Basic " + base64.b64encode(f"alice:{n}".encode()).decode() for n in range(_WRONG)]
    right = "Basic " + base64.b64encode(b"alice:right").decode()
    toml = f'{_NO_BUDGET}[server]\nweb_config_file = "{config}"\n'

    def fetch(url: str) -> bytes:
        return fetch_directly(urllib.request.Request(url, headers={"Authorization": right}))

    with Program(tmp_path, tree, toml=toml, fetch=fetch) as agent:
        before = _sampled(agent)
        answers = _answers(agent.address, [_request(each) for each in given])
        after = _sampled(agent)

        assert b"HTTP/1.1 401" in answers
        assert b"HTTP/1.1 200" not in answers
        assert _pace(before, after) > _LEAST_PACE
