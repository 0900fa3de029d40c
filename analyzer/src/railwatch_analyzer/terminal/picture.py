# SPDX-License-Identifier: Apache-2.0
"""What a terminal draws, read from the JSON of `/api/v1/links` and `/api/v1/findings`.

Every text came over a network and is made harmless here, once: what draws it may trust it.
"""

from __future__ import annotations

import math
import unicodedata
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TypeAlias

from railwatch_analyzer.findings import OF_JOBS
from railwatch_analyzer.verdicts import Verdict

JsonObject: TypeAlias = Mapping[str, object]

# Nobody reads longer names in a table; it also bounds what a hostile one can do.
_LONGEST_TEXT = 64
_LONGEST_COMPLAINT = 300
_REPLACEMENT = "\N{REPLACEMENT CHARACTER}"


class PictureError(Exception):
    """An answer is not what an analyzer answers; the message says where."""


@dataclass(frozen=True, slots=True)
class Place:
    """Which link."""

    node: str
    rail: str
    device: str


@dataclass(frozen=True, slots=True)
class LinkPicture:
    """A link as it is now; bytes per second, None is unknown."""

    place: Place
    verdict: Verdict
    score: float | None
    transmit: float | None
    receive: float | None
    speed: float | None
    learning_seconds: float
    note: str


@dataclass(frozen=True, slots=True)
class EvidencePicture:
    """One feature of a finding, in the unit of the contract."""

    feature: str
    observed: float | None
    expected: float | None
    unit: str


@dataclass(frozen=True, slots=True)
class FindingPicture:
    """A finding as it was last told."""

    id: str
    place: Place
    kind: str
    state: str
    time: float
    onset: float | None
    job_id: str
    cause: str
    score: float | None
    candidates: tuple[tuple[Place, float | None], ...]
    evidence: tuple[EvidencePicture, ...]


@dataclass(frozen=True, slots=True)
class JobPicture:
    """A job as it is now; None is unknown. `waits_for` are nodes and why."""

    job_id: str
    nodes: int
    step_seconds: float | None
    exposed: float | None
    is_bound: bool
    slowdown: float | None
    cause: str
    waits_for: tuple[tuple[str, str], ...]

    @property
    def is_troubled(self) -> bool:
        """Whether the job is bound, slow or waiting."""
        return self.is_bound or bool(self.cause) or bool(self.waits_for)


@dataclass(frozen=True, slots=True)
class Picture:
    """Everything that one drawing needs.

    Attributes
    ----------
    time
        Of the newest round, Unix seconds; 0 before the first.
    complaint
        Why the last round failed; empty if it did not.
    findings
        Those about links: firing ones first, then the resolved, newest first.
    """

    time: float
    rounds: int
    complaint: str
    trained: bool
    nodes_seen: int
    nodes_missed: int
    links: tuple[LinkPicture, ...]
    findings: tuple[FindingPicture, ...]
    jobs: tuple[JobPicture, ...] = ()

    def counts(self) -> dict[Verdict, int]:
        """How many links have each verdict, worst first."""
        found = Counter(link.verdict for link in self.links)
        return {verdict: found[verdict] for verdict in sorted(Verdict, reverse=True)}


# Before anything was answered.
NOTHING = Picture(0.0, 0, "", trained=False, nodes_seen=0, nodes_missed=0, links=(), findings=())


def picture_of(status: object, findings: object, jobs: object = None) -> Picture:
    """Read the answers; *jobs* is None where the analyzer knows of none.

    Raises
    ------
    PictureError
        If they are not an analyzer's.
    """
    about = _object(status, "links")
    return Picture(
        time=_known(about, "time"),
        rounds=int(_known(about, "rounds")),
        complaint=harmless(about.get("complaint"), _LONGEST_COMPLAINT),
        trained=about.get("trained") is True,
        nodes_seen=int(_known(about, "nodes_seen")),
        nodes_missed=int(_known(about, "nodes_missed")),
        links=tuple(_link(item) for item in _objects(about.get("links"), "links")),
        findings=tuple(
            _finding(item)
            for item in _objects(findings, "findings")
            if item.get("kind") not in OF_JOBS
        ),
        jobs=() if jobs is None else _jobs(_object(jobs, "jobs")),
    )


def harmless(value: object, longest: int = _LONGEST_TEXT) -> str:
    """Return *value* as text that a terminal only shows: no control, no direction, no length."""
    text = value if isinstance(value, str) else ""
    shown = "".join(_REPLACEMENT if _is_unprintable(char) else char for char in text[:longest])
    return shown if len(text) <= longest else f"{shown[:-1]}…"


def _is_unprintable(char: str) -> bool:
    # C: control, format (text direction), surrogates, private. Zl, Zp: line breaks.
    category = unicodedata.category(char)
    return category.startswith("C") or category in {"Zl", "Zp"}


def _link(item: JsonObject) -> LinkPicture:
    return LinkPicture(
        place=_place(item),
        verdict=_verdict(item.get("verdict")),
        score=_number(item.get("score")),
        transmit=_number(item.get("transmit_max_bytes_per_second")),
        receive=_number(item.get("receive_max_bytes_per_second")),
        speed=_number(item.get("speed_bytes_per_second")),
        # An analyzer of an older version does not say.
        learning_seconds=_number(item.get("learning_seconds")) or 0.0,
        note=harmless(item.get("note"), _LONGEST_COMPLAINT),
    )


def _jobs(answer: JsonObject) -> tuple[JobPicture, ...]:
    return tuple(_job(item) for item in _objects(answer.get("jobs"), "jobs"))


def _job(item: JsonObject) -> JobPicture:
    nodes = item.get("nodes")
    waits_for = _objects(item.get("stragglers"), "stragglers")
    return JobPicture(
        job_id=harmless(item.get("job_id")),
        nodes=len(nodes) if isinstance(nodes, list) else 0,
        step_seconds=_number(item.get("step_seconds")),
        exposed=_number(item.get("exposed_communication_ratio")),
        is_bound=item.get("communication_bound") is True,
        slowdown=_number(item.get("slowdown_ratio")),
        cause=harmless(item.get("cause")),
        waits_for=tuple((harmless(s.get("node")), harmless(s.get("kind"))) for s in waits_for),
    )


def _finding(item: JsonObject) -> FindingPicture:
    candidates = _objects(item.get("candidates"), "candidates")
    return FindingPicture(
        id=harmless(item.get("id")),
        place=_place(item),
        kind=harmless(item.get("kind")),
        state=harmless(item.get("state")),
        time=_known(item, "time"),
        onset=_number(item.get("onset")),
        job_id=harmless(item.get("job_id")),
        cause=harmless(item.get("cause")),
        score=_number(item.get("score")),
        candidates=tuple((_place(one), _number(one.get("weight"))) for one in candidates),
        evidence=tuple(_evidence(one) for one in _objects(item.get("evidence"), "evidence")),
    )


def _evidence(item: JsonObject) -> EvidencePicture:
    return EvidencePicture(
        feature=harmless(item.get("feature")),
        observed=_number(item.get("observed")),
        expected=_number(item.get("expected")),
        unit=harmless(item.get("unit")),
    )


def _place(item: JsonObject) -> Place:
    return Place(*(harmless(item.get(name)) for name in ("node", "rail", "device")))


def _verdict(value: object) -> Verdict:
    try:
        return Verdict[str(value).upper()]
    except KeyError as exc:
        raise PictureError(f"links: {harmless(str(value))!r} is no verdict") from exc


def _number(value: object) -> float | None:
    # True is an int in Python and no number in JSON; a huge integer is no float.
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return float(value) if math.isfinite(value) else None


def _known(item: JsonObject, name: str) -> float:
    number = _number(item.get(name))
    if number is None:
        raise PictureError(f"{name}: expected a number, got {harmless(str(item.get(name)))!r}")
    return number


def _objects(value: object, name: str) -> list[JsonObject]:
    if not isinstance(value, list):
        raise PictureError(f"{name}: expected a list, got {type(value).__name__}")
    return [_object(item, name) for item in value]


def _object(value: object, name: str) -> JsonObject:
    if not isinstance(value, Mapping):
        raise PictureError(f"{name}: expected an object, got {type(value).__name__}")
    return value
