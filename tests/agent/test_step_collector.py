"""Steps as they are exposed: which series a job has, and when it has none."""

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import pytest

from agent.fakes import FakeClock
from agent.readings import values
from agent.stepping import ROUND_SECONDS
from railwatch.catalogue.metric import Distribution, Sample
from railwatch.catalogue.step import (
    STEP_COMPUTE,
    STEP_CONFIDENCE,
    STEP_EXPOSED,
    STEP_IDLE,
    STEP_PERIOD,
    STEP_SECONDS,
    STEP_SOURCE_INFO,
    STEP_STALLED,
    STEP_TRANSMIT_BYTES,
    STEP_UNRESOLVED,
    Unresolved,
)
from railwatch_agent.collectors.steps import FORGET_SECONDS, StepCollector
from railwatch_agent.gpus.ledger import GpuView
from railwatch_agent.gpus.tape import GpuTape
from railwatch_agent.jobs.place import JobPlace
from railwatch_agent.sources.nvml.quantities import Signal, State
from railwatch_agent.sources.nvml.reports import GpuReport
from railwatch_agent.tape import Tape
from support.training import Gauge, Run, Sampling, bucketed, count_bytes, gauge_activity, train

_EVERYTHING = (JobPlace("", (0, 1), (0, 1)),)


def _gpu(number: int, signal: Signal, averaging: float, *, is_lost: bool = False) -> GpuView:
    report = GpuReport(
        number=number,
        time=0.0,
        uuid="",
        name="",
        address="",
        is_lost=is_lost,
        signal=signal,
        averaging_seconds=averaging,
        values={},
        failures={},
        denied=(),
        mig=(),
        processes=(),
        watches_xid=False,
        processor_seconds=0.0,
    )
    return GpuView(number, "", State.PRESENT, report, None, None)


@dataclass
class _Node:
    """A node whose tapes a test fills; time is the fake clock's, and begins at 1000 s."""

    places: tuple[JobPlace, ...] = _EVERYTHING
    gpus: tuple[GpuView, ...] = ()
    tape: Tape = field(default_factory=lambda: Tape(6000))
    gpu_tape: GpuTape = field(default_factory=lambda: GpuTape(120))
    clock: FakeClock = field(default_factory=FakeClock)

    def __post_init__(self) -> None:
        self.collector = StepCollector(
            tape=self.tape,
            gpu_tape=self.gpu_tape,
            places=lambda: self.places,
            gpus=lambda: self.gpus,
            sample_seconds=0.02,
            clock=self.clock,
        )

    def run(self, runs: Sequence[Run | None], seconds: float) -> list[Sample]:
        """Let each rail and GPU of the same number live through a run; return the last round."""
        rng = np.random.default_rng(3)
        began = self.clock.now
        rails = [None if run is None else count_bytes(run, Sampling(), rng) for run in runs]
        gauge = Gauge(0.02, 0.02)
        gpus = [None if run is None else gauge_activity(run, gauge, rng) for run in runs]
        last: list[Sample] = []
        for at in np.arange(0, seconds, ROUND_SECONDS):
            for number, (rail, gpu) in enumerate(zip(rails, gpus, strict=True)):
                if rail is None or gpu is None:
                    continue
                for time, sent in _between(*rail, at):
                    self.tape.track(number).append(began + time, 0.0, sent)
                block = [
                    (number, began + time, value, np.nan) for time, value in _between(*gpu, at)
                ]
                self.gpu_tape.write(np.array(block))
            self.clock.advance(ROUND_SECONDS)
            last = list(self.collector.collect())
        return last


def _between(times: np.ndarray, values: np.ndarray, at: float) -> list[tuple[float, float]]:
    inside = (times >= at) & (times < at + ROUND_SECONDS)
    return list(zip(times[inside].tolist(), values[inside].tolist(), strict=True))


def _job(exposed: float, step: float, seconds: float = 60, seed: int = 2) -> Run:
    return train(bucketed(exposed, 0.3), step, seconds, np.random.default_rng(seed))


def _two(signal: Signal = Signal.GPM, averaging: float = 0.02) -> tuple[GpuView, ...]:
    return (_gpu(0, signal, averaging), _gpu(1, signal, averaging))


def _value(readings: list[Sample], spec: object, labels: tuple[str, ...]) -> float:
    (found,) = [r.value for r in readings if r.spec is spec and r.labels == labels]
    assert isinstance(found, float | int)
    return found


def test_a_job_has_its_period_its_steps_and_their_parts() -> None:
    run = _job(0.23, 0.5)
    readings = _Node(gpus=_two()).run([run, run], 60)

    labels = ("", "inferred")
    steps = values(readings, STEP_SECONDS)[labels]
    assert isinstance(steps, Distribution)
    assert steps.count == pytest.approx(115, abs=6)
    assert _value(readings, STEP_PERIOD, labels) == pytest.approx(0.5, rel=0.01)
    assert _value(readings, STEP_CONFIDENCE, labels) > 0.8
    parts = [
        _value(readings, s, labels) for s in (STEP_COMPUTE, STEP_EXPOSED, STEP_STALLED, STEP_IDLE)
    ]
    assert sum(parts) == pytest.approx(steps.sum)
    assert parts[1] / steps.sum == pytest.approx(0.23, abs=0.05)
    assert values(readings, STEP_SOURCE_INFO) == {("", "inferred", "gpm"): 1}
    assert values(readings, STEP_UNRESOLVED) == {}


def test_bytes_of_all_rails_of_a_job_are_added_up() -> None:
    run = _job(0.23, 0.5)
    both = _Node().run([run, run], 60)
    one = _Node().run([run, None], 60)

    labels = ("", "inferred")
    assert _value(both, STEP_TRANSMIT_BYTES, labels) == pytest.approx(
        2 * _value(one, STEP_TRANSMIT_BYTES, labels), rel=0.02
    )


@pytest.mark.parametrize("averaging", [1.0, 0.1])
def test_a_slow_signal_is_told_as_the_reason_beside_the_period(averaging: float) -> None:
    run = _job(0.23, 0.5)
    readings = _Node(gpus=_two(Signal.ENERGY, averaging)).run([run, run], 40)

    assert values(readings, STEP_UNRESOLVED) == {("", Unresolved.LAG): 1}
    assert ("", "inferred") in values(readings, STEP_PERIOD)
    assert values(readings, STEP_EXPOSED) == {}
    assert values(readings, STEP_SOURCE_INFO) == {}


@pytest.mark.parametrize(
    "gpus",
    [(), _two(Signal.UTILIZATION), (_gpu(0, Signal.GPM, 0.02, is_lost=True),)],
    ids=["none", "utilization", "lost"],
)
def test_a_node_without_a_signal_that_tells_compute_says_so(gpus: tuple[GpuView, ...]) -> None:
    run = _job(0.23, 0.5)
    readings = _Node(gpus=gpus).run([run, run], 40)

    assert values(readings, STEP_UNRESOLVED) == {("", Unresolved.NO_ACTIVITY): 1}
    assert ("", "inferred") in values(readings, STEP_PERIOD)


def test_a_lost_gpu_leaves_the_others_to_tell() -> None:
    run = _job(0.23, 0.5)
    gpus = (_gpu(0, Signal.GPM, 0.02), _gpu(1, Signal.GPM, 0.02, is_lost=True))
    readings = _Node(gpus=gpus).run([run, run], 40)

    assert values(readings, STEP_UNRESOLVED) == {}


def test_two_jobs_on_a_node_have_steps_of_their_own() -> None:
    node = _Node(places=(JobPlace("a", (0,), (0,)), JobPlace("b", (1,), (1,))), gpus=_two())
    readings = node.run([_job(0.1, 0.5), _job(0.4, 0.8, seed=5)], 60)

    assert _value(readings, STEP_PERIOD, ("a", "inferred")) == pytest.approx(0.5, rel=0.01)
    assert _value(readings, STEP_PERIOD, ("b", "inferred")) == pytest.approx(0.8, rel=0.01)


@pytest.mark.parametrize("rails", [(), (1,)], ids=["nobody's", "both jobs'"])
def test_jobs_that_share_rails_are_not_followed(rails: tuple[int, ...]) -> None:
    node = _Node(places=(JobPlace("a", rails, (0,)), JobPlace("b", rails or (1,), (1,))))
    readings = node.run([_job(0.1, 0.5), _job(0.4, 0.8)], 40)

    assert values(readings, STEP_UNRESOLVED)[("a", Unresolved.SEVERAL_JOBS)] == 1
    assert ("a", "inferred") not in values(readings, STEP_PERIOD)


def test_a_job_is_not_given_the_steps_of_the_one_before_it() -> None:
    """Found on real training: for two minutes the next job had the period of the last."""
    node = _Node(places=(JobPlace("a", (0, 1), (0, 1)),), gpus=_two())
    first, second = _job(0.23, 0.5), _job(0.23, 0.8, seconds=40)
    node.run([first, first], 60)
    node.places = (JobPlace("b", (0, 1), (0, 1)),)
    readings = node.run([second, second], 40)

    steps = values(readings, STEP_SECONDS)["b", "inferred"]
    assert isinstance(steps, Distribution)
    assert steps.count <= 40 / 0.8
    assert steps.sum / steps.count == pytest.approx(0.8, rel=0.02)
    assert _value(readings, STEP_PERIOD, ("b", "inferred")) == pytest.approx(0.8, rel=0.01)


def test_a_node_on_which_nothing_moves_has_no_series() -> None:
    node = _Node()
    still = Run(np.ones(40_000, bool), np.zeros(40_000), np.empty(0), np.empty(0))

    assert node.run([still, still], 40) == []


def test_a_known_job_that_does_nothing_is_idle() -> None:
    node = _Node(places=(JobPlace("a", (0,), ()),))
    still = Run(np.ones(20_000, bool), np.zeros(20_000), np.empty(0), np.empty(0))

    assert values(node.run([still, still], 20), STEP_UNRESOLVED) == {("a", Unresolved.IDLE): 1}


def test_a_job_that_has_ended_keeps_its_totals_for_ten_minutes() -> None:
    run = _job(0.23, 0.5)
    node = _Node(places=(JobPlace("a", (0, 1), (0, 1)),), gpus=_two())
    before = node.run([run, run], 40)
    node.places = ()
    node.clock.advance(FORGET_SECONDS - 10)
    kept = list(node.collector.collect())
    node.clock.advance(20)

    assert values(kept, STEP_SECONDS) == values(before, STEP_SECONDS)
    assert values(kept, STEP_PERIOD) == {}
    assert values(kept, STEP_UNRESOLVED) == {}
    assert list(node.collector.collect()) == []


def test_a_job_that_does_not_move_any_more_is_dropped_too() -> None:
    run = _job(0.23, 0.5)
    node = _Node(gpus=_two())
    node.run([run, run], 40)
    node.clock.advance(FORGET_SECONDS + 10)
    list(node.collector.collect())

    assert list(node.collector.collect()) == []
