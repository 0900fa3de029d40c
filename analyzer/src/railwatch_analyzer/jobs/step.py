# SPDX-License-Identifier: Apache-2.0
"""One step of a whole job: the medians of its members, and what its rails did meanwhile."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Mapping

    from railwatch_analyzer.jobs.rails import RailsSeen
    from railwatch_analyzer.jobs.stretch import Member, Stretch


@dataclass(frozen=True, slots=True)
class JobStep:
    """A step, or several that ended in the same round as one.

    Attributes
    ----------
    time
        When it was closed, Unix seconds.
    steps
        How many it stands for.
    seconds
        Length, the median of the members.
    exposed, overlap, stalled, idle
        Shares of the step, the median of the members; overlap is the share of communication that is
        hidden under compute. NaN is unknown.
    transmitted
        Bytes a member sends in a step; NaN is unknown.
    rails
        What the job's rails did.
    members
        What each member said.
    """

    time: float
    steps: float
    seconds: float
    exposed: float
    overlap: float
    stalled: float
    idle: float
    transmitted: float
    rails: RailsSeen
    members: Mapping[Member, Stretch]


def job_step(members: Mapping[Member, Stretch], rails: RailsSeen, now: float) -> JobStep:
    """Return the step that *members* told of."""
    stretches = list(members.values())
    return JobStep(
        time=now,
        steps=float(np.median([s.steps for s in stretches])),
        seconds=float(np.median([s.seconds for s in stretches])),
        exposed=_median([exposed_share(s) for s in stretches]),
        overlap=_median([_overlap(s) for s in stretches]),
        stalled=_median([s.stalled / s.seconds for s in stretches]),
        idle=_median([s.idle / s.seconds for s in stretches]),
        transmitted=_median([s.transmitted for s in stretches]),
        rails=rails,
        members=members,
    )


def exposed_share(stretch: Stretch) -> float:
    """Return the share of a step in which bytes move and nothing computes; NaN is unknown."""
    exposed = stretch.exposed
    if math.isnan(exposed):
        return math.nan
    return min(max(exposed / stretch.seconds, 0.0), 1.0)


def _overlap(stretch: Stretch) -> float:
    if not stretch.communication > 0:
        return math.nan
    return min(max(1.0 - stretch.exposed / stretch.communication, 0.0), 1.0)


def _median(values: list[float]) -> float:
    known = [value for value in values if not math.isnan(value)]
    return float(np.median(known)) if known else math.nan
