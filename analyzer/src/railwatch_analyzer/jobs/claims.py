# SPDX-License-Identifier: Apache-2.0
"""What a round holds against jobs: bound, slow, or waiting for one of their nodes."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from railwatch.catalogue.job import BoundCause, StragglerKind
from railwatch_analyzer.findings import Accusation, Candidate, Claim, Evidence, FindingKind
from railwatch_analyzer.frame import Link
from railwatch_analyzer.jobs.bound import ENTER
from railwatch_analyzer.jobs.causes import candidate_of, evidence_of
from railwatch_analyzer.jobs.shift import FEATURES, usual_of

if TYPE_CHECKING:
    from collections.abc import Iterable

    from railwatch_analyzer.jobs.state import Job
    from railwatch_analyzer.jobs.stragglers import Straggler

_NOWHERE = Link("", "", "")
# Shares of a step that are shown, if they moved by a hundredth of it.
_SHOWN = 0.01
_MOST_EVIDENCE = 5


def claims_of(jobs: Iterable[Job], now: float) -> list[Claim]:
    """Return a claim for each thing that is held against each of *jobs* at *now*."""
    claims = []
    for job in jobs:
        if job.bound.bound:
            claims.append(_bound(job))
        if job.is_slow:
            claims.append(_slow(job, now))
        for node, kind, waited_for in waiting(job):
            claims.append(_straggler(job, node, kind, waited_for, now))
    return claims


def waiting(job: Job) -> list[tuple[str, StragglerKind, tuple[Straggler, ...]]]:
    """Return for whom *job* waits: node, why, and what was seen of its members."""
    by_node: dict[str, list[Straggler]] = {}
    for one in job.stragglers.standing:
        by_node.setdefault(one.member.node, []).append(one)
    found = [(node, said[0].kind, tuple(said)) for node, said in by_node.items()]
    if job.is_slow and job.why.cause is BoundCause.DEGRADED_LINK:
        bad = {candidate.node for candidate in job.why.candidates}
        found += [(node, StragglerKind.NETWORK, ()) for node in sorted(bad - by_node.keys())]
    return found


def _bound(job: Job) -> Claim:
    share = Evidence("exposed_communication_ratio", job.bound.share, ENTER, "ratio")
    said = Accusation(
        cause=job.why.cause.value,
        score=job.bound.share / ENTER,
        candidates=job.why.candidates,
        evidence=(share, *job.why.evidence)[:_MOST_EVIDENCE],
    )
    return Claim(_NOWHERE, FindingKind.COMMUNICATION_BOUND, job.bound.onset, job.job_id, said)


def _slow(job: Job, now: float) -> Claim:
    onset = now if math.isnan(job.pace.onset) else job.pace.onset
    usual = math.exp(job.pace.usual) if not math.isnan(job.pace.usual) else job.seconds
    length = Evidence("step_seconds", job.seconds, usual, "seconds")
    said = Accusation(
        cause=job.why.cause.value,
        score=max(job.pace.score, job.shift.scores[-1] if job.shift.scores else 0.0),
        candidates=job.why.candidates,
        evidence=(length, *_shares(job), *job.why.evidence)[:_MOST_EVIDENCE],
    )
    return Claim(_NOWHERE, FindingKind.STEP_SLOWDOWN, onset, job.job_id, said)


def _shares(job: Job) -> tuple[Evidence, ...]:
    """Features of the steps that are not as usual, most changed first."""
    usual = usual_of(job.shift)
    moved = [
        (abs(now - usual[name]), Evidence(name, now, usual[name], "ratio"))
        for name, now in zip(FEATURES, job.shift.latest, strict=True)
        if name.endswith("_ratio") and name in usual and abs(now - usual[name]) >= _SHOWN
    ]
    return tuple(item for _, item in sorted(moved, key=lambda pair: -pair[0]))


def _straggler(
    job: Job, node: str, kind: StragglerKind, seen: tuple[Straggler, ...], now: float
) -> Claim:
    weight = 1.0 / max(len(seen), 1)
    candidates = tuple(candidate_of(one, weight) for one in seen)
    evidence = tuple(evidence_of(one) for one in seen)
    if not seen:
        mine = [candidate for candidate in job.why.candidates if candidate.node == node]
        candidates = tuple(Candidate(c.node, c.rail, c.device, 1.0 / len(mine)) for c in mine)
        evidence = job.why.evidence
    said = Accusation(
        cause=kind.value,
        score=max((one.score for one in seen), default=1.0),
        candidates=candidates,
        evidence=evidence[:_MOST_EVIDENCE],
    )
    onset = min((one.onset for one in seen), default=now)
    return Claim(Link(node, "", ""), FindingKind.STRAGGLER, onset, job.job_id, said)
