# SPDX-License-Identifier: Apache-2.0
"""What one member of a job did in the steps that it ended since the last look.

Counters are differenced over their own samples (`railwatch.rates`); one that fell was reset, and
what happened in between is unknown.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from railwatch.catalogue.step import StepSource
from railwatch.rates import delta

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from railwatch_analyzer.step_frame import StepCounters, StepRecord

UNKNOWN = math.nan


@dataclass(frozen=True, slots=True)
class Member:
    """Who takes part in a job: a node, or one of the ranks on it."""

    node: str
    rank: int = -1


def in_order(members: Iterable[Member]) -> tuple[Member, ...]:
    """Return *members* by rank, and by the numbers in the names of their nodes.

    >>> [member.node for member in in_order([Member("n10"), Member("n9")])]
    ['n9', 'n10']
    """
    return tuple(sorted(members, key=lambda member: (member.rank, _natural(member.node))))


def _natural(name: str) -> tuple[tuple[int, str], ...]:
    parts = re.findall(r"\d+|\D+", name)
    return tuple((int(part), "") if part.isdecimal() else (-1, part) for part in parts)


@dataclass(frozen=True, slots=True)
class Stretch:
    """So many `steps` of a member; the rest is a mean over them, seconds and bytes a step.

    `start` and `end` are Unix seconds where they were recorded.
    """

    steps: float
    seconds: float
    compute: float = UNKNOWN
    communication: float = UNKNOWN
    exposed: float = UNKNOWN
    stalled: float = UNKNOWN
    idle: float = UNKNOWN
    transmitted: float = UNKNOWN
    start: float = UNKNOWN
    end: float = UNKNOWN


_SPLIT = ("compute", "communication", "exposed", "stalled", "idle", "transmitted")


def recorded(record: StepRecord) -> Stretch:
    """Return the stretch of one recorded step."""
    return Stretch(
        steps=1.0,
        seconds=record.end - record.start,
        compute=record.compute,
        communication=record.communication,
        exposed=record.exposed,
        start=record.start,
        end=record.end,
    )


def counted(before: StepCounters | None, after: StepCounters) -> Stretch | None:
    """Return what a job's counters on a node tell, None where no step ended or nobody knows."""
    if before is None or after.sampled_at <= before.sampled_at:
        return None
    steps = _grown(before, after, "steps")
    seconds = _grown(before, after, "seconds")
    if not (steps > 0 and seconds > 0):
        return None
    split = {name: _grown(before, after, name) / steps for name in _SPLIT}
    return Stretch(steps=steps, seconds=seconds / steps, end=after.sampled_at, **split)


def _grown(before: StepCounters, after: StepCounters, name: str) -> float:
    if name not in before.values or name not in after.values:
        return UNKNOWN
    grown = delta(before.values[name], after.values[name])
    return UNKNOWN if grown is None else grown


def combined(by_source: Mapping[str, Stretch]) -> Stretch:
    """Return one stretch of what markers and inference say of the same node.

    Markers know best how long steps take. How a step is split they need not say; then it is split
    as inferred.
    """
    marked = by_source.get(StepSource.MARKER)
    inferred = by_source.get(StepSource.INFERRED)
    if marked is None or inferred is None:
        return next(iter(by_source.values()))
    scale = marked.seconds / inferred.seconds
    missing = {
        name: getattr(inferred, name) * scale
        for name in _SPLIT
        if math.isnan(getattr(marked, name)) and not math.isnan(getattr(inferred, name))
    }
    return replace(marked, **missing)


def added(one: Stretch | None, more: Stretch) -> Stretch:
    """Return both as one stretch: means weighted by their steps."""
    if one is None:
        return more
    steps = one.steps + more.steps

    def mean(name: str) -> float:
        sums = one.steps * getattr(one, name) + more.steps * getattr(more, name)
        return float(sums / steps)

    means = {name: mean(name) for name in ("seconds", *_SPLIT)}
    return Stretch(steps=steps, start=one.start, end=more.end, **means)


def is_known(stretch: Stretch, names: Iterable[str]) -> bool:
    """Whether all of *names* are known of *stretch*."""
    return not any(math.isnan(getattr(stretch, name)) for name in names)
