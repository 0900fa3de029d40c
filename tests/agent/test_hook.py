"""The hook for training code: what it sends, and that nothing of it reaches the job."""

import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing, suppress
from itertools import count
from pathlib import Path

import pytest

from railwatch_agent.hook import SOCKET_VARIABLE, StepMarker
from railwatch_agent.markers.marker import Marker, parse_marker


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Where the agent's socket is."""
    return tmp_path / "steps.sock"


@pytest.fixture
def agent(path: Path) -> Iterator[socket.socket]:
    """What stands for the agent."""
    with closing(_bound(path)) as made:
        yield made


def _bound(path: Path) -> socket.socket:
    made = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK)
    made.bind(str(path))
    return made


def _received(agent: socket.socket) -> list[Marker]:
    found = []
    with suppress(BlockingIOError):
        while True:
            found.append(parse_marker(agent.recv(2000)))
    return found


def _marker(path: Path, **options: int) -> StepMarker:
    """A marker whose clock goes on by a second each time that it is read."""
    return StepMarker(path=str(path), clock=count(100.0).__next__, **options)


def test_ends_of_steps_are_beginnings_of_the_next(agent: socket.socket, path: Path) -> None:
    marker = _marker(path, rank=3, first_step=7)
    marker.step_end()
    marker.measured(communication=0.5)
    marker.step_end(compute=0.25, exposed=0.125)
    marker.step_end()

    assert _received(agent) == [
        Marker(3, 7, 100.0, 101.0, 0.25, 0.125, 0.5),
        Marker(3, 8, 101.0, 102.0),
    ]


def test_a_block_is_a_step_and_what_is_between_is_not(agent: socket.socket, path: Path) -> None:
    marker = _marker(path)
    for _ in range(2):
        with marker.step():
            marker.measured(compute=0.5)

    assert [(m.step, m.start, m.end, m.compute) for m in _received(agent)] == [
        (0, 100.0, 101.0, 0.5),
        (1, 102.0, 103.0, 0.5),
    ]


def test_a_block_that_an_exception_ends_is_no_step(agent: socket.socket, path: Path) -> None:
    marker = _marker(path)
    with suppress(KeyError), marker.step():
        raise KeyError
    with marker.step():
        pass

    assert [(m.step, m.start) for m in _received(agent)] == [(0, 101.0)]


def test_rank_and_socket_come_from_the_environment(
    agent: socket.socket, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SLURM_PROCID", "12")
    monkeypatch.setenv(SOCKET_VARIABLE, str(path))
    marker = StepMarker(job_id="a")
    marker.step_end()
    marker.step_end()

    assert [(m.rank, m.job_id) for m in _received(agent)] == [(12, "a")]


def test_an_agent_that_restarts_costs_the_markers_meanwhile(path: Path) -> None:
    marker = _marker(path)
    counts = []
    for is_there in (False, True, False, True):
        path.unlink(missing_ok=True)
        agent = _bound(path)
        if not is_there:
            agent.close()
        marker.step_end()
        marker.step_end()
        counts.append(len(_received(agent)) if is_there else 0)
        agent.close()

    assert (counts, marker.lost) == ([0, 2, 0, 2], 3)


def test_an_agent_that_does_not_read_holds_no_job_up(agent: socket.socket, path: Path) -> None:
    """The kernel's queue is short; a sender that waited would wait for ever here."""
    marker = _marker(path)
    for _ in range(10_001):
        marker.step_end()

    assert marker.lost + len(_received(agent)) == 10_000
    assert marker.lost > 0


def test_nothing_that_a_job_does_with_it_raises_or_costs_the_step(
    agent: socket.socket, path: Path
) -> None:
    marker = _marker(path)
    for compute in ("x", float("nan"), float("inf"), -0.0001):
        marker.step_end(compute=compute)  # type: ignore[arg-type] # what a job may do
    for name in ("/nowhere/\ud800", "\0" * 500, "x" * 500):
        lost = StepMarker(0, path=name)
        lost.step_end()
        lost.step_end()
        assert lost.lost == 1

    assert [m.compute for m in _received(agent)] == [None, None, 0.0]


def test_what_was_measured_of_a_step_that_an_exception_ended_is_of_no_other(
    agent: socket.socket, path: Path
) -> None:
    marker = _marker(path)
    with suppress(KeyError), marker.step():
        marker.measured(compute=0.5)
        raise KeyError
    with marker.step():
        pass

    assert [m.compute for m in _received(agent)] == [None]


def test_a_child_of_a_job_marks_as_itself(agent: socket.socket, path: Path) -> None:
    """The socket is shared with it, and nothing else is."""
    program = (
        "import os, sys\n"
        "from railwatch_agent.hook import StepMarker\n"
        "marker = StepMarker(0, path=sys.argv[1])\n"
        "marker.step_end(); marker.step_end()\n"
        "child = os.fork()\n"
        "marker.step_end()\n"
        "child and os.waitpid(child, 0)\n"
    )
    agent.setsockopt(socket.SOL_SOCKET, socket.SO_PASSCRED, 1)
    done = subprocess.run([sys.executable, "-c", program, str(path)], check=True, timeout=60)
    senders = [agent.recvmsg(2000, 100)[1][0][2][:4] for _ in range(3)]

    assert done.returncode == 0
    assert len(set(senders)) == 2


def test_importing_the_hook_loads_nothing_else_and_changes_nothing() -> None:
    """Training code imports it: neither numpy nor the agent's own environment comes along."""
    program = (
        "import os, sys\n"
        "before = dict(os.environ), set(sys.modules)\n"
        "import railwatch_agent.hook\n"
        "added = set(sys.modules) - before[1]\n"
        "assert before[0] == dict(os.environ)\n"
        "others = {name.partition('.')[0] for name in added} - sys.stdlib_module_names\n"
        "print(sorted(others), sorted(n for n in added if n.startswith('railwatch_agent')))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], check=True, timeout=60, capture_output=True, text=True
    )

    assert done.stdout.strip() == (
        "['railwatch_agent'] ['railwatch_agent', 'railwatch_agent.hook']"
    )


def test_the_agent_itself_keeps_numpy_to_one_thread() -> None:
    program = "import os, railwatch_agent.cli; print(os.environ['OPENBLAS_NUM_THREADS'])"
    environment = {k: v for k, v in os.environ.items() if k != "OPENBLAS_NUM_THREADS"}
    done = subprocess.run(
        [sys.executable, "-c", program],
        check=True,
        timeout=60,
        capture_output=True,
        text=True,
        env=environment,
    )

    assert done.stdout == "1\n"
