"""What really happened in a step of one rank, by its own clock and its communication hook. Pure.

Seconds of CLOCK_MONOTONIC, which all namespaces of a machine share.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path  # noqa: TC003
from statistics import median
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

Interval = tuple[float, float]


@dataclass(frozen=True, slots=True)
class Mark:
    """One step: its input was there at `forward_start`, its last gradient at `compute_end`.

    `buckets` are the all-reduces: called, done, bytes. The optimizer works from `optimizer_start`
    to the end.
    """

    step: int
    start: float
    forward_start: float
    forward_end: float
    compute_end: float
    optimizer_start: float
    end: float
    buckets: tuple[tuple[float, float, int], ...]

    @property
    def seconds(self) -> float:
        """Length of the step."""
        return self.end - self.start

    @property
    def compute(self) -> list[Interval]:
        """When the device computed."""
        return [(self.forward_start, self.compute_end), (self.optimizer_start, self.end)]

    @property
    def communication(self) -> list[Interval]:
        """When gradients were under way, or waited for those of others."""
        return _union((start, end) for start, end, _ in self.buckets)

    @property
    def compute_seconds(self) -> float:
        """How long the device computed."""
        return _length(self.compute)

    @property
    def communication_seconds(self) -> float:
        """How long gradients were under way."""
        return _length(self.communication)

    @property
    def exposed_seconds(self) -> float:
        """How long gradients were under way while the device did not compute."""
        return _length(self.communication) - _overlap(self.communication, self.compute)

    @property
    def bytes(self) -> int:
        """Bytes of gradients that were all-reduced."""
        return sum(size for _, _, size in self.buckets)

    def to_json(self) -> str:
        """One line."""
        return json.dumps(asdict(self))

    @classmethod
    def from_json(cls, line: str) -> Mark:
        """Return the mark in a line."""
        values: dict[str, Any] = json.loads(line)
        values["buckets"] = tuple((start, end, size) for start, end, size in values["buckets"])
        return cls(**values)


def read_marks(path: Path) -> list[Mark]:
    """Return the steps in a file that may still be written to."""
    text = path.read_text(encoding="ascii") if path.exists() else ""
    return [Mark.from_json(line) for line in text[: text.rfind("\n") + 1].splitlines()]


def exposed_share(marks: Sequence[Mark]) -> float:
    """Exposed communication against the time of all these steps."""
    return sum(mark.exposed_seconds for mark in marks) / sum(mark.seconds for mark in marks)


def period(marks: Sequence[Mark]) -> float:
    """Length of the usual step."""
    return median(mark.seconds for mark in marks)


def _union(intervals: Iterable[Interval]) -> list[Interval]:
    """Return the same time without overlaps, in order.

    >>> _union([(4, 5), (0, 2), (1, 3)])
    [(0, 3), (4, 5)]
    """
    found: list[Interval] = []
    for start, end in sorted(intervals):
        if found and start <= found[-1][1]:
            found[-1] = (found[-1][0], max(end, found[-1][1]))
        else:
            found.append((start, end))
    return found


def _length(intervals: Iterable[Interval]) -> float:
    return sum(end - start for start, end in intervals)


def _overlap(some: Sequence[Interval], others: Sequence[Interval]) -> float:
    return sum(max(0.0, min(b, d) - max(a, c)) for a, b in some for c, d in others)
