"""A cluster leaves nothing behind: no namespace, no link, no process, however it ends."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from lab import cluster as cluster_module
from lab import namespaces
from lab.cluster import Cluster
from support.conditions import wait_until

if TYPE_CHECKING:
    from collections.abc import Iterable

_TESTS = Path(__file__).resolve().parents[1]
_FOREVER = ["sleep", "1000"]
_DEAF = ["sh", "-c", "trap '' TERM; echo deaf; while :; do sleep 1; done"]

# The fixture is what skips these tests where there is no root.
pytestmark = pytest.mark.usefixtures("cluster")


def _alive(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text(encoding="ascii").rpartition(")")[2].split()[0]
    except FileNotFoundError:
        return False
    return state != "Z"


def _links() -> set[str]:
    return {name for _, name in socket.if_nameindex()}


def test_nothing_is_left_after_the_block() -> None:
    links = _links()

    with Cluster() as cluster:
        process = cluster.popen(cluster.nodes[0], _FOREVER)
        assert len(namespaces.names(cluster.prefix)) == 5
        assert _alive(process.pid)

    assert namespaces.names(cluster.prefix) == []
    assert process.returncode == -signal.SIGTERM
    assert _links() == links


def test_nothing_is_left_after_an_exception() -> None:
    cluster = Cluster(nodes=2)

    with pytest.raises(FileNotFoundError), cluster:
        cluster.popen(cluster.fabric, _FOREVER, cwd="/nowhere")

    assert namespaces.names(cluster.prefix) == []


def test_a_process_that_ignores_sigterm_is_killed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cluster_module, "_TERMINATE_GRACE_SECONDS", 0.2)

    with Cluster(nodes=1) as cluster:
        process = cluster.popen(cluster.nodes[0], _DEAF, stdout=subprocess.PIPE)
        assert process.stdout is not None
        assert process.stdout.readline() == b"deaf\n"

    assert process.returncode == -signal.SIGKILL


def test_an_orphan_of_a_tracked_process_is_killed() -> None:
    with Cluster(nodes=1) as cluster:
        spawn = ["sh", "-c", "sleep 1000 >/dev/null & echo $!"]
        orphan = int(cluster.run(cluster.nodes[0], spawn))
        assert _alive(orphan)

    wait_until(lambda: not _alive(orphan), 5.0, "the orphan's end")


@pytest.mark.parametrize("batches", range(1, 9))
def test_nothing_is_left_after_an_interrupt_half_way(
    monkeypatch: pytest.MonkeyPatch, batches: int
) -> None:
    """A cluster of two nodes takes eight batches; the interrupt comes after each of them."""
    done = 0
    batch = namespaces.batch

    def interrupted(tool: str, lines: Iterable[str], namespace: str | None = None) -> None:
        nonlocal done
        batch(tool, lines, namespace)
        done += 1
        if done == batches:
            raise KeyboardInterrupt

    monkeypatch.setattr(namespaces, "batch", interrupted)
    cluster = Cluster(nodes=2)

    with pytest.raises(KeyboardInterrupt):
        cluster.__enter__()

    assert done > batches, "the teardown ran no batch: nothing had been built"
    assert namespaces.names(cluster.prefix) == []


def _start(script: str) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [sys.executable, "-c", script],
        env={**os.environ, "PYTHONPATH": str(_TESTS)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )


def test_nothing_is_left_after_a_real_sigint_during_setup() -> None:
    """Thirty nodes take long enough for the signal to arrive in the middle."""
    script = "from lab.cluster import Cluster\nwith Cluster(nodes=30) as c:\n    print('built')\n"
    builder = _start(script)
    prefix = f"rw{builder.pid}-"
    wait_until(lambda: namespaces.names(prefix), 10.0, "the first namespace")

    builder.send_signal(signal.SIGINT)
    output, errors = builder.communicate(timeout=20.0)

    assert b"KeyboardInterrupt" in errors
    assert output == b"", "the signal came too late to interrupt the setup"
    assert namespaces.names(prefix) == []


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_nothing_is_left_after_the_death_of_the_whole_process(number: signal.Signals) -> None:
    script = """
import sys, time
from lab.cluster import Cluster
with Cluster(nodes=2) as cluster:
    print(cluster.popen(cluster.nodes[0], ["sleep", "1000"]).pid, flush=True)
    time.sleep(60)
"""
    with _start(script) as owner:
        assert owner.stdout is not None
        child = int(owner.stdout.readline())
        prefix = f"rw{owner.pid}-"
        assert len(namespaces.names(prefix)) == 3

        owner.send_signal(number)

    wait_until(lambda: not namespaces.names(prefix), 10.0, "the guardian to clear away")
    assert not _alive(child)
