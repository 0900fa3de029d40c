# SPDX-License-Identifier: Apache-2.0
"""What one job's markers add up to; pure.

The time from the end of a step to the start of the next is idle time of the step, and a part of it,
as long as it is no longer than a step: input, the host. What is longer is a pause (a checkpoint, an
evaluation), and no step's.
"""

from __future__ import annotations

import math
import statistics
from collections import deque
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

from railwatch_agent.markers.gathering import Gathering

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from railwatch_agent.markers.gathering import NodeStep
    from railwatch_agent.markers.marker import Marker

_STEPS_OF_PERIOD: Final = 15
_LEAST_STEPS_OF_PERIOD: Final = 3
# A rank that is late, or a job that has ended, holds its last step open for so long.
_PATIENCE_SECONDS: Final = 10.0
# After this many steps' time without one there is no step now.
_PERIODS_HELD: Final = 10
_LEAST_HELD_SECONDS: Final = 60.0
_MOST_UNMEASURED: Final = 1024


@dataclass(frozen=True, slots=True)
class Totals:
    """Seconds and bytes of the steps so far; None of what was never said or measured."""

    steps: int = 0
    seconds: float = 0.0
    compute: float | None = None
    exposed: float | None = None
    communication: float | None = None
    stalled: float | None = None
    idle: float | None = None
    transmit_bytes: float | None = None


class Account:
    """Of one job; *uid* is whose word its name is, None if it is better known than that."""

    def __init__(self, job_id: str, uid: int | None = None) -> None:
        self.job_id = job_id
        self.uid = uid
        self.totals = Totals()
        self.heard_at = -math.inf
        self._gathering = Gathering()
        self._last: NodeStep | None = None
        self._lengths: deque[float] = deque(maxlen=_STEPS_OF_PERIOD)
        self._typical: float | None = None
        self._unmeasured: deque[tuple[float, float]] = deque(maxlen=_MOST_UNMEASURED)

    def take(self, marker: Marker, now: float) -> bool:
        """Take a marker into account; return whether it had a place there."""
        steps = self._gathering.add(marker)
        if steps is None:
            return False
        self.heard_at = now
        self._follow(steps)
        return True

    def settle(self, now: float) -> None:
        """Close what nothing more will come of."""
        longest = max(_PATIENCE_SECONDS, 2 * (self._typical or 0.0))
        if now - self.heard_at > longest:
            self._follow(self._gathering.flush())
            if self._last is not None:
                self._book(self._last, 0.0)
                self._last = None

    def measure(
        self, until: float, bytes_of: Callable[[Sequence[tuple[float, float]]], Sequence[float]]
    ) -> None:
        """Add what was sent in the steps that ended by *until*; NaN of those that nobody knows."""
        spans: list[tuple[float, float]] = []
        while self._unmeasured and self._unmeasured[0][1] <= until:
            spans.append(self._unmeasured.popleft())
        known = [sent for sent in bytes_of(spans) if math.isfinite(sent)] if spans else []
        if known:
            total = (self.totals.transmit_bytes or 0.0) + sum(known)
            self.totals = replace(self.totals, transmit_bytes=total)

    def period(self, now: float) -> float | None:
        """Return how long a step takes now, None while there are none."""
        typical = self._typical
        if typical is None or len(self._lengths) < _LEAST_STEPS_OF_PERIOD:
            return None
        held = max(_LEAST_HELD_SECONDS, _PERIODS_HELD * typical)
        return typical if now - self.heard_at <= held else None

    def _follow(self, steps: Sequence[NodeStep]) -> None:
        for step in steps:
            if self._last is not None:
                last = self._last.end - self._last.start
                gap = step.start - self._last.end
                is_pause = gap > max(last, self._typical or 0.0)
                self._book(self._last, 0.0 if is_pause else gap)
            self._last = step

    def _book(self, step: NodeStep, idle: float) -> None:
        inner = step.end - step.start
        compute, exposed = _within(step.compute, inner), _within(step.exposed, inner)
        stalled = None
        if compute is not None and exposed is not None:
            exposed = min(exposed, inner - compute)
            stalled = inner - compute - exposed
        before = self.totals
        self.totals = replace(
            before,
            steps=before.steps + 1,
            seconds=before.seconds + inner + idle,
            compute=_sum(before.compute, compute),
            exposed=_sum(before.exposed, exposed),
            communication=_sum(before.communication, _within(step.communication, inner)),
            stalled=_sum(before.stalled, stalled),
            # Of a loop that marks no more than the ends of its steps nothing is known of this.
            idle=_sum(before.idle, idle or None),
        )
        self._lengths.append(inner + idle)
        self._typical = statistics.median(self._lengths)
        self._unmeasured.append((step.start, step.end + idle))


def _within(part: float | None, seconds: float) -> float | None:
    return None if part is None else min(part, seconds)


def _sum(before: float | None, part: float | None) -> float | None:
    return before if part is None else (before or 0.0) + part
