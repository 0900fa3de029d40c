"""What an agent says of a job's steps: its step series, and what they say of a span of time. Pure.

The series are the contract's; METRICS.md says what they mean.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Self

if TYPE_CHECKING:
    from collections.abc import Sequence

    from agent.program import Metrics

_PREFIX = "railwatch_step_"


@dataclass(frozen=True, slots=True)
class Parts:
    """Seconds that steps had in all, and the parts that they were split into."""

    steps: float = 0.0
    seconds: float = 0.0
    compute: float = 0.0
    exposed_communication: float = 0.0
    stalled: float = 0.0
    idle: float = 0.0

    def __sub__(self, before: Parts) -> Parts:
        return Parts(*(getattr(self, f.name) - getattr(before, f.name) for f in fields(self)))

    @property
    def split_seconds(self) -> float:
        """How much of the steps' time was split."""
        return self.compute + self.exposed_communication + self.stalled + self.idle

    @property
    def exposed_share(self) -> float:
        """Exposed communication against the time of the steps that were split."""
        return self.exposed_communication / self.split_seconds


@dataclass(frozen=True, slots=True)
class Reading:
    """The step series of one job and source at one moment; what is not exposed is None."""

    parts: Parts
    period_seconds: float | None
    reasons: tuple[str, ...]
    activity: str | None

    @classmethod
    def of(cls, metrics: Metrics, job_id: str, source: str) -> Self:
        """Read a scrape."""
        wanted = {("job_id", job_id), ("source", source)}

        def value(what: str) -> float | None:
            found = metrics.get(f"{_PREFIX}{what}", {})
            return next((v for labels, v in found.items() if wanted <= set(labels)), None)

        def label(what: str, name: str, labels_wanted: set[tuple[str, str]]) -> list[str]:
            found = metrics.get(f"{_PREFIX}{what}", {})
            return [dict(labels)[name] for labels in found if labels_wanted <= set(labels)]

        split = {name: value(f"{name}_seconds_total") or 0.0 for name in _PARTS}
        parts = Parts(value("seconds_count") or 0.0, value("seconds_sum") or 0.0, **split)
        return cls(
            parts=parts,
            period_seconds=value("period_seconds"),
            reasons=tuple(label("unresolved", "reason", {("job_id", job_id)})),
            activity=next(iter(label("source_info", "activity", wanted)), None),
        )


_PARTS = tuple(f.name for f in fields(Parts))[2:]


def harmonics(periods: Sequence[float], true_period: float) -> int:
    """Return how many of *periods* are not the true one but another, a multiple mostly."""
    return sum(not 0.75 < period / true_period < 1.33 for period in periods)
