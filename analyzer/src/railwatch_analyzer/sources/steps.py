# SPDX-License-Identifier: Apache-2.0
"""Reads a STEPS.parquet: a row per step and rank, in whatever order; frames in order of time.

`instance`, `step`, `start` and `end` must be there. Without `rank` an instance is one rank, without
`job_id` all is one job, and what says how a step was split may be missing or empty: then only the
length of the steps is judged. Rows without a number, a beginning or an end are left out.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from itertools import groupby
from typing import TYPE_CHECKING

import numpy as np

from railwatch_analyzer.frame import COLUMNS, Frame
from railwatch_analyzer.sources.errors import SourceError
from railwatch_analyzer.sources.node import node_names
from railwatch_analyzer.sources.parquet import numbers, read_columns
from railwatch_analyzer.step_frame import JobFrame, StepRecord

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    import pandas as pd
    from numpy.typing import NDArray

    Array = NDArray[np.float64]

_REQUIRED = ("instance", "step", "start", "end")
_OPTIONAL = ("rank", "job_id")
_SPLIT = ("compute_seconds", "communication_seconds", "exposed_communication_seconds")


def read_steps(path: Path) -> Iterator[Frame]:
    """Read the steps in *path* and return an iterator over their frames, in order of their ends.

    Raises
    ------
    SourceError
        At the call, not later, if the file cannot be read or is no such table.
    """
    table = read_columns(path, required=_REQUIRED, optional=(*_OPTIONAL, *_SPLIT))
    return _frames(_records(path, table))


def _records(path: Path, table: pd.DataFrame) -> list[StepRecord]:
    if table["instance"].isna().any():
        raise SourceError(f"{path}: column 'instance' has rows without a value")
    columns = {name: numbers(path, table, name) for name in ("step", "start", "end")}
    for name in ("rank", *_SPLIT):
        there = name in table.columns
        columns[name] = numbers(path, table, name) if there else np.full(len(table), np.nan)
    usable = np.isfinite([columns[name] for name in ("step", "start", "end")]).all(axis=0)
    usable &= columns["end"] > columns["start"]
    if not usable.any():
        raise SourceError(f"{path}: no row has a step, a start and a later end")
    jobs = _texts(table, "job_id") if "job_id" in table.columns else [""] * len(table)
    instances = _texts(table, "instance")
    nodes = node_names(set(instances))
    found = [
        _record(nodes[instances[row]], jobs[row], {name: c[row] for name, c in columns.items()})
        for row in np.flatnonzero(usable).tolist()
    ]
    return _in_time(_without_copies(found))


def _record(node: str, job_id: str, row: dict[str, float]) -> StepRecord:
    split = {name: _share_of_time(row[name]) for name in _SPLIT}
    return StepRecord(
        node=node,
        rank=-1 if math.isnan(row["rank"]) else int(row["rank"]),
        job_id=job_id,
        step=int(row["step"]),
        start=float(row["start"]),
        end=float(row["end"]),
        compute=split["compute_seconds"],
        communication=split["communication_seconds"],
        exposed=split["exposed_communication_seconds"],
    )


def _share_of_time(seconds: float) -> float:
    """Return *seconds*, unknown where they are no time."""
    return float(seconds) if math.isfinite(seconds) and seconds >= 0 else math.nan


def _texts(table: pd.DataFrame, name: str) -> list[str]:
    """Return a column as text, empty where it is unknown; a job 7.0 is job 7."""
    return [
        "" if unknown else str(int(value)) if _is_whole(value) else str(value)
        for value, unknown in zip(table[name].tolist(), table[name].isna().tolist(), strict=True)
    ]


def _is_whole(value: object) -> bool:
    return isinstance(value, float) and value.is_integer()


def _without_copies(records: Sequence[StepRecord]) -> list[StepRecord]:
    """Leave out rows that say the same step of a rank again."""
    seen: dict[object, StepRecord] = {}
    for record in records:
        key = (record.job_id, record.node, record.rank, record.step, record.start)
        seen.setdefault(key, record)
    return list(seen.values())


def _in_time(records: list[StepRecord]) -> list[StepRecord]:
    """Return *records* in order of their ends, each step after the one before.

    Some recorders start their clock anew with every step. Their steps are laid one after another.
    """
    laid: list[StepRecord] = []
    by_job: dict[str, list[StepRecord]] = {}
    for record in records:
        by_job.setdefault(record.job_id, []).append(record)
    for job in by_job.values():
        laid += _laid_out(job) if _clock_restarts(job) else job
    return sorted(laid, key=lambda r: (r.end, r.job_id, r.step, r.rank, r.node))


def _clock_restarts(records: list[StepRecord]) -> bool:
    """Whether the second step of a job begins where its first did; later steps are not asked."""
    first, *rest = sorted({record.step for record in records})[:2]
    if not rest:
        return False
    one, two = _Extent.of(records, first), _Extent.of(records, rest[0])
    return two.start < one.start + 0.5 * (one.end - one.start) and two.end > one.start


@dataclass(frozen=True, slots=True)
class _Extent:
    """From the first begin of a step to its last end."""

    start: float
    end: float

    @classmethod
    def of(cls, records: Sequence[StepRecord], step: int) -> _Extent:
        mine = [record for record in records if record.step == step]
        return cls(min(record.start for record in mine), max(record.end for record in mine))


def _laid_out(records: list[StepRecord]) -> list[StepRecord]:
    out: list[StepRecord] = []
    ordered = sorted(records, key=lambda record: record.step)
    at = min(record.start for record in records)
    for _, group in groupby(ordered, key=lambda record: record.step):
        mine = list(group)
        begin = min(record.start for record in mine)
        moved = at - begin
        out += [_moved(record, moved) for record in mine]
        at = max(record.end for record in mine) + moved
    return out


def _moved(record: StepRecord, seconds: float) -> StepRecord:
    return replace(record, start=record.start + seconds, end=record.end + seconds)


def _frames(records: list[StepRecord]) -> Iterator[Frame]:
    for end, group in groupby(records, key=lambda record: record.end):
        yield steps_frame(end, tuple(group))


def steps_frame(time: float, records: tuple[StepRecord, ...]) -> Frame:
    """Return a frame that brings steps and knows of no links."""
    nothing = np.empty(0)
    return Frame(
        time=time,
        links=(),
        values=np.empty((0, len(COLUMNS))),
        sampled_at=nothing,
        window_end=nothing,
        window_seconds=5.0,
        interval_seconds=5.0,
        job_id=(),
        switch=(),
        jobs=JobFrame(records=records),
    )
