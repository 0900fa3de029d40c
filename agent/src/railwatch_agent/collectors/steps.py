# SPDX-License-Identifier: Apache-2.0
"""The steps of the jobs on this node, inferred from the tapes; a pure reader of both."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from railwatch.catalogue.metric import Distribution, Sample
from railwatch.catalogue.step import (
    STEP_COMMUNICATION,
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
    StepSource,
    Unresolved,
)
from railwatch_agent.sources.nvml.quantities import Signal as GpuSignal
from railwatch_agent.steps.history import Samples, Signal
from railwatch_agent.steps.tracker import Tracker

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

    from railwatch.clock import Clock
    from railwatch_agent.gpus.ledger import GpuView
    from railwatch_agent.gpus.tape import GpuSlice, GpuTape
    from railwatch_agent.jobs.place import JobPlace
    from railwatch_agent.steps.view import View
    from railwatch_agent.tape import Tape

# A job that has ended, or has not moved for so long, has no series any more.
FORGET_SECONDS: Final = 600.0
# Below this a cell would hold less than its samples' own unevenness.
_SHORTEST_CELL_SECONDS: Final = 0.01
# Signals that tell compute from a collective's kernel that waits.
_SHARES: Final = frozenset({GpuSignal.GPM})
_WATTS: Final = frozenset({GpuSignal.ENERGY, GpuSignal.POWER_SAMPLES})
_TRANSMIT_ROW: Final = 2
# With more jobs than this, each waits for its turn; tapes are long enough for sixteen.
_JOBS_A_ROUND: Final = 2


@dataclass(slots=True)
class _Followed:
    """One job: who follows it, why it cannot be followed, and when it was there last."""

    tracker: Tracker
    seen_at: float
    is_there: bool = True
    reason: Unresolved | None = None
    signal: Signal | None = None
    labels: tuple[str, str] = field(default=("", StepSource.INFERRED))


class StepCollector:
    """Reads *tape* and *gpu_tape*.

    *places* answers with where on the node each job is, *gpus* with the node's GPUs and which
    signal each has; *sample_seconds* is the interval of the rails' fast samples at its best.
    """

    name = "steps"
    interval_seconds = 3.0

    def __init__(
        self,
        *,
        tape: Tape,
        gpu_tape: GpuTape,
        places: Callable[[], Sequence[JobPlace]],
        gpus: Callable[[], Sequence[GpuView]],
        sample_seconds: float,
        clock: Clock,
    ) -> None:
        self._tape = tape
        self._gpu_tape = gpu_tape
        self._places = places
        self._gpus = gpus
        self._cell_seconds = max(sample_seconds, _SHORTEST_CELL_SECONDS)
        self._clock = clock
        self._jobs: dict[str, _Followed] = {}
        self._turn = 0

    def collect(self) -> Iterator[Sample]:
        """Follow each job to now, and yield what is known of those that moved lately."""
        now = self._clock.monotonic()
        places = {place.job_id: place for place in self._places()}
        shared = _shared_rails(places.values())
        for job_id, followed in self._jobs.items():
            followed.is_there = job_id in places
        for job_id, place in places.items():
            followed = self._jobs.get(job_id) or self._begin(job_id, now)
            self._jobs[job_id] = followed
            followed.seen_at = now
            is_alone = bool(place.rails) and not shared & set(place.rails)
            followed.reason = None if is_alone else Unresolved.SEVERAL_JOBS
        for job_id in self._in_turn([p for p in places if self._jobs[p].reason is None]):
            self._follow(self._jobs[job_id], places[job_id], now)
        for job_id, followed in list(self._jobs.items()):
            if now - max(followed.seen_at, followed.tracker.view.moved_at) > FORGET_SECONDS:
                del self._jobs[job_id]
            else:
                yield from _samples(job_id, followed, now)

    def _begin(self, job_id: str, now: float) -> _Followed:
        """Follow a job from when it is known: what was before was another's, if one was."""
        tracker = Tracker(self._cell_seconds, began_at=now if self._jobs else -math.inf)
        return _Followed(tracker, now, labels=(job_id, StepSource.INFERRED))

    def _in_turn(self, jobs: Sequence[str]) -> Sequence[str]:
        """Return whose turn it is, so that many jobs cost no more than a few do."""
        if len(jobs) <= _JOBS_A_ROUND:
            return jobs
        self._turn %= len(jobs)
        chosen = [*jobs[self._turn :], *jobs[: self._turn]][:_JOBS_A_ROUND]
        self._turn += _JOBS_A_ROUND
        return chosen

    def _follow(self, followed: _Followed, place: JobPlace, now: float) -> None:
        since = followed.tracker.read_from(now)
        rails = [self._tape.bytes.since(rail, since) for rail in place.rails]
        followed.signal, numbers = _signal(self._gpus(), place.gpus)
        held: Mapping[int, GpuSlice] = self._gpu_tape.slices(since) if numbers else {}
        followed.tracker.observe(
            now,
            [Samples(rows[0], rows[_TRANSMIT_ROW]) for rows in rails],
            [Samples(held[n].times, held[n].activity) for n in numbers if n in held],
            followed.signal,
        )


def _shared_rails(places: Iterable[JobPlace]) -> set[int]:
    seen: set[int] = set()
    shared: set[int] = set()
    for place in places:
        shared |= seen & set(place.rails)
        seen |= set(place.rails)
    return shared


def _signal(
    gpus: Sequence[GpuView], wanted: Sequence[int]
) -> tuple[Signal | None, tuple[int, ...]]:
    """Return the signal that most of the GPUs have that tells compute, and which have it."""
    having: dict[GpuSignal, list[tuple[int, float]]] = {}
    for gpu in gpus:
        report = gpu.report
        if gpu.number not in wanted or report is None or report.is_lost or report.signal is None:
            continue
        if report.signal in _SHARES | _WATTS and report.averaging_seconds is not None:
            having.setdefault(report.signal, []).append((gpu.number, report.averaging_seconds))
    if not having:
        return None, ()
    name, chosen = max(having.items(), key=lambda item: len(item[1]))
    averaging = max(seconds for _, seconds in chosen)
    return Signal(name, averaging, name in _SHARES), tuple(number for number, _ in chosen)


def _samples(job_id: str, followed: _Followed, now: float) -> Iterator[Sample]:
    view, labels = followed.tracker.view, followed.labels
    if now - view.moved_at <= FORGET_SECONDS:
        yield from _totals(view, labels)
        if followed.is_there and followed.reason is None:
            yield from _now(view, labels, followed.signal)
    elif not job_id:
        # Nobody knows of a job, and nothing moves: there is none.
        return
    reason = followed.reason or view.reason
    if followed.is_there and reason is not None:
        yield Sample(STEP_UNRESOLVED, (job_id, reason), 1)


def _totals(view: View, labels: tuple[str, str]) -> Iterator[Sample]:
    totals = view.totals
    if totals.steps:
        yield Sample(STEP_SECONDS, labels, Distribution((), totals.steps, totals.seconds))
        yield Sample(STEP_TRANSMIT_BYTES, labels, totals.transmit_bytes)
    if totals.split_steps and not view.withholds_split:
        yield Sample(STEP_COMPUTE, labels, totals.compute)
        yield Sample(STEP_COMMUNICATION, labels, totals.communication)
        yield Sample(STEP_EXPOSED, labels, totals.exposed)
        yield Sample(STEP_STALLED, labels, totals.stalled)
        yield Sample(STEP_IDLE, labels, totals.idle)


def _now(view: View, labels: tuple[str, str], signal: Signal | None) -> Iterator[Sample]:
    if view.period_seconds is None:
        return
    yield Sample(STEP_PERIOD, labels, view.period_seconds)
    yield Sample(STEP_CONFIDENCE, labels, view.confidence)
    if view.is_split and signal is not None:
        yield Sample(STEP_SOURCE_INFO, (*labels, signal.name), 1)
