"""The socket of step markers and its listener: real datagrams, real processes, real files."""

import array
import logging
import os
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from agent.job_node import JobNode
from agent.program import PATIENCE_SECONDS, Program
from agent.trees import two_rails
from railwatch.catalogue.node import MarkerOutcome
from railwatch.clock import SystemClock
from railwatch_agent.markers.desk import Desk
from railwatch_agent.markers.listener import BURST, MARKERS_A_SECOND, Listener
from railwatch_agent.sources.errors import SourceError
from railwatch_agent.sources.marker_socket import MarkerSocket
from railwatch_agent.tape import Tape
from support.conditions import wait_until

# Sends as fast as it can until its standard input ends, then says how many were taken.
_FLOOD = """
import os, select, socket, sys
end = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK)
taken = 0
while not select.select([sys.stdin], [], [], 0)[0]:
    for number in range(100):
        try:
            end.sendto(b"x" * 100, sys.argv[1])
            taken += 1
        except BlockingIOError:
            os.sched_yield()
print(taken)
"""


@pytest.fixture
def opened(tmp_path: Path) -> Iterator[MarkerSocket]:
    """A socket that is open."""
    with closing(MarkerSocket(tmp_path / "steps.sock")) as made:
        made.open()
        yield made


def _send(path: Path, data: bytes) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK) as end:
        end.sendto(data, str(path))


def _python(*arguments: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", *arguments],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )


def test_the_kernel_says_which_process_has_sent(opened: MarkerSocket, tmp_path: Path) -> None:
    program = (
        "import socket, sys; "
        "socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM).sendto(b'hello', sys.argv[1])"
    )
    child = _python(program, str(tmp_path / "steps.sock"))
    (datagram,) = opened.receive(8, PATIENCE_SECONDS)
    child.communicate()

    assert (datagram.pid, datagram.uid) == (child.pid, os.getuid())
    assert (datagram.data, datagram.is_truncated) == (b"hello", False)


def test_any_user_may_send_and_none_may_read(opened: MarkerSocket, tmp_path: Path) -> None:
    assert opened.receive(1, 0.01) == []
    assert (tmp_path / "steps.sock").stat().st_mode & 0o777 == 0o666


def test_huge_and_empty_datagrams_are_taken_as_they_are(
    opened: MarkerSocket, tmp_path: Path
) -> None:
    for data in (b"", b"x" * 100_000, b"y"):
        _send(tmp_path / "steps.sock", data)
    found = opened.receive(8, PATIENCE_SECONDS)

    assert [(len(d.data), d.is_truncated) for d in found] == [(0, False), (1024, True), (1, False)]


def test_descriptors_that_somebody_sends_along_are_not_taken_in(
    opened: MarkerSocket, tmp_path: Path
) -> None:
    """Else a sender could use up those of the agent."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as end, Path(__file__).open() as file:
        rights = array.array("i", [file.fileno()] * 4)
        ancillary = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, rights)]
        before = len(os.listdir("/proc/self/fd"))  # noqa: PTH208 - how many, not which
        end.sendmsg([b"x"], ancillary, 0, str(tmp_path / "steps.sock"))
        (datagram,) = opened.receive(8, PATIENCE_SECONDS)
        after = len(os.listdir("/proc/self/fd"))  # noqa: PTH208 - how many, not which

    assert (datagram.data, after) == (b"x", before)


def test_a_socket_that_is_left_over_is_replaced_and_one_in_use_is_not(tmp_path: Path) -> None:
    path = tmp_path / "steps.sock"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as left_over:
        left_over.bind(str(path))
    first, second = MarkerSocket(path), MarkerSocket(path)
    first.open()
    with pytest.raises(SourceError, match="another agent listens there"):
        second.open()
    second.close()
    _send(path, b"x")

    assert len(first.receive(1, PATIENCE_SECONDS)) == 1
    first.close()
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("none/steps.sock", "No such file or directory"),
        ("file", "something that is no socket is there"),
        ("x" * 120, "path too long"),
    ],
)
def test_what_is_in_the_way_is_one_clear_reason(tmp_path: Path, name: str, reason: str) -> None:
    (tmp_path / "file").write_text("kept")
    with pytest.raises(SourceError, match=reason):
        MarkerSocket(tmp_path / name).open()

    assert (tmp_path / "file").read_text() == "kept"


def test_a_socket_that_somebody_removed_is_made_again(opened: MarkerSocket, tmp_path: Path) -> None:
    (tmp_path / "steps.sock").unlink()
    opened.open()
    _send(tmp_path / "steps.sock", b"x")

    assert len(opened.receive(1, PATIENCE_SECONDS)) == 1


def _desk(root: Path) -> Desk:
    node = JobNode(root / "node", id="a")
    node.readings()
    return Desk(
        identity=node.census.identity,
        places=node.census.places,
        tape=Tape(100),
        sample_seconds=lambda: 0.02,
    )


def test_a_flood_is_read_at_a_bounded_rate(tmp_path: Path) -> None:
    """What is beyond stays with the kernel, which refuses the sender."""
    path, clock = tmp_path / "steps.sock", SystemClock()
    (tmp_path / "node").mkdir()
    desk = _desk(tmp_path)
    listener = Listener(MarkerSocket(path), desk, clock)
    began_at = clock.monotonic()
    listener.start()
    wait_until(path.exists, PATIENCE_SECONDS, "the socket")
    child = _python(_FLOOD, str(path))
    read = desk.outcomes
    wait_until(lambda: read.total() > BURST + 50, PATIENCE_SECONDS, "more than a burst")
    child.communicate("stop")
    listener.stop()

    # A burst, and what is at once read of a queue that is full.
    assert read.total() <= BURST + 32 + MARKERS_A_SECOND * (clock.monotonic() - began_at)
    assert read[MarkerOutcome.MALFORMED] == read.total()
    assert not path.exists()


def test_what_is_in_the_way_is_logged_once_and_nothing_else_happens(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    class Impatient(SystemClock):
        """Waits for nothing, three times."""

        waits = 0

        def wait(self, event: threading.Event, seconds: float) -> bool:
            assert seconds == 30.0
            self.waits += 1
            if self.waits == 3:
                event.set()
            return event.is_set()

    (tmp_path / "node").mkdir()
    desk = _desk(tmp_path)
    caplog.set_level(logging.INFO, "railwatch_agent.markers")
    Listener(MarkerSocket(tmp_path / "none" / "s"), desk, Impatient()).run()

    assert caplog.messages == [
        f"step markers: cannot bind {tmp_path}/none/s: No such file or directory"
    ]


def test_an_agent_counts_steps_through_a_flood_and_goes_on_sampling(tmp_path: Path) -> None:
    """Its own hook sends from here, and another process as fast as it can."""
    path = tmp_path / "run" / "steps.sock"
    path.parent.mkdir()
    toml = f'[job]\nid = "train"\n[steps]\nsocket = "{path}"\n'
    hook = (
        "import sys, time\n"
        "from railwatch_agent.hook import StepMarker\n"
        "marker = StepMarker(path=sys.argv[1])\n"
        "while not marker.step_end(): time.sleep(0.02)\n"
    )
    with Program(tmp_path, two_rails(tmp_path / "tree"), toml=toml) as agent:
        flood, job = _python(_FLOOD, str(path)), _python(hook, str(path))
        try:
            agent.wait_until(
                lambda: (
                    (agent.value("railwatch_agent_markers_total", outcome="malformed") or 0)
                    > BURST + 50
                ),
                "a flood",
            )
            samples = agent.value("railwatch_agent_fast_samples_total") or 0.0
            agent.wait_until(
                lambda: (agent.value("railwatch_agent_fast_samples_total") or 0.0) > samples + 100,
                "fast samples during a flood",
            )
            flood.communicate("stop")
            labels = {"job_id": "train", "source": "marker"}
            agent.wait_until(
                lambda: (agent.value("railwatch_step_seconds_count", **labels) or 0.0) > 20,
                "steps after it",
            )
        finally:
            job.kill()
            job.communicate()
            if flood.poll() is None:
                flood.kill()
                flood.communicate()
        metrics = agent.metrics()

    assert 'job_id="train"' not in agent.log
    assert (("job_id", "train"), ("source", "marker")) in metrics["railwatch_step_period_seconds"]
    assert not path.exists()
