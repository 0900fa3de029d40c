# SPDX-License-Identifier: Apache-2.0
"""Findings: verdicts worth telling a person, with an id, an onset, and a line per change."""

from __future__ import annotations

import hashlib
from dataclasses import asdict, dataclass, replace
from enum import StrEnum
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

    from railwatch_analyzer.frame import Link


class FindingKind(StrEnum):
    """Kinds of finding that this version makes."""

    LINK_DOWN = "link_down"
    LINK_DEGRADED = "link_degraded"
    COMMUNICATION_BOUND = "communication_bound"
    STRAGGLER = "straggler"
    STEP_SLOWDOWN = "step_slowdown"


# What these are about is a job; a link's finding goes on when the link is given to another one.
OF_JOBS = frozenset(
    (FindingKind.COMMUNICATION_BOUND, FindingKind.STRAGGLER, FindingKind.STEP_SLOWDOWN)
)


class FindingState(StrEnum):
    """A finding fires until it is resolved; then it is over and another would have a new id."""

    FIRING = "firing"
    RESOLVED = "resolved"


@dataclass(frozen=True, slots=True)
class Evidence:
    """One feature: what was observed and what peers and past led to expect, in *unit*."""

    feature: str
    observed: float
    expected: float
    unit: str


@dataclass(frozen=True, slots=True)
class Candidate:
    """A link that may be to blame, or a node with no rail; weights of a finding add up to 1."""

    node: str
    rail: str
    device: str
    weight: float


@dataclass(frozen=True, slots=True)
class Accusation:
    """What is held against a link: how strongly, why, who else it may be, and what was seen."""

    cause: str
    score: float
    candidates: tuple[Candidate, ...]
    evidence: tuple[Evidence, ...]


@dataclass(frozen=True, slots=True)
class Finding:
    """One line of findings.jsonl; times in Unix seconds."""

    id: str
    time: float
    onset: float
    kind: FindingKind
    state: FindingState
    node: str
    rail: str
    device: str
    job_id: str
    cause: str
    score: float
    candidates: tuple[Candidate, ...]
    evidence: tuple[Evidence, ...]

    def as_json(self) -> dict[str, Any]:
        """Return the object that `/api/v1/findings` and findings.jsonl hold."""
        return asdict(self)


@dataclass(frozen=True, slots=True)
class Claim:
    """What a round holds against a link or a job now; it becomes or continues a finding.

    The link of a job's claim has no rail; it names the node where one is to blame.
    """

    link: Link
    kind: FindingKind
    onset: float
    job_id: str
    accusation: Accusation


Key = tuple[str, ...]


def key_of(item: Claim | Finding) -> Key:
    """What makes two claims the same finding: where and of which kind."""
    place = item.link if isinstance(item, Claim) else item
    key = (place.node, place.rail, place.device, item.kind)
    return (*key, item.job_id) if item.kind in OF_JOBS else key


def follow(
    standing: Mapping[Key, Finding], claims: list[Claim], now: float
) -> tuple[dict[Key, Finding], list[Finding]]:
    """Return the findings that stand after a round, and a line for each that changed.

    A finding changes when it begins, when its cause does, and when it ends; its evidence is kept
    fresh without a line of its own.
    """
    after: dict[Key, Finding] = {}
    lines: list[Finding] = []
    for claim in claims:
        before = standing.get(key_of(claim))
        finding = _begin(claim, now) if before is None else _continue(before, claim, now)
        after[key_of(claim)] = finding
        if before is None or before.cause != finding.cause:
            lines.append(finding)
    for key, finding in standing.items():
        if key not in after:
            lines.append(replace(finding, time=now, state=FindingState.RESOLVED))
    return after, lines


def _begin(claim: Claim, now: float) -> Finding:
    return Finding(
        id=_identity(claim, now),
        time=now,
        onset=claim.onset,
        kind=claim.kind,
        state=FindingState.FIRING,
        node=claim.link.node,
        rail=claim.link.rail,
        device=claim.link.device,
        job_id=claim.job_id,
        cause=claim.accusation.cause,
        score=claim.accusation.score,
        candidates=claim.accusation.candidates,
        evidence=claim.accusation.evidence,
    )


def _continue(before: Finding, claim: Claim, now: float) -> Finding:
    said = claim.accusation
    return replace(
        before,
        time=now,
        cause=said.cause,
        score=said.score,
        candidates=said.candidates,
        evidence=said.evidence,
    )


def _identity(claim: Claim, now: float) -> str:
    # The onset alone does not tell two apart: a link that was down in between is degraded since
    # the same moment.
    text = "\0".join((*key_of(claim), f"{claim.onset:.3f}", f"{now:.3f}"))
    return hashlib.sha256(text.encode()).hexdigest()[:16]
