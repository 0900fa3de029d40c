"""Rounds of collectors: a deadline, staleness, and what the agent says of them."""

import threading
from collections.abc import Iterator

import pytest

from agent.fakes import FakeClock, FakeCollector, ForwardClock
from railwatch.catalogue.metric import MetricSpec, ReadFailure, Sample
from railwatch.catalogue.node import (
    AGENT_COLLECTOR_DURATION,
    AGENT_COLLECTOR_SUCCESS,
    AGENT_LAST_SUCCESS,
    AGENT_READ_ERRORS,
    HOST_CPU_BUSY,
)
from railwatch.clock import SystemClock
from railwatch_agent.duties import DEADLINE_SECONDS, Duty
from railwatch_agent.snapshot import Snapshot
from railwatch_agent.workers import PATIENCE_SECONDS, Shift, Workers
from support.conditions import wait_until

_SAMPLE = Sample(HOST_CPU_BUSY, (), 0.5)
_FAILURE = ReadFailure("cpu", "Input/output error")
_PATIENCE_SECONDS = 20.0


def _duty(*answers: object, clock: FakeClock | None = None) -> tuple[Duty, FakeClock]:
    """Return a duty whose collector gives one answer a round; an exception is raised."""
    clock = clock or FakeClock()
    left = iter(answers)

    def answer() -> list[Sample | ReadFailure]:
        given = next(left)
        if isinstance(given, BaseException):
            raise given
        assert isinstance(given, list)
        return given

    return Duty(FakeCollector(answer), clock=clock), clock


def test_a_round_is_exposed_until_it_is_stale() -> None:
    duty, clock = _duty([_SAMPLE])
    duty.run_round()
    clock.advance(DEADLINE_SECONDS)
    fresh = duty.samples()
    clock.advance(0.001)

    assert fresh == (_SAMPLE,)
    assert duty.samples() == ()


def test_a_failure_costs_its_reading_only() -> None:
    duty, _ = _duty([_SAMPLE, _FAILURE])
    duty.run_round()

    assert duty.samples() == (_SAMPLE,)
    assert (duty.report().succeeded, duty.report().read_errors) == (True, 1)


def test_a_round_of_failures_only_did_not_succeed() -> None:
    duty, clock = _duty([_SAMPLE], [_FAILURE])
    duty.run_round()
    before = duty.report().last_success
    clock.advance(1.0)
    duty.run_round()

    assert duty.samples() == ()
    assert duty.report().succeeded is False
    assert duty.report().last_success == before == clock.wall() - 1.0


@pytest.mark.parametrize("error", [RuntimeError("bug"), MemoryError(), KeyError("speed")])
def test_any_exception_costs_that_round(error: Exception, caplog: pytest.LogCaptureFixture) -> None:
    duty, _ = _duty(error, [_SAMPLE])
    duty.run_round()
    failed = duty.report()
    duty.run_round()

    assert (failed.succeeded, failed.read_errors) == (False, 1)
    assert duty.report().succeeded is True
    assert duty.samples() == (_SAMPLE,)
    assert sum(type(error).__name__ in record.message for record in caplog.records) == 1


def test_a_repeated_fault_is_logged_once_per_change(caplog: pytest.LogCaptureFixture) -> None:
    other = ReadFailure("memory", "Input/output error")
    duty, _ = _duty([_FAILURE], [_FAILURE], [_FAILURE, other], [], [_FAILURE])
    for _ in range(5):
        duty.run_round()

    said = [(r.levelname, r.getMessage().split(": ")[0]) for r in caplog.records]
    assert [entry for entry in said if entry[0] == "WARNING"] == [
        ("WARNING", "collector=fake cpu"),
        ("WARNING", "collector=fake memory"),
        ("WARNING", "collector=fake cpu"),
    ]


def test_nothing_to_read_is_a_success() -> None:
    duty, _ = _duty([])
    duty.run_round()

    assert duty.report().succeeded is True


class _Hanging:
    """A collector whose round lasts until it is let go."""

    interval_seconds = 0.001

    def __init__(self, name: str = "hanging") -> None:
        self.name = name
        self.go = threading.Event()
        self.rounds = 0

    def collect(self) -> Iterator[Sample | ReadFailure]:
        """Wait, then yield a sample."""
        self.rounds += 1
        self.go.wait(_PATIENCE_SECONDS)
        yield _SAMPLE


class _Story:
    """Workers of collectors that hang when a test wants them to."""

    def __init__(self, *names: str) -> None:
        self.clock = ForwardClock()
        self.workers = Workers(clock=self.clock)
        self.collectors = [_Hanging(name) for name in names]

    def employ(self, *collectors: _Hanging) -> None:
        """Supervise once, with all collectors or only those."""
        self.workers.employ(collectors or self.collectors)

    def duty(self, collector: _Hanging) -> Duty:
        """Return the duty of a collector."""
        return next(duty for duty in self.workers if duty.collector is collector)

    def let_go(self, *collectors: _Hanging) -> None:
        """Let collectors end their rounds."""
        for collector in collectors:
            collector.go.set()

    def hang(self, collector: _Hanging) -> None:
        """Have a collector hang, and wait until it does, for longer than others wait for it."""
        before = collector.rounds
        collector.go.clear()
        wait_until(lambda: collector.rounds > before, _PATIENCE_SECONDS, "the round to begin")
        self.clock.offset += PATIENCE_SECONDS + 1.0

    def goes_on(self, collector: _Hanging) -> None:
        """Wait for two more rounds of a collector."""
        before = collector.rounds
        wait_until(lambda: collector.rounds > before + 1, _PATIENCE_SECONDS, "two more rounds")


def _told(*names: str) -> Iterator[_Story]:
    story = _Story(*names)
    yield story
    story.workers.stop()
    story.let_go(*story.collectors)


@pytest.fixture
def story() -> Iterator[_Story]:
    yield from _told("hanging")


@pytest.fixture
def three() -> Iterator[_Story]:
    yield from _told("rail", "rail", "rail")


def test_a_round_that_hangs_has_no_success_and_a_duration_that_grows(story: _Story) -> None:
    (collector,) = story.collectors
    story.employ()
    wait_until(lambda: collector.rounds, _PATIENCE_SECONDS, "the round to begin")
    begun = story.duty(collector).report()
    story.clock.offset += DEADLINE_SECONDS + 1.0
    late = story.duty(collector).report()
    story.clock.offset += 60.0
    story.employ()

    assert begun.was_attempted is False
    assert (late.was_attempted, late.succeeded) == (True, False)
    assert late.duration_seconds > DEADLINE_SECONDS
    assert story.duty(collector).report().duration_seconds > late.duration_seconds + 59
    assert collector.rounds == 1


def test_a_collector_that_hangs_after_good_rounds_has_no_success(story: _Story) -> None:
    (collector,) = story.collectors
    story.let_go(collector)
    story.employ()
    story.goes_on(collector)
    good = story.duty(collector).report().succeeded
    story.hang(collector)
    story.clock.offset += DEADLINE_SECONDS

    assert (good, story.duty(collector).report().succeeded) == (True, False)
    assert story.duty(collector).report().last_success is not None


def test_a_round_that_hung_and_ended_is_a_success_again(story: _Story) -> None:
    (collector,) = story.collectors
    story.employ()
    wait_until(lambda: collector.rounds, _PATIENCE_SECONDS, "the round to begin")
    story.clock.offset += 60.0
    story.let_go(collector)

    wait_until(story.duty(collector).samples, _PATIENCE_SECONDS, "the round to be exposed")
    assert story.duty(collector).report().succeeded is True


def test_one_that_hangs_does_not_keep_the_others_from_their_rounds(three: _Story) -> None:
    first, second, third = three.collectors
    three.let_go(*three.collectors)
    three.employ()
    three.goes_on(third)
    three.hang(second)
    three.employ()

    three.goes_on(first)
    three.goes_on(third)
    hung = second.rounds
    three.employ()
    three.goes_on(first)
    assert second.rounds == hung


def test_each_of_two_that_hang_costs_itself_only(three: _Story) -> None:
    first, second, third = three.collectors
    three.let_go(*three.collectors)
    three.employ()
    for collector in (first, second):
        three.goes_on(collector)
        three.hang(collector)
        three.employ()

    three.goes_on(third)
    assert three.duty(third).report().succeeded is True


def test_one_that_hung_and_ended_takes_its_turns_again(three: _Story) -> None:
    first, second, _ = three.collectors
    three.let_go(*three.collectors)
    three.employ()
    three.goes_on(first)
    three.hang(first)
    three.employ()
    three.let_go(first)

    def again() -> bool:
        three.employ()
        return first.rounds > before + 2

    before = first.rounds
    wait_until(again, _PATIENCE_SECONDS, "the collector to take its turns")
    three.goes_on(second)
    assert len(_threads("rail")) == 1


def test_one_that_is_employed_again_goes_on_counting_and_is_not_run_twice(three: _Story) -> None:
    first, second, _ = three.collectors
    other = _Hanging("other")
    three.let_go(*three.collectors, other)
    three.employ()
    three.goes_on(first)
    duty = three.duty(first)
    three.hang(first)
    hung = first.rounds

    three.employ(other)
    three.employ()
    three.goes_on(second)

    assert three.duty(first) is duty
    assert first.rounds == hung


def test_a_round_that_takes_a_while_is_waited_for(three: _Story) -> None:
    first, second, _ = three.collectors
    three.let_go(*three.collectors)
    three.employ()
    three.goes_on(first)
    three.hang(first)
    three.clock.offset -= PATIENCE_SECONDS
    held_up = second.rounds
    three.employ()
    three.employ()
    three.let_go(first)

    three.goes_on(second)
    assert second.rounds > held_up
    assert len(_threads("rail")) == 1


def test_a_collector_that_goes_on_is_left_alone_and_one_that_is_gone_retires() -> None:
    rounds: list[str] = []

    def collector(name: str) -> FakeCollector:
        def answer() -> list[Sample | ReadFailure]:
            rounds.append(name)
            return []

        return FakeCollector(answer, name, 0.001)

    first, second, third = collector("first"), collector("second"), collector("third")
    workers = Workers(clock=SystemClock())
    workers.employ([first, second])
    before = {duty.collector: duty for duty in workers}
    workers.employ([second, third])
    after = {duty.collector: duty for duty in workers}

    assert set(after) == {second, third}
    assert after[second] is before[second]
    wait_until(lambda: "third" in rounds, _PATIENCE_SECONDS, "the new collector's round")
    wait_until(lambda: not _threads("first"), _PATIENCE_SECONDS, "the thread to end")
    workers.stop()
    wait_until(lambda: not _threads("second", "third"), _PATIENCE_SECONDS, "all threads to end")


def _threads(*names: str) -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name in names]


def test_rounds_keep_to_one_grid_after_the_first() -> None:
    clock = FakeClock(monotonic=1000.0)
    begun: list[float] = []
    stop = threading.Event()

    def answer() -> list[Sample | ReadFailure]:
        begun.append(clock.monotonic() - 1000.0)
        # The second round takes two and a half intervals.
        clock.advance(2.5 if len(begun) == 2 else 0.1)
        if len(begun) == 5:
            stop.set()
        return []

    duty = Duty(FakeCollector(answer), clock=clock)
    Shift([duty], interval_seconds=1.0, clock=clock, stop=stop).run()

    assert begun == pytest.approx([0, 1.01, 4.01, 5.01, 6.01])


def _values(snapshot: Snapshot, spec: MetricSpec) -> dict[str, object]:
    return {s.labels[0]: s.value for s in snapshot.samples() if s.spec is spec}


def test_collectors_of_one_name_are_as_good_as_the_worst() -> None:
    clock = FakeClock()
    good, _ = _duty([_SAMPLE], clock=clock)
    bad, _ = _duty([_FAILURE], clock=clock)
    good.run_round()
    bad.run_round()
    snapshot = Snapshot(duties=[good, bad], live=lambda: (), version="1")

    assert _values(snapshot, AGENT_COLLECTOR_SUCCESS) == {"fake": 0}
    assert _values(snapshot, AGENT_READ_ERRORS) == {"fake": 1}
    assert _values(snapshot, AGENT_LAST_SUCCESS) == {}
    assert _values(snapshot, AGENT_COLLECTOR_DURATION) == {"fake": 0.0}


def test_nothing_is_said_of_a_collector_before_its_first_round() -> None:
    duty, _ = _duty([_SAMPLE])
    snapshot = Snapshot(duties=[duty], live=lambda: (), version="1")

    assert _values(snapshot, AGENT_COLLECTOR_SUCCESS) == {}
    assert _values(snapshot, AGENT_READ_ERRORS) == {"fake": 0}


def test_a_snapshot_is_exposition() -> None:
    duty, _ = _duty([_SAMPLE])
    duty.run_round()
    text = Snapshot(duties=[duty], live=lambda: (), version="1.2").render().decode()

    assert "railwatch_host_cpu_busy_ratio 0.5\n" in text
    assert 'railwatch_agent_build_info{version="1.2",' in text
