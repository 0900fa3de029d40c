"""Rounds of collectors: a deadline, staleness, and what the agent says of them."""

import threading
from collections.abc import Iterator

import pytest

from agent.fakes import FakeClock, FakeCollector
from railwatch.catalogue.metric import MetricSpec, ReadFailure, Sample
from railwatch.catalogue.node import (
    AGENT_COLLECTOR_DURATION,
    AGENT_COLLECTOR_SUCCESS,
    AGENT_LAST_SUCCESS,
    AGENT_READ_ERRORS,
    HOST_CPU_BUSY,
)
from railwatch.clock import SystemClock
from railwatch_agent.snapshot import Snapshot
from railwatch_agent.workers import DEADLINE_SECONDS, Worker, Workers
from support.conditions import wait_until

_SAMPLE = Sample(HOST_CPU_BUSY, (), 0.5)
_FAILURE = ReadFailure("cpu", "Input/output error")
_PATIENCE_SECONDS = 20.0


def _worker(*answers: object, clock: FakeClock | None = None) -> tuple[Worker, FakeClock]:
    """Return a worker whose collector gives one answer a round; an exception is raised."""
    clock = clock or FakeClock()
    left = iter(answers)

    def answer() -> list[Sample | ReadFailure]:
        given = next(left)
        if isinstance(given, BaseException):
            raise given
        assert isinstance(given, list)
        return given

    return Worker(FakeCollector(answer), clock=clock, stop=threading.Event()), clock


def test_a_round_is_exposed_until_it_is_stale() -> None:
    worker, clock = _worker([_SAMPLE])
    worker.run_round()
    clock.advance(DEADLINE_SECONDS)
    fresh = worker.samples()
    clock.advance(0.001)

    assert fresh == (_SAMPLE,)
    assert worker.samples() == ()


def test_a_failure_costs_its_reading_only() -> None:
    worker, _ = _worker([_SAMPLE, _FAILURE])
    worker.run_round()

    assert worker.samples() == (_SAMPLE,)
    assert (worker.report().succeeded, worker.report().read_errors) == (True, 1)


def test_a_round_of_failures_only_did_not_succeed() -> None:
    worker, clock = _worker([_SAMPLE], [_FAILURE])
    worker.run_round()
    before = worker.report().last_success
    clock.advance(1.0)
    worker.run_round()

    assert worker.samples() == ()
    assert worker.report().succeeded is False
    assert worker.report().last_success == before == clock.wall() - 1.0


@pytest.mark.parametrize("error", [RuntimeError("bug"), MemoryError(), KeyError("speed")])
def test_any_exception_costs_that_round(error: Exception, caplog: pytest.LogCaptureFixture) -> None:
    worker, _ = _worker(error, [_SAMPLE])
    worker.run_round()
    failed = worker.report()
    worker.run_round()

    assert (failed.succeeded, failed.read_errors) == (False, 1)
    assert worker.report().succeeded is True
    assert worker.samples() == (_SAMPLE,)
    assert sum(type(error).__name__ in record.message for record in caplog.records) == 1


def test_a_repeated_fault_is_logged_once_per_change(caplog: pytest.LogCaptureFixture) -> None:
    other = ReadFailure("memory", "Input/output error")
    worker, _ = _worker([_FAILURE], [_FAILURE], [_FAILURE, other], [], [_FAILURE])
    for _ in range(5):
        worker.run_round()

    said = [(r.levelname, r.getMessage().split(": ")[0]) for r in caplog.records]
    assert [entry for entry in said if entry[0] == "WARNING"] == [
        ("WARNING", "collector=fake cpu"),
        ("WARNING", "collector=fake memory"),
        ("WARNING", "collector=fake cpu"),
    ]


def test_nothing_to_read_is_a_success() -> None:
    worker, _ = _worker([])
    worker.run_round()

    assert worker.report().succeeded is True


class _Hanging:
    """A collector whose round lasts until it is let go."""

    name = "hanging"
    interval_seconds = 1.0

    def __init__(self) -> None:
        self.go = threading.Event()
        self.rounds = 0

    def collect(self) -> Iterator[Sample | ReadFailure]:
        """Wait, then yield a sample."""
        self.rounds += 1
        self.go.wait(_PATIENCE_SECONDS)
        yield _SAMPLE


@pytest.fixture
def hanging() -> Iterator[_Hanging]:
    collector = _Hanging()
    yield collector
    collector.go.set()


class _ForwardClock(SystemClock):
    """The machine's clock, which a test puts forward."""

    def __init__(self) -> None:
        self.offset = 0.0

    def monotonic(self) -> float:
        return super().monotonic() + self.offset


def test_a_round_that_hangs_has_no_success_and_a_duration_that_grows(hanging: _Hanging) -> None:
    clock = _ForwardClock()
    worker = Worker(hanging, clock=clock, stop=threading.Event())
    worker.start()
    wait_until(lambda: hanging.rounds, _PATIENCE_SECONDS, "the round to begin")
    begun = worker.report()
    clock.offset += DEADLINE_SECONDS + 1.0
    late = worker.report()
    clock.offset += 60.0

    assert begun.was_attempted is False
    assert (late.was_attempted, late.succeeded) == (True, False)
    assert late.duration_seconds > DEADLINE_SECONDS
    assert worker.report().duration_seconds > late.duration_seconds + 59
    assert hanging.rounds == 1


def test_a_collector_that_hangs_after_good_rounds_has_no_success(hanging: _Hanging) -> None:
    clock = _ForwardClock()
    worker = Worker(hanging, clock=clock, stop=threading.Event())
    hanging.go.set()
    worker.run_round()
    good = worker.report().succeeded
    hanging.go.clear()
    worker.start()
    wait_until(lambda: hanging.rounds == 2, _PATIENCE_SECONDS, "the next round to begin")
    clock.offset += DEADLINE_SECONDS + 1.0

    assert (good, worker.report().succeeded) == (True, False)
    assert worker.report().last_success is not None


def test_a_round_that_hung_and_ended_is_a_success_again(hanging: _Hanging) -> None:
    clock = _ForwardClock()
    stop = threading.Event()
    worker = Worker(hanging, clock=clock, stop=stop)
    worker.start()
    wait_until(lambda: hanging.rounds, _PATIENCE_SECONDS, "the round to begin")
    clock.offset += 60.0
    hanging.go.set()

    wait_until(worker.samples, _PATIENCE_SECONDS, "the round to be exposed")
    assert worker.report().succeeded is True
    stop.set()


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
    before = {worker.collector: worker for worker in workers}
    workers.employ([second, third])
    after = {worker.collector: worker for worker in workers}

    assert set(after) == {second, third}
    assert after[second] is before[second]
    before[first]._thread.join(_PATIENCE_SECONDS)
    assert not before[first]._thread.is_alive()
    wait_until(lambda: "third" in rounds, _PATIENCE_SECONDS, "the new collector's round")
    workers.stop()
    for worker in workers:
        worker._thread.join(_PATIENCE_SECONDS)
        assert not worker._thread.is_alive()


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

    Worker(FakeCollector(answer), clock=clock, stop=stop)._run()

    assert begun == pytest.approx([0, 1.01, 4.01, 5.01, 6.01])


def _values(snapshot: Snapshot, spec: MetricSpec) -> dict[str, object]:
    return {s.labels[0]: s.value for s in snapshot.samples() if s.spec is spec}


def test_collectors_of_one_name_are_as_good_as_the_worst() -> None:
    clock = FakeClock()
    good, _ = _worker([_SAMPLE], clock=clock)
    bad, _ = _worker([_FAILURE], clock=clock)
    good.run_round()
    bad.run_round()
    snapshot = Snapshot(workers=[good, bad], live=lambda: (), version="1")

    assert _values(snapshot, AGENT_COLLECTOR_SUCCESS) == {"fake": 0}
    assert _values(snapshot, AGENT_READ_ERRORS) == {"fake": 1}
    assert _values(snapshot, AGENT_LAST_SUCCESS) == {}
    assert _values(snapshot, AGENT_COLLECTOR_DURATION) == {"fake": 0.0}


def test_nothing_is_said_of_a_collector_before_its_first_round() -> None:
    worker, _ = _worker([_SAMPLE])
    snapshot = Snapshot(workers=[worker], live=lambda: (), version="1")

    assert _values(snapshot, AGENT_COLLECTOR_SUCCESS) == {}
    assert _values(snapshot, AGENT_READ_ERRORS) == {"fake": 0}


def test_a_snapshot_is_exposition() -> None:
    worker, _ = _worker([_SAMPLE])
    worker.run_round()
    text = Snapshot(workers=[worker], live=lambda: (), version="1.2").render().decode()

    assert "railwatch_host_cpu_busy_ratio 0.5\n" in text
    assert 'railwatch_agent_build_info{version="1.2",' in text
