"""What a GPU does over time, as phases of constant levels: pure, the reference for the C code."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Self

from support.nvml.layout import LEVELS, SIZES

SECOND = 10**9
# What stays of the past when something new begins: instruments look back a second or two.
_KEPT_PHASES = 24


class Activity(StrEnum):
    """What a training job makes a GPU do.

    STALLED is a collective that waits for others: its kernel spins, so the GPU counts as busy.
    """

    IDLE = "idle"
    COMPUTE = "compute"
    COMMUNICATION = "communication"
    STALLED = "stalled"


@dataclass(frozen=True)
class Levels:
    """What the instruments can see of an activity: shares of 1, watts, bytes a second."""

    busy: float = 0.0
    memory_busy: float = 0.0
    sm: float = 0.0
    tensor: float = 0.0
    watts: float = 0.0
    nvlink_transmit: float = 0.0
    nvlink_receive: float = 0.0
    pcie_transmit: float = 0.0
    pcie_receive: float = 0.0

    def values(self) -> tuple[float, ...]:
        """In the order of the state file."""
        return tuple(getattr(self, name) for name in LEVELS)


@dataclass(frozen=True)
class Phase:
    """From `start` (CLOCK_MONOTONIC, ns) until the next phase."""

    start: int
    levels: Levels


@dataclass(frozen=True)
class Timeline:
    """Phases in order; those from `cycle` on repeat every `period` ns unless it is 0.

    `base` is what each level had summed up to when the first phase started.
    """

    phases: tuple[Phase, ...] = ()
    cycle: int = 0
    period: int = 0
    base: Levels = Levels()

    def integral(self, level: str, time: int) -> float:
        """The sum of a level over time, multiplied by seconds, until *time*."""
        total: float = getattr(self.base, level)
        whole = self._whole_cycles(time)
        if not whole:
            return total + _sum(self.phases, level, time)
        cycle = self.phases[self.cycle :]
        total += _sum(self.phases, level, cycle[0].start)
        total += whole * _sum(cycle, level, cycle[0].start + self.period)
        return total + _sum(cycle, level, time - whole * self.period)

    def mean(self, level: str, start: int, end: int) -> float:
        """The mean of a level over a span."""
        return (self.integral(level, end) - self.integral(level, start)) / ((end - start) / SECOND)

    def followed_by(
        self, parts: Sequence[tuple[float, Levels]], at: int, *, repeated: bool = False
    ) -> Self:
        """The same until *at*, then *parts* (seconds, levels), again and again if repeated.

        A part lasts its seconds; the last one lasts for ever where nothing repeats.
        """
        past = self._past(at)
        origin = past[0].start if past else at
        base = Levels(**{level: self.integral(level, origin) for level in LEVELS})
        start, coming = at, []
        for seconds, levels in parts:
            coming.append(Phase(start, levels))
            start += round(seconds * SECOND)
        phases = (*past, *coming)
        if len(phases) > SIZES["PHASES"]:
            raise ValueError(f"{len(coming)} phases at once do not fit")
        return type(self)(phases, len(past), start - at if repeated else 0, base)

    def _whole_cycles(self, time: int) -> int:
        """How often the cycle has been gone through by then."""
        return max(0, (time - self.phases[self.cycle].start) // self.period) if self.period else 0

    def _past(self, until: int) -> list[Phase]:
        """The last phases that began before *until*, repetitions among them."""
        found = [phase for phase in self.phases if phase.start < until]
        whole = self._whole_cycles(until)
        for repetition in range(max(1, whole - _KEPT_PHASES), whole + 1):
            moved = [
                Phase(phase.start + repetition * self.period, phase.levels)
                for phase in self.phases[self.cycle :]
            ]
            found += [phase for phase in moved if phase.start < until]
        return found[-_KEPT_PHASES:]


def _sum(phases: Sequence[Phase], level: str, until: int) -> float:
    """Phases once; the last one lasts for ever."""
    ends = [*(phase.start for phase in phases[1:]), until]
    spans = ((phase, min(end, until)) for phase, end in zip(phases, ends, strict=False))
    return math.fsum(
        getattr(phase.levels, level) * (end - phase.start) / SECOND
        for phase, end in spans
        if end > phase.start
    )
