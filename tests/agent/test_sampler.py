"""The cadence of the sampler, and what it does when a read does not return."""

import math
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.fakes import FakeClock, FakeQueue, FakeQueueSource, ForwardClock, rail
from agent.trees import Tree, two_rails
from railwatch_agent.cadence import next_deadline
from railwatch_agent.crew import STUCK_SECONDS, Crew, Lookout
from railwatch_agent.histogram import Histogram
from railwatch_agent.inventory import Rail
from railwatch_agent.rail_bytes import byte_counters
from railwatch_agent.sampler import Sampler
from railwatch_agent.sources.errors import SourceError
from railwatch_agent.stations import QueueStation, RailStation
from railwatch_agent.tape import Tape, Track
from support.conditions import wait_until

_INTERVAL = 0.02
_PATIENCE_SECONDS = 20.0


@given(
    deadline=st.floats(0, 1e6),
    behind=st.floats(0, 1e4),
    interval=st.floats(0.001, 60),
)
def test_the_next_round_is_on_the_grid_and_not_in_the_past(
    deadline: float, behind: float, interval: float
) -> None:
    now = deadline + behind

    due = next_deadline(deadline, now, interval)

    periods = (due - deadline) / interval
    assert periods == pytest.approx(round(periods), abs=1e-4)
    assert round(periods) >= 1
    assert now - 1e-6 <= due <= now + interval * (1 + 1e-6) + 1e-6


class _Done(Exception):  # noqa: N818 - it ends a loop that has no end
    pass


class _Rounds:
    """A station that notes when it is read; some reads take longer."""

    what = "rounds"

    def __init__(self, clock: FakeClock, durations: dict[int, float], rounds: int) -> None:
        self._clock = clock
        self._durations = durations
        self._rounds = rounds
        self.times: list[float] = []

    def read(self, now: float) -> None:
        """Note the time, then let the read take as long as it does."""
        self.times.append(round(now - 1024.0, 6))
        self._clock.advance(self._durations.get(len(self.times) - 1, 0.001))
        if len(self.times) == self._rounds:
            raise _Done


def _run_rounds(
    durations: dict[int, float], rounds: int, oversleep: float = 0.0
) -> tuple[list[float], Histogram]:
    clock = FakeClock(1024.01)
    station = _Rounds(clock, durations, rounds)
    lateness = Histogram((0.001, 0.005))
    crew = Crew(
        [station],
        interval_seconds=_INTERVAL,
        clock=clock,
        lateness=lateness,
        sleep=lambda seconds: clock.advance(seconds + oversleep),
    )
    with pytest.raises(_Done):
        crew.run()
    return station.times, lateness


def test_rounds_begin_on_a_grid_whatever_they_take() -> None:
    times, _ = _run_rounds({0: 0.013, 1: 0.001, 2: 0.019}, 4)

    assert times == pytest.approx([0.02, 0.04, 0.06, 0.08])


def test_an_overrun_skips_whole_periods_and_never_bursts() -> None:
    times, _ = _run_rounds({1: 0.075}, 5)

    assert times == pytest.approx([0.02, 0.04, 0.12, 0.14, 0.16])


def test_waking_late_does_not_move_the_grid() -> None:
    times, lateness = _run_rounds({}, 3, oversleep=0.002)

    assert times == pytest.approx([0.022, 0.042, 0.062])
    assert lateness.distribution().buckets == (0, 3)
    assert lateness.distribution().sum == pytest.approx(0.006)


def test_lateness_that_nobody_asks_for_is_not_kept() -> None:
    nothing, bounded = Histogram(()), Histogram((0.001,))
    for histogram in (nothing, bounded):
        for _ in range(20_000):
            histogram.note(0.0)

    assert len(nothing._noted) == 0
    assert len(bounded._noted) == 10_000
    assert bounded.distribution().count == 10_000


class _Gate:
    """A station of which a test decides when its read returns."""

    def __init__(self, of: Rail) -> None:
        self.rail = of
        self.what = f"rail={of.number}"
        self.is_open = threading.Event()
        self.is_open.set()
        self.reads = 0
        self.interruptions = 0

    def read(self, _: float) -> None:
        """Return once the gate is open."""
        self.is_open.wait(_PATIENCE_SECONDS)
        self.reads += 1

    def slow_down(self, factor: int) -> None:
        """Hear by how much."""

    def plains(self) -> None:
        """Say that this one is to be read with care."""

    def interrupt(self) -> None:
        """Count how often the sampler said that there was a gap."""
        self.interruptions += 1


class _Story:
    """A sampler of two gates in real threads, whose supervisor lives on a clock of its own."""

    def __init__(self) -> None:
        self.rails: tuple[Rail, ...] = (rail(0, "rail0"), rail(1, "rail1", ifindex=8))
        self.gates: list[_Gate] = []
        self.clock = ForwardClock()
        tape = Tape(1000)
        queues = QueueStation(
            FakeQueueSource(),
            rails=lambda: (),
            tape=tape,
            clock=self.clock,
            on_error=lambda: None,
        )
        self.sampler = Sampler(
            rails=lambda: self.rails,
            station=self._station,
            tape=tape,
            queues=queues,
            interval_seconds=0.001,
            clock=self.clock,
        )
        self.sampler.supervise()
        self.sampler.start()

    def _station(self, of: Rail) -> RailStation:
        gate = _Gate(of)
        self.gates.append(gate)
        return gate  # type: ignore[return-value] # all that the sampler asks of a station

    def supervise_for(self, seconds: float) -> None:
        """Call the supervisor each second of its own time."""
        for _ in range(round(seconds)):
            self.clock.offset += 1.0
            self.sampler.supervise()

    def goes_on(self, gate: _Gate) -> None:
        """Wait for another read of *gate*."""
        before = gate.reads
        wait_until(lambda: gate.reads > before, _PATIENCE_SECONDS, f"{gate.what} to be read")


@pytest.fixture
def story() -> Iterator[_Story]:
    told = _Story()
    yield told
    for gate in told.gates:
        gate.is_open.set()
    told.sampler.stop()


def _hang(story: _Story, gate: _Gate) -> None:
    """Close a gate, and wait until the crew stands before it."""
    gate.is_open.clear()
    wait_until(lambda: story.sampler._crew.at() is gate, _PATIENCE_SECONDS, "the crew to be stuck")


def test_a_read_that_does_not_return_costs_one_rail(
    story: _Story, caplog: pytest.LogCaptureFixture
) -> None:
    _hang(story, story.gates[0])
    story.supervise_for(2 + STUCK_SECONDS)

    assert story.sampler.stuck_rails == 1
    story.goes_on(story.gates[1])
    story.supervise_for(10)
    assert story.sampler.stuck_rails == 1
    assert sum("does not return" in r.message for r in caplog.records) == 1


def test_a_rail_whose_read_returns_is_taken_back(story: _Story) -> None:
    _hang(story, story.gates[0])
    story.supervise_for(2 + STUCK_SECONDS)
    story.gates[0].is_open.set()

    def taken_back() -> bool:
        story.supervise_for(1)
        return story.sampler.stuck_rails == 0

    wait_until(taken_back, _PATIENCE_SECONDS, "the rail to be taken back")
    story.goes_on(story.gates[0])
    story.goes_on(story.gates[1])
    assert story.gates[0].interruptions == 1


def test_two_rails_may_hang_one_after_the_other(story: _Story) -> None:
    _hang(story, story.gates[0])
    story.supervise_for(2 + STUCK_SECONDS)
    _hang(story, story.gates[1])
    story.supervise_for(2 + STUCK_SECONDS)

    assert story.sampler.stuck_rails == 2
    assert story.sampler.is_alive()


def test_a_read_that_takes_a_while_is_waited_for(story: _Story) -> None:
    _hang(story, story.gates[0])
    story.supervise_for(1)

    assert story.sampler.stuck_rails == 0


def test_a_machine_that_slept_has_no_stuck_rails() -> None:
    """The supervisor wakes up first and finds the crew where it was before the pause."""
    crew = Crew([], interval_seconds=1.0, clock=FakeClock(), lateness=Histogram(()))
    crew.reading = _Gate(rail())
    lookout = Lookout(0.0)
    lookout.hung(crew, 1.0)

    assert lookout.hung(crew, 3601.0) is None
    assert lookout.hung(crew, 3602.0) is None
    assert lookout.hung(crew, 3604.0) is crew.reading


def test_a_rail_that_comes_is_sampled_and_one_that_goes_is_not(story: _Story) -> None:
    story.rails = (rail(1, "rail1", ifindex=8), rail(2, "rail2", ifindex=9))
    story.sampler.supervise()

    assert [gate.rail.number for gate in story.gates] == [0, 1, 2]
    story.goes_on(story.gates[1])
    story.goes_on(story.gates[2])
    left = story.gates[0].reads
    story.goes_on(story.gates[1])
    assert story.gates[0].reads == left


def test_a_rail_whose_device_is_gone_is_not_sampled(story: _Story) -> None:
    story.rails = (rail(0, "rail0", ifindex=None), story.rails[1])
    story.sampler.supervise()
    story.goes_on(story.gates[1])
    left = story.gates[0].reads
    story.goes_on(story.gates[1])

    assert story.gates[0].reads == left


def test_a_sampler_without_progress_is_not_alive() -> None:
    clock = FakeClock()
    sampler = Sampler(
        rails=lambda: (),
        station=lambda _: pytest.fail("there is no rail"),
        tape=(tape := Tape(10)),
        queues=_queue_station(FakeQueueSource(), clock, tape),
        interval_seconds=_INTERVAL,
        clock=clock,
    )
    before = sampler.is_alive()
    clock.advance(11.0)

    assert (before, sampler.is_alive()) == (True, False)


def _rail_station(
    tree: Tree, of: Rail, track: Track, clock: FakeClock, **more: object
) -> RailStation:
    """Return what samples a rail of a tree."""
    options: dict[str, object] = {"on_error": lambda: None, **more}
    return RailStation(
        of,
        counters=lambda on_jump: byte_counters(of, tree.sysfs, on_jump=on_jump),
        track=track,
        monotonic=clock.monotonic,
        **options,  # type: ignore[arg-type] # as the station takes them
    )


class _Reader:
    """A rail's station on a real tree."""

    def __init__(self, root: Path) -> None:
        self.tree = two_rails(root)
        self.clock = FakeClock()
        self.track = Tape(100).track(0)
        self.errors = 0
        self.station = _rail_station(
            self.tree, rail(), self.track, self.clock, on_error=self._count
        )

    def _count(self) -> None:
        self.errors += 1

    def read(self) -> None:
        """Read once, a period after the last time."""
        self.clock.advance(_INTERVAL)
        self.station.read(self.clock.monotonic())

    def received(self) -> list[float]:
        """Return the bytes received of all samples."""
        found: list[float] = self.track.slice(-math.inf).receive_bytes.tolist()
        return found


@pytest.fixture
def reader(tmp_path: Path) -> _Reader:
    return _Reader(tmp_path)


def test_a_sample_is_both_counters_and_when_they_were_read(reader: _Reader) -> None:
    reader.tree.count("rail0", rx_bytes=11, tx_bytes=22)
    reader.read()

    assert reader.track.newest() == [reader.clock.monotonic(), 11, 22]


def test_a_fault_costs_a_while_and_is_logged_once(
    reader: _Reader, caplog: pytest.LogCaptureFixture
) -> None:
    reader.tree.replace_by_directory("rail0", "statistics/rx_bytes")
    for _ in range(120):
        reader.read()

    assert reader.received() == []
    assert reader.errors == 3
    assert sum("cannot be sampled" in r.message for r in caplog.records) == 1


def test_what_follows_a_fault_does_not_continue_what_was_before(reader: _Reader) -> None:
    reader.tree.count("rail0", rx_bytes=1)
    reader.read()
    file = reader.tree.netdev("rail0") / "statistics" / "rx_bytes"
    file.write_text("broken")
    reader.read()
    file.write_text("5\n")
    reader.clock.advance(1.0)
    reader.read()

    assert reader.received() == [1, pytest.approx(math.nan, nan_ok=True), 5]
    assert reader.errors == 1


def test_an_absent_counter_is_no_error(reader: _Reader) -> None:
    (reader.tree.netdev("rail0") / "statistics" / "tx_bytes").unlink()
    reader.read()

    assert (reader.received(), reader.errors) == ([], 0)


def test_another_device_on_the_same_track_begins_with_a_gap(reader: _Reader) -> None:
    reader.track.append(999.0, 10**12, 0)
    reader.read()

    assert reader.received() == [10**12, pytest.approx(math.nan, nan_ok=True), 0]


def _queue_station(
    source: FakeQueueSource,
    clock: FakeClock,
    tape: Tape | None = None,
    cpu_seconds: Callable[[], float] = time.thread_time,
) -> QueueStation:
    """Return a station of the queues of rail 0, interface 7, and rail 1, interface 8."""
    return QueueStation(
        source,
        rails=lambda: (rail(0), rail(1, "rail1", ifindex=8), rail(2, "gone", ifindex=None)),
        tape=tape or Tape(10),
        clock=clock,
        on_error=lambda: None,
        cpu_seconds=cpu_seconds,
    )


def test_what_waits_in_front_of_the_rails_goes_onto_the_tape() -> None:
    clock, tape = FakeClock(), Tape(10)
    source = FakeQueueSource({7: FakeQueue(4096, 3), 9: FakeQueue(1, 1)})
    station = _queue_station(source, clock, tape)
    station.read(clock.monotonic())

    assert tape.queues.since(0, 0.0).tolist() == [[clock.monotonic()], [4096]]
    assert tape.queues.since(1, 0.0).shape == (2, 0)
    assert (station.drops(7), station.drops(8)) == (3, None)


def test_a_queue_that_cannot_be_read_is_unknown_and_logged_once(
    caplog: pytest.LogCaptureFixture,
) -> None:
    clock = FakeClock()
    source = FakeQueueSource({7: FakeQueue(0, 3)})
    station = _queue_station(source, clock)
    station.read(clock.monotonic())
    source.error = SourceError("no answer")
    for _ in range(3):
        clock.advance(2.0)
        station.read(clock.monotonic())

    assert station.drops(7) is None
    assert sum("cannot be read" in r.message for r in caplog.records) == 1


def test_queues_that_are_dear_are_read_less_often() -> None:
    clock = FakeClock()
    cpu = FakeClock()
    source = FakeQueueSource(on_read=lambda: cpu.advance(0.001))
    station = _queue_station(source, clock, cpu_seconds=cpu.monotonic)
    for _ in range(500):
        station.read(clock.monotonic())

    assert station.affordable_interval_seconds == pytest.approx(1.0, rel=0.01)


def test_a_queue_is_not_read_less_often_for_what_others_take_of_the_cpu() -> None:
    """On a busy host a read takes long and costs as little as ever."""
    clock = FakeClock()
    source = FakeQueueSource(on_read=lambda: clock.advance(0.1))
    station = _queue_station(source, clock, cpu_seconds=lambda: 0.0)
    for _ in range(100):
        station.read(clock.monotonic())

    assert station.affordable_interval_seconds == 0.0


def test_the_tracks_of_a_tape_are_written_by_their_rails(tmp_path: Path) -> None:
    tree = two_rails(tmp_path)
    tape, clock = Tape(10), FakeClock()
    for number in (0, 1):
        tree.count(f"rail{number}", rx_bytes=number + 5)
        of = rail(number, f"rail{number}")
        station = _rail_station(tree, of, tape.track(number), clock)
        station.read(clock.monotonic())

    assert [tape.track(n).slice(0).receive_bytes.tolist() for n in (0, 1)] == [[5], [6]]
