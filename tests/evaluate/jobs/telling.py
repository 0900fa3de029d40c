# SPDX-License-Identifier: Apache-2.0
"""Tells jobs to the analyzer's job view and notes when it first says what."""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import groupby
from typing import TYPE_CHECKING

import numpy as np

from railwatch_analyzer.jobs.fold import judge_jobs
from railwatch_analyzer.jobs.state import Jobs
from railwatch_analyzer.sources.steps import steps_frame
from railwatch_analyzer.step_frame import StepRecord

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    import pandas as pd

    from railwatch_analyzer.findings import Finding
    from railwatch_analyzer.frame import Frame


@dataclass(slots=True)
class Heard:
    """What was said: findings in order, and the state after each frame if it was asked for."""

    jobs: Jobs
    lines: list[Finding] = field(default_factory=list)
    states: list[Jobs] = field(default_factory=list)

    def firing(self, kind: str) -> list[Finding]:
        """Lines by which a finding of *kind* began or changed its cause."""
        return [line for line in self.lines if line.kind == kind and line.state == "firing"]


def tell(frames: Iterable[Frame], jobs: Jobs | None = None, *, keep: bool = False) -> Heard:
    """Judge *frames* from *jobs* on; no link is bad."""
    heard = Heard(jobs or Jobs())
    for frame in frames:
        if keep:
            heard.states.append(heard.jobs)
        heard.jobs, lines = judge_jobs(heard.jobs, frame, frozenset())
        heard.lines += lines
    return heard


def frames_of(records: Iterable[StepRecord]) -> list[Frame]:
    """Return *records* as frames in order of time."""
    ordered = sorted(records, key=lambda record: record.end)
    return [steps_frame(end, tuple(g)) for end, g in groupby(ordered, key=lambda r: r.end)]


def records_of(table: pd.DataFrame) -> list[StepRecord]:
    """Return the rows of a STEPS table."""
    return [
        StepRecord(
            node=row["instance"],
            rank=row["rank"],
            job_id=row["job_id"],
            step=row["step"],
            start=row["start"],
            end=row["end"],
            compute=row["compute_seconds"],
            communication=row["communication_seconds"],
            exposed=row["exposed_communication_seconds"],
        )
        for row in table.to_dict("records")
    ]


def lengths_told(seconds: Sequence[float], start: float, first: int = 0) -> list[Frame]:
    """Return the frames of a job of one rank of which only the length of steps is known."""
    ends = start + np.cumsum(seconds)
    nothing = float("nan")
    return [
        steps_frame(
            end,
            (
                StepRecord(
                    "node0", 0, "job", first + number, end - length, end, nothing, nothing, nothing
                ),
            ),
        )
        for number, (end, length) in enumerate(zip(ends.tolist(), seconds, strict=True))
    ]
