# SPDX-License-Identifier: Apache-2.0
"""The job view as plain JSON and back, for the state file; NaN is written as None."""

from __future__ import annotations

import math
from dataclasses import asdict, fields
from typing import TYPE_CHECKING, Any

import numpy as np

from railwatch.catalogue.job import BoundCause, StragglerKind
from railwatch_analyzer.detectors.step_shift import StepShiftDetector
from railwatch_analyzer.findings import Candidate, Evidence
from railwatch_analyzer.jobs.bound import Bound
from railwatch_analyzer.jobs.causes import Diagnosis, Past
from railwatch_analyzer.jobs.gathering import Gathering
from railwatch_analyzer.jobs.pace import Pace
from railwatch_analyzer.jobs.shift import FEATURES, Shift
from railwatch_analyzer.jobs.state import Job, Jobs
from railwatch_analyzer.jobs.stragglers import Sign, Straggler, Stragglers
from railwatch_analyzer.jobs.stretch import Member
from railwatch_analyzer.jobs.workload import Workload
from railwatch_analyzer.step_frame import StepCounters

if TYPE_CHECKING:
    from collections.abc import Mapping

    from railwatch_analyzer.findings import Finding, Key

Json = dict[str, Any]


def as_json(jobs: Jobs) -> Json:
    """Return what took long to learn and what stands; the rest comes back by itself."""
    return {
        "jobs": [_job(job) for job in jobs.jobs.values()],
        "counters": [asdict(counters) for counters in jobs.counters.values()],
    }


def restored(entry: Json, standing: Mapping[Key, Finding]) -> Jobs:
    """Return the jobs out of *entry*, with the findings about them.

    Raises
    ------
    KeyError, TypeError, ValueError
        If *entry* is not what `as_json` wrote.
    """
    jobs = [_restored_job(one) for one in entry["jobs"]]
    counters = [StepCounters(**one) for one in entry["counters"]]
    return Jobs(
        jobs={job.job_id: job for job in jobs},
        counters={(c.node, c.job_id, c.source): c for c in counters},
        standing=standing,
    )


def _job(job: Job) -> Json:
    plain = {
        name: _plain(asdict(getattr(job, name)))
        for name in ("pace", "workload", "bound", "past", "why")
    }
    return {
        **plain,
        "job_id": job.job_id,
        "seen_at": job.seen_at,
        "seconds": _plain(job.seconds),
        "transmitted": _plain(job.transmitted),
        "gpus": job.gpus,
        "doubt": job.doubt,
        "most": job.most,
        "nodes": job.nodes,
        "lost": dict(job.lost),
        "expected": [asdict(member) for member in job.gathering.expected],
        "closed": job.gathering.closed,
        "ended": job.gathering.ended,
        "shift": _shift(job.shift),
        "stragglers": _stragglers(job.stragglers),
    }


def _restored_job(entry: Json) -> Job:
    return Job(
        job_id=entry["job_id"],
        seen_at=entry["seen_at"],
        gathering=Gathering(
            expected=frozenset(Member(**one) for one in entry["expected"]),
            closed=entry["closed"],
            ended=entry["ended"],
        ),
        pace=_flat(Pace, entry["pace"]),
        workload=_flat(Workload, entry["workload"]),
        bound=_flat(Bound, entry["bound"], optional=("bound",)),
        shift=_restored_shift(entry["shift"]),
        stragglers=_restored_stragglers(entry["stragglers"]),
        past=_flat(Past, entry["past"]),
        why=_restored_why(entry["why"]),
        doubt=entry["doubt"],
        most=entry["most"],
        seconds=_number(entry["seconds"]),
        transmitted=_number(entry["transmitted"]),
        gpus=entry["gpus"],
        nodes=tuple(entry["nodes"]),
        lost=entry["lost"],
    )


def _shift(shift: Shift) -> Json:
    learned = shift.detector
    return {
        "rows": _plain(shift.rows),
        "work": _plain(shift.work),
        "fresh": shift.fresh,
        "scores": shift.scores,
        "lost": shift.lost,
        "latest": _plain(shift.latest),
        "changed": shift.changed,
        "clear": shift.clear,
        "detector": None
        if learned is None
        else {
            "center": learned.center_.tolist(),
            "scale": learned.scale_.tolist(),
            "centers": learned.centers_.tolist(),
            "offset": learned.offset_,
        },
    }


def _restored_shift(entry: Json) -> Shift:
    learned = entry["detector"]
    if learned is not None:
        learned = {name: np.array(value, dtype=np.float64) for name, value in learned.items()}
        offset = float(learned.pop("offset"))
        size = len(FEATURES)
        if learned["center"].shape != (size,) or learned["centers"].shape[1:] != (size,):
            raise ValueError("a detector of other features")
        learned = StepShiftDetector.restored(**learned, offset=offset)
    return Shift(
        rows=tuple(tuple(_numbers(row)) for row in entry["rows"]),
        work=tuple(_numbers(entry["work"])),
        fresh=entry["fresh"],
        detector=learned,
        scores=tuple(entry["scores"]),
        lost=tuple(entry["lost"]),
        latest=tuple(_numbers(entry["latest"])),
        changed=entry["changed"],
        clear=entry["clear"],
    )


_ARRAYS = ("recent", "usual", "spread")
_COUNTS = ("learned", "pressure", "clear")


def _stragglers(known: Stragglers) -> Json:
    return {
        "members": [asdict(member) for member in known.members],
        "times": known.times,
        "standing": [_plain(asdict(one)) for one in known.standing],
        **{name: _plain(getattr(known, name).tolist()) for name in _ARRAYS},
        **{name: getattr(known, name).tolist() for name in _COUNTS},
    }


def _restored_stragglers(entry: Json) -> Stragglers:
    members = tuple(Member(**one) for one in entry["members"])
    size = (len(members), len(Sign))
    arrays = {name: np.array(entry[name], dtype=np.float64) for name in _ARRAYS}
    counts = {name: np.array(entry[name], dtype=np.int64) for name in _COUNTS}
    return Stragglers(
        members=members,
        recent=arrays["recent"].reshape(-1, *size),
        usual=arrays["usual"].reshape(size),
        spread=arrays["spread"].reshape(size),
        **{name: count.reshape(size[0]) for name, count in counts.items()},
        times=tuple(entry["times"]),
        standing=tuple(_restored_straggler(one) for one in entry["standing"]),
    )


def _restored_straggler(entry: Json) -> Straggler:
    named = {"member": Member(**entry["member"]), "kind": StragglerKind(entry["kind"])}
    return Straggler(**{**entry, **named})


def _restored_why(entry: Json) -> Diagnosis:
    return Diagnosis(
        cause=BoundCause(entry["cause"]),
        candidates=tuple(Candidate(**one) for one in entry["candidates"]),
        evidence=tuple(Evidence(**one) for one in entry["evidence"]),
    )


def _flat(kind: Any, entry: Json, *, optional: tuple[str, ...] = ()) -> Any:
    """Return a dataclass of numbers, flags and tuples of numbers."""
    found: Json = {}
    for field in fields(kind):
        value = entry[field.name]
        if isinstance(value, list):
            found[field.name] = tuple(_numbers(value))
        else:
            found[field.name] = value if field.name in optional else _number(value)
    return kind(**found)


def _plain(value: Any) -> Any:
    if isinstance(value, float):
        return None if math.isnan(value) else value
    if isinstance(value, dict):
        return {name: _plain(inner) for name, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(inner) for inner in value]
    return value


def _number(value: float | None) -> float:
    return math.nan if value is None else value


def _numbers(values: list[float | None]) -> list[float]:
    return [_number(value) for value in values]
