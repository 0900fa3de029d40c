"""LLDP between two real lldpds, and what the agent makes of it through the real library."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import tempfile
import threading
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Self

import pytest

from lab.namespaces import processes
from lab.node import Plugged
from railwatch_agent.sources.errors import SourceError
from railwatch_agent.sources.lldp import LldpReader
from railwatch_agent.sources.topology import Neighbor
from support.conditions import wait_until
from support.process import Process

if TYPE_CHECKING:
    from collections.abc import Iterator

_PATIENCE_SECONDS = 20.0
_LEAF = Neighbor("leaf1", "swp1")


class Lldp:
    """An lldpd in each namespace, each with a socket of its own; the leaf speaks each second."""

    def __init__(self, plugged: Plugged, directory: Path) -> None:
        directory.chmod(0o755)
        self.plugged = plugged
        self.node_socket = directory / "node.sock"
        self._leaf_socket = directory / "leaf.sock"
        self._daemons = [
            Process(
                [*plugged.prefix(namespace), "lldpd", "-d", "-u", str(path), "-O", "/dev/null"],
                log=path.with_suffix(".log"),
            )
            for namespace, path in (
                (plugged.node, self.node_socket),
                (plugged.leaf, self._leaf_socket),
            )
        ]
        self._open = ExitStack()

    def __enter__(self) -> Self:
        with ExitStack() as starting:
            for daemon in self._daemons:
                starting.enter_context(daemon)
            self._daemons[1].wait_until(self._speaks, _PATIENCE_SECONDS)
            self._daemons[0].wait_until(self.node_socket.exists, _PATIENCE_SECONDS)
            self._open = starting.pop_all()
        return self

    def __exit__(self, *exception: object) -> None:
        self._open.close()

    def _speaks(self) -> bool:
        """Whether the leaf could be told how: its time to live becomes 4 s with that."""
        orders = "configure system hostname leaf1\nconfigure lldp tx-interval 1\n"
        command = ["lldpcli", "-u", str(self._leaf_socket)]
        done = subprocess.run(command, input=orders, capture_output=True, text=True, check=True)
        return not done.stderr

    def heard(self) -> dict[str, Neighbor]:
        """Return what the node's lldpd has heard on its rail."""
        return LldpReader(self.node_socket).read({"rail0", "lo", "eth99"})

    def wait_until_heard(self, expected: dict[str, Neighbor]) -> None:
        """Wait until that is so."""
        wait_until(lambda: self.heard() == expected, _PATIENCE_SECONDS, f"to hear {expected}")


@pytest.fixture
def lldp() -> Iterator[Lldp]:
    # Not in pytest's folder: lldpd has to reach its socket after it has become an ordinary user.
    with (
        tempfile.TemporaryDirectory() as folder,
        Plugged() as plugged,
        Lldp(plugged, Path(folder)) as made,
    ):
        made.wait_until_heard({"rail0": _LEAF})
        yield made


def _signal_all(namespace: str, number: signal.Signals) -> None:
    for pid in processes(namespace):
        os.kill(pid, number)


def test_the_agent_exposes_what_lldpd_hears(lldp: Lldp, tmp_path: Path) -> None:
    toml = f'[[rails]]\ndevice = "rail0"\n[topology]\nlldp_socket = "{lldp.node_socket}"\n'
    with lldp.plugged.agent(tmp_path, toml=toml) as agent:
        labels = {"rail": "0", "device": "rail0", "switch": "leaf1", "switch_port": "swp1"}

        agent.wait_for_value(1, "railwatch_rail_neighbor_info", **labels)


def test_an_lldpd_that_hangs_costs_the_timeout_and_a_neighbour_that_is_silent_is_forgotten(
    lldp: Lldp,
) -> None:
    reader = LldpReader(lldp.node_socket, timeout_seconds=0.2)
    _signal_all(lldp.plugged.node, signal.SIGSTOP)
    try:
        with pytest.raises(SourceError, match=r"no answer within 0\.2 s"):
            reader.read({"rail0"})
    finally:
        _signal_all(lldp.plugged.node, signal.SIGCONT)
    # It was stopped for less than the time to live.
    assert lldp.heard() == {"rail0": _LEAF}

    # Killed, as one that ends says goodbye.
    _signal_all(lldp.plugged.leaf, signal.SIGKILL)
    lldp.wait_until_heard({})


@contextmanager
def _answering(path: Path, answer: bytes) -> Iterator[None]:
    """Answer one connection, whatever it asks, and hang up."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as listening:
        listening.bind(str(path))
        listening.listen()

        def serve() -> None:
            with listening.accept()[0] as accepted:
                accepted.recv(4096)
                accepted.sendall(answer)

        thread = threading.Thread(target=serve)
        thread.start()
        yield
        thread.join()


@pytest.mark.parametrize(
    "answer",
    [b"", b"HTTP/1.0 400 Bad Request\r\n\r\n", bytes(64), b"\xff" * 64],
    ids=["nothing", "another protocol", "zeros", "ones"],
)
def test_an_answer_that_is_not_lldpds_is_a_fault_and_no_crash(
    tmp_path: Path, answer: bytes
) -> None:
    path = tmp_path / "socket"
    with _answering(path, answer), pytest.raises(SourceError, match=str(path)):
        LldpReader(path, timeout_seconds=5.0).read({"rail0"})
