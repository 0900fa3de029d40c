# SPDX-License-Identifier: Apache-2.0
"""Why a job waits for its network: ordered evidence, and unknown where none of it is good.

1. `degraded_link`: the link view holds something against a rail of the job.
2. `straggler`: one member computes longer or begins later, and the others wait for it.
3. `congestion`: marks, pauses or retransmissions well above the job's healthy past.
4. `bandwidth`: rails near line rate while they send.
5. `latency`: only where probes say so.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from railwatch.catalogue.job import BoundCause
from railwatch_analyzer.findings import Candidate, Evidence

if TYPE_CHECKING:
    from collections.abc import Mapping

    from railwatch_analyzer.jobs.rails import RailsSeen
    from railwatch_analyzer.jobs.stragglers import Straggler

# Near line rate: what a good network reaches while it is the limit.
_FULL = 0.8
# Congestion worth the name where the past is not known, or knows none: a rail that is told to slow
# down a hundred times a second, or to stop for 2 % of the time, or that loses ten packets a second.
_MARKS = 100.0
_PAUSED = 0.02
_LOSSES = 10.0
# Against a past that knows some.
_TIMES = 4.0


@dataclass(frozen=True, slots=True)
class Diagnosis:
    """The cause, who it may be, and what speaks for it."""

    cause: BoundCause = BoundCause.UNKNOWN
    candidates: tuple[Candidate, ...] = ()
    evidence: tuple[Evidence, ...] = ()


@dataclass(frozen=True, slots=True)
class Past:
    """What a job's rails usually see; NaN is unknown."""

    marks: float = math.nan
    losses: float = math.nan
    paused: float = math.nan


def diagnosis(rails: RailsSeen, past: Past, waited_for: tuple[Straggler, ...]) -> Diagnosis:
    """Return why a job waits, by the first evidence that is good enough."""
    if rails.bad:
        return _bad_links(rails)
    if waited_for:
        return _stragglers(waited_for)
    congested = _congestion(rails, past)
    if congested:
        return Diagnosis(BoundCause.CONGESTION, (), congested)
    if rails.utilization >= _FULL:
        seen = Evidence("utilization_ratio", rails.utilization, _FULL, "ratio")
        return Diagnosis(BoundCause.BANDWIDTH, (), (seen,))
    return Diagnosis()


def _bad_links(rails: RailsSeen) -> Diagnosis:
    weight = 1.0 / len(rails.bad)
    links = tuple(Candidate(link.node, link.rail, link.device, weight) for link in rails.bad)
    seen = Evidence("bad_rails", float(len(rails.bad)), 0.0, "rails")
    return Diagnosis(BoundCause.DEGRADED_LINK, links, (seen,))


def _stragglers(waited_for: tuple[Straggler, ...]) -> Diagnosis:
    weight = 1.0 / len(waited_for)
    return Diagnosis(
        BoundCause.STRAGGLER,
        tuple(candidate_of(one, weight) for one in waited_for),
        tuple(evidence_of(one) for one in waited_for[:3]),
    )


def candidate_of(one: Straggler, weight: float) -> Candidate:
    """Return who is waited for; where a member is a rank, `device` names it."""
    rank = f"rank {one.member.rank}" if one.member.rank >= 0 else ""
    return Candidate(one.member.node, "", rank, weight)


def evidence_of(one: Straggler) -> Evidence:
    """Return what speaks against a straggler."""
    return Evidence(one.feature, one.observed, one.expected, one.unit)


def _congestion(rails: RailsSeen, past: Past) -> tuple[Evidence, ...]:
    found = []
    for name, now, usual, least, unit in (
        ("congestion_marks", rails.marks, past.marks, _MARKS, "events_per_second"),
        ("paused_ratio", rails.paused, past.paused, _PAUSED, "ratio"),
        ("retransmissions", rails.losses, past.losses, _LOSSES, "events_per_second"),
    ):
        expected = 0.0 if math.isnan(usual) else usual
        if now >= max(least, _TIMES * expected):
            found.append(Evidence(name, now, expected, unit))
    return tuple(found)


def worded(causes: Mapping[str, float]) -> dict[str, float]:
    """Return seconds lost by cause, every cause named: a counter is there from the start."""
    return {cause.value: causes.get(cause.value, 0.0) for cause in BoundCause}
