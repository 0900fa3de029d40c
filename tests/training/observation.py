"""A job watched for a while: what the agents said of it, and what really happened meanwhile."""

from __future__ import annotations

import time
from dataclasses import dataclass, replace
from statistics import fmean, median
from typing import TYPE_CHECKING

from training.reading import Reading
from training.truth import exposed_share, period
from training.verdict import Verdict

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from training.laboratory import Laboratory
    from training.plan import Plan
    from training.reading import Parts
    from training.truth import Mark

_LOOK_SECONDS = 1.0
SOURCES = ("inferred", "marker")


@dataclass(frozen=True, slots=True)
class Observation:
    """Looks of one second at all nodes of a job; `marks` are the true steps of each rank."""

    plan: Plan
    marks: Sequence[Sequence[Mark]]
    looks: Sequence[Sequence[dict[str, Reading]]]
    """By look, node and source."""
    verdicts: Sequence[tuple[float, Verdict]]
    """When the analyzer was looked at, and what it said."""

    def true_share(self, node: int) -> float:
        """Exposed communication against all steps of the node's rank."""
        return exposed_share(self.marks[node])

    @property
    def true_period(self) -> float:
        """Length of a step; that of all ranks is the same."""
        return period(self.marks[0])

    def parts(self, node: int, source: str) -> Parts:
        """What was counted between the first look and the last."""
        readings = self.of(node, source)
        return readings[-1].parts - readings[0].parts

    def periods(self, node: int, source: str) -> list[float]:
        """The periods that were said, a look each."""
        said = [reading.period_seconds for reading in self.of(node, source)]
        return [seconds for seconds in said if seconds is not None]

    def period_errors(self, node: int, source: str) -> list[float]:
        """By how much each look's period is off, as a share of the true one until then.

        Where steps differ, as on a busy machine, both their median and their mean are that.
        """
        found = []
        for reading, (moment, _) in zip(self.of(node, source), self.verdicts, strict=True):
            lengths = [mark.seconds for mark in self.marks[0] if mark.end <= moment]
            said = reading.period_seconds
            if said is not None and lengths:
                true = median(lengths), fmean(lengths)
                found.append(min(abs(said / one - 1.0) for one in true))
        return found

    def steps_until_bound(self) -> int | None:
        """Steps that had ended when the job was first said to be bound; None: it never was."""
        said = [moment for moment, verdict in self.verdicts if verdict.bound]
        if not said:
            return None
        return max(mark.step for mark in self.marks[0] if mark.end <= said[0]) + 1

    def of(self, node: int, source: str) -> list[Reading]:
        """All readings of a node."""
        return [look[node][source] for look in self.looks]


def watch(
    laboratory: Laboratory, plan: Plan, is_enough: Callable[[Observation], bool], seconds: float
) -> Observation:
    """Let a job run until enough was seen of it, or for so many seconds; return what was seen."""
    run = laboratory.begin(plan)
    since = time.monotonic()
    looks: list[list[dict[str, Reading]]] = []
    verdicts: list[tuple[float, Verdict]] = []
    while True:
        looks.append(
            [
                {source: Reading.of(metrics, plan.job_id, source) for source in SOURCES}
                for metrics in laboratory.scrape()
            ]
        )
        verdicts.append((time.monotonic(), Verdict.of(laboratory.verdicts(), plan.job_id)))
        marks = [run.marks(rank) for rank in range(len(laboratory.nodes))]
        observation = Observation(plan, marks, looks, verdicts)
        if time.monotonic() > since + seconds or is_enough(observation):
            return replace(observation, marks=run.stop())
        time.sleep(_LOOK_SECONDS)
