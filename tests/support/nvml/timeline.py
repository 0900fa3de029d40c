"""What a GPU does over time, as phases of constant levels: pure, the reference for the C code."""

from collections.abc import Sequence
from dataclasses import dataclass, fields
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
        for start, end, levels in self._spans(time):
            total += getattr(levels, level) * (end - start) / SECOND
        return total

    def mean(self, level: str, start: int, end: int) -> float:
        """The mean of a level over a span."""
        return (self.integral(level, end) - self.integral(level, start)) / ((end - start) / SECOND)

    def followed_by(
        self, parts: Sequence[tuple[float, Levels]], at: int, *, repeated: bool = False
    ) -> Self:
        """The same until *at*, then *parts* (seconds, levels), again and again if repeated.

        A part lasts its seconds; the last one lasts for ever where nothing repeats.
        """
        past = [Phase(start, levels) for start, _, levels in self._spans(at)][-_KEPT_PHASES:]
        origin = past[0].start if past else at
        base = Levels(**{field.name: self.integral(field.name, origin) for field in fields(Levels)})
        start, coming = at, []
        for seconds, levels in parts:
            coming.append(Phase(start, levels))
            start += round(seconds * SECOND)
        phases = (*past, *coming)
        if len(phases) > SIZES["PHASES"]:
            raise ValueError(f"{len(coming)} phases at once do not fit")
        return type(self)(phases, len(past), start - at if repeated else 0, base)

    def _spans(self, until: int) -> list[tuple[int, int, Levels]]:
        """Every phase that has begun before *until*, repetitions unrolled, cut off there."""
        spans = []
        starts = self._starts(until)
        for number, (start, levels) in enumerate(starts):
            end = starts[number + 1][0] if number + 1 < len(starts) else until
            spans.append((start, end, levels))
        return spans

    def _starts(self, until: int) -> list[tuple[int, Levels]]:
        starts = [(phase.start, phase.levels) for phase in self.phases if phase.start < until]
        if self.period:
            cycle = self.phases[self.cycle :]
            shift = self.period
            while cycle[0].start + shift < until:
                starts += [(p.start + shift, p.levels) for p in cycle if p.start + shift < until]
                shift += self.period
        return starts
