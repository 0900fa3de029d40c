"""Simulated jobs told to the analyzer, live or as records, for the tests of the job view."""

from __future__ import annotations

from dataclasses import replace
from itertools import groupby, islice
from typing import TYPE_CHECKING

from railwatch_analyzer.jobs.fold import judge_jobs
from railwatch_analyzer.jobs.state import Job, Jobs
from railwatch_analyzer.simulation.step_frames import job_frames
from railwatch_analyzer.simulation.step_jobs import StepJob, records
from railwatch_analyzer.sources.steps import steps_frame

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from railwatch_analyzer.findings import Finding
    from railwatch_analyzer.frame import Frame
    from railwatch_analyzer.step_frame import StepRecord

START = 1_700_000_000.0
JOB = "77"


def told(found: Iterable[StepRecord]) -> list[Frame]:
    """Return *found* as frames, in order of time."""
    ordered = sorted(found, key=lambda record: record.end)
    return [steps_frame(end, tuple(g)) for end, g in groupby(ordered, key=lambda r: r.end)]


def marked(job: StepJob, steps: int) -> list[Frame]:
    """Return the frames of the first *steps* steps of *job*, as markers tell of them."""
    return told(records(job, steps, start=START, job_id=JOB))


def live(job: StepJob, rounds: int) -> list[Frame]:
    """Return *rounds* frames of *job* as its agents count it."""
    return [frame for frame, _ in islice(job_frames(job, start=START, job_id=JOB), rounds)]


def fold(frames: Iterable[Frame], jobs: Jobs | None = None) -> tuple[Jobs, list[Finding]]:
    """Judge *frames* one after another; links have nothing held against them."""
    jobs, lines = jobs or Jobs(), []
    for frame in frames:
        jobs, more = judge_jobs(jobs, frame, frozenset())
        lines += more
    return jobs, lines


def only_job(jobs: Jobs) -> Job:
    """The one job of *jobs*."""
    (job,) = jobs.jobs.values()
    return job


def kinds(lines: Sequence[Finding]) -> set[str]:
    """Kinds of finding in *lines*."""
    return {line.kind.value for line in lines}


def without_split(found: Sequence[StepRecord]) -> list[StepRecord]:
    """*found* as a recorder tells that knows of begins and ends only."""
    nothing = float("nan")
    return [replace(r, compute=nothing, communication=nothing, exposed=nothing) for r in found]
