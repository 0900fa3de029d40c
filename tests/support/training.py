"""Training jobs as a node sees them from outside, with the truth: bytes, activity, steps.

Everything is made on a fine grid of a millisecond, and then sampled as an agent would: counters of
bytes at times that are late and uneven, a compute signal that averages, lags and is rounded. It
knows nothing of how steps are found.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

FINE_SECONDS = 0.001
LINE_RATE = 25e9

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]


@dataclass
class StepCells:
    """One step on the fine grid: whether the GPUs compute, and the share of line rate sent."""

    compute: Bools
    sent: Floats


Shape = Callable[[int, np.random.Generator], StepCells]
"""Makes a step of so many milliseconds."""


def _empty(cells: int) -> StepCells:
    return StepCells(np.ones(cells, dtype=bool), np.zeros(cells))


def _span(cells: int, begin: float, end: float) -> slice:
    return slice(round(begin * cells), max(round(end * cells), round(begin * cells)))


OPTIMIZER = 0.03
"""Share of a step in which parameters are updated: compute, after the last bytes."""


def bucketed(exposed: float, overlapped: float = 0.4, buckets: int = 12) -> Shape:
    """All-reduce of buckets under the backward pass; the last ones are exposed."""

    def step(cells: int, rng: np.random.Generator) -> StepCells:
        made = _empty(cells)
        end = 1 - OPTIMIZER
        begin = end - exposed - overlapped
        made.compute[_span(cells, end - exposed, end)] = False
        edges = np.linspace(begin, end, buckets + 1)
        for low, high in pairwise(edges):
            # A bucket waits a moment for its gradients, but the exposed ones are queued up.
            gap = 0.15 * (high - low) if high < end - exposed else 0.0
            made.sent[_span(cells, low + gap, high)] = rng.uniform(0.6, 0.9)
        return made

    return step


def burst(exposed: float) -> Shape:
    """One all-reduce after the backward pass."""

    def step(cells: int, rng: np.random.Generator) -> StepCells:
        made = _empty(cells)
        where = _span(cells, 1 - OPTIMIZER - exposed, 1 - OPTIMIZER)
        made.compute[where] = False
        made.sent[where] = rng.uniform(0.75, 0.9)
        return made

    return step


def accumulated(exposed: float, micro_batches: int = 8, small: float = 0.35) -> Shape:
    """Gradient accumulation: a small burst each micro-batch, the all-reduce after the last."""

    def step(cells: int, rng: np.random.Generator) -> StepCells:
        made = _empty(cells)
        end = 1 - OPTIMIZER
        edges = np.linspace(0, end - exposed, micro_batches + 1)
        for high, width in zip(edges[1:], np.diff(edges), strict=True):
            made.sent[_span(cells, high - 0.25 * width, high)] = small * rng.uniform(0.9, 1.1)
        where = _span(cells, end - max(exposed, 0.08), end)
        made.sent[where] = rng.uniform(0.75, 0.9)
        made.compute[_span(cells, end - exposed, end)] = False
        return made

    return step


def pipelined(exposed: float, micro_batches: int = 6, bubble: float = 0.12) -> Shape:
    """Pipeline stages: activations sent after each micro-batch, a bubble, gradients at the end."""

    def step(cells: int, rng: np.random.Generator) -> StepCells:
        made = _empty(cells)
        end = 1 - OPTIMIZER
        made.compute[_span(cells, 0.45, 0.45 + bubble)] = False
        starts = [*np.linspace(0.03, 0.40, micro_batches), *np.linspace(0.62, 0.9, micro_batches)]
        for start in starts:
            at = start * (end - exposed)
            made.sent[_span(cells, at, at + 0.02)] = 0.3 * rng.uniform(0.9, 1.1)
        where = _span(cells, end - max(exposed, 0.08), end)
        made.sent[where] = rng.uniform(0.75, 0.9)
        made.compute[_span(cells, end - exposed, end)] = False
        return made

    return step


def micro_bursts(exposed: float, overlapped: float = 0.5, share: float = 0.5) -> Shape:
    """Bytes in bursts of a few milliseconds, as many as fit: sharded parameters, small messages."""

    def step(cells: int, rng: np.random.Generator) -> StepCells:
        made = _empty(cells)
        end = round((1 - OPTIMIZER) * cells)
        at = end - round((exposed + overlapped) * cells)
        made.compute[end - round(exposed * cells) : end] = False
        while at < end:
            width = int(rng.integers(3, 10))
            is_exposed = at >= end - exposed * cells
            made.sent[at : min(at + width, end)] = rng.uniform(0.5, 0.9)
            at += width + (0 if is_exposed else round(width * (1 - share) / share))
        return made

    return step


def input_bound(exposed: float, idle: float = 0.15, overlapped: float = 0.3) -> Shape:
    """The step begins by waiting for its input."""
    inner = bucketed(exposed, overlapped)

    def step(cells: int, rng: np.random.Generator) -> StepCells:
        made = inner(cells, rng)
        made.compute[_span(cells, 0, idle)] = False
        return made

    return step


@dataclass
class Run:
    """The truth of one run: what was computed and sent in each millisecond, and the steps."""

    compute: Bools
    sent: Floats
    starts: Floats
    ends: Floats
    pauses: list[tuple[float, float]] = field(default_factory=list)

    @property
    def seconds(self) -> float:
        """How long it is."""
        return len(self.compute) * FINE_SECONDS

    def share(self, since: float = 0.0) -> dict[str, float]:
        """Return the shares of the steps that ended after *since*."""
        inside = np.zeros(len(self.compute), dtype=bool)
        for start, end in zip(self.starts, self.ends, strict=True):
            if end > since:
                inside[round(start / FINE_SECONDS) : round(end / FINE_SECONDS)] = True
        sending = self.sent > 0
        return {
            "compute": float(self.compute[inside].mean()),
            "exposed": float((sending & ~self.compute)[inside].mean()),
            "communication": float(sending[inside].mean()),
        }

    def period(self, since: float, until: float) -> float:
        """Return the mean length of the steps that lie between."""
        lengths = self.ends - self.starts
        return float(lengths[(self.starts >= since) & (self.ends <= until)].mean())


@dataclass(frozen=True)
class Course:
    """How steps differ from one another.

    Lengths vary evenly by up to *variation*, and grow by *drift* over the whole run; the first
    steps are longer by the factors of *warm_up*. Each pause has a time after which it begins with
    the next step, and a length, in which nothing is sent or computed.
    """

    variation: float = 0.002
    drift: float = 0.0
    warm_up: Sequence[float] = ()
    pauses: Sequence[tuple[float, float]] = ()


STEADY = Course()


def train(
    shape: Shape,
    step_seconds: float,
    seconds: float,
    rng: np.random.Generator,
    course: Course = STEADY,
) -> Run:
    """Run steps for so long."""
    compute: list[Bools] = []
    sent: list[Floats] = []
    starts, ends, told = [], [], []
    waiting = sorted(course.pauses)
    at = 0
    total = round(seconds / FINE_SECONDS)
    while at < total:
        if waiting and at * FINE_SECONDS >= waiting[0][0]:
            cells = round(waiting.pop(0)[1] / FINE_SECONDS)
            told.append((at * FINE_SECONDS, (at + cells) * FINE_SECONDS))
            compute.append(np.zeros(cells, dtype=bool))
            sent.append(np.zeros(cells))
            at += cells
            continue
        longer = course.warm_up[len(starts)] if len(starts) < len(course.warm_up) else 1.0
        length = step_seconds * longer * (1 + course.drift * at / total)
        length *= 1 + rng.uniform(-course.variation, course.variation)
        made = shape(round(length / FINE_SECONDS), rng)
        starts.append(at * FINE_SECONDS)
        at += len(made.sent)
        ends.append(at * FINE_SECONDS)
        compute.append(made.compute)
        sent.append(made.sent)
    return Run(
        np.concatenate(compute), np.concatenate(sent), np.array(starts), np.array(ends), told
    )


@dataclass(frozen=True)
class Sampling:
    """How bytes are sampled.

    Times are uneven by *jitter* of the interval, and a share *late* of them comes up to four
    intervals late. *background* is other traffic, in the mean, as a share of line rate, in bursts.
    *stalls* a second stop what is sent for up to 80 ms, which is made up for after: a busy host.
    """

    interval_seconds: float = 0.02
    jitter: float = 0.05
    late: float = 0.0
    background: float = 0.0
    stalls: float = 0.0


def count_bytes(
    run: Run, sampling: Sampling, rng: np.random.Generator, line_rate: float = LINE_RATE
) -> tuple[Floats, Floats]:
    """Return the times of the samples and the counter of bytes sent."""
    sent = run.sent * line_rate * FINE_SECONDS
    if sampling.stalls:
        sent = _stalled(sent, sampling.stalls, line_rate * FINE_SECONDS, rng)
    if sampling.background:
        # Flows of 5 to 200 ms at a fifth of the line rate.
        cells = len(sent)
        number = max(round(sampling.background * cells / (0.2 * 100)), 1)
        for at, width in zip(
            rng.integers(0, cells, number), rng.integers(5, 200, number), strict=True
        ):
            sent[at : at + width] += 0.2 * line_rate * FINE_SECONDS
    counted = np.concatenate(([0.0], np.cumsum(sent)))
    number = int(run.seconds / sampling.interval_seconds)
    times = np.arange(number) * sampling.interval_seconds
    times += rng.uniform(0, sampling.jitter * sampling.interval_seconds, number)
    late = rng.random(number) < sampling.late
    times += late * rng.uniform(0.5, 4, number) * sampling.interval_seconds
    times = np.maximum.accumulate(times)
    times = times[np.diff(times, prepend=-1) > 0]
    times = times[times < run.seconds]
    fine = np.arange(len(counted)) * FINE_SECONDS
    return times, np.floor(np.interp(times, fine, counted)) + 1e12


def _stalled(sent: Floats, rate: float, most: float, rng: np.random.Generator) -> Floats:
    """Hold back what is sent now and then, and let it follow as fast as the line permits."""
    made = sent.copy()
    seconds = len(sent) * FINE_SECONDS
    for at in rng.integers(0, len(sent), rng.poisson(rate * seconds)):
        width = int(rng.integers(5, 80))
        owed = made[at : at + width].sum()
        made[at : at + width] = 0
        after = made[at + width : at + 8 * width]
        room = np.maximum(most - after, 0)
        room[0.05 * most > after] = 0
        given = np.minimum(np.cumsum(room), owed)
        after += np.diff(given, prepend=0)
    return made


@dataclass(frozen=True)
class Gauge:
    """How the compute signal is sampled: a share of *busy* while computing, *waiting* else."""

    interval_seconds: float = 0.02
    averaging_seconds: float = 0.02
    lag_seconds: float = 0.0
    noise: float = 0.0
    quantum: float = 0.0
    busy: float = 0.9
    waiting: float = 0.1


def gauge_activity(run: Run, gauge: Gauge, rng: np.random.Generator) -> tuple[Floats, Floats]:
    """Return the times of the samples, each the end of what it averages, and the values."""
    level = np.where(run.compute, gauge.busy, gauge.waiting)
    summed = np.concatenate(([0.0], np.cumsum(level) * FINE_SECONDS))
    fine = np.arange(len(summed)) * FINE_SECONDS
    times = np.arange(1, int(run.seconds / gauge.interval_seconds)) * gauge.interval_seconds
    times += rng.uniform(0, 0.05 * gauge.interval_seconds, len(times))
    ends = times - gauge.lag_seconds
    begins = ends - gauge.averaging_seconds
    values = np.interp(ends, fine, summed) - np.interp(begins, fine, summed)
    values /= gauge.averaging_seconds
    values += rng.normal(0, gauge.noise, len(values)) if gauge.noise else 0.0
    if gauge.quantum:
        values = np.round(values / gauge.quantum) * gauge.quantum
    return times, values
