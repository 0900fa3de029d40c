# SPDX-License-Identifier: Apache-2.0
"""One round of the job view: a pure fold from what was known of the jobs to what is known now."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import TYPE_CHECKING

from railwatch.catalogue.job import BoundCause
from railwatch_analyzer.findings import Finding, follow
from railwatch_analyzer.jobs import pace as paces
from railwatch_analyzer.jobs import shift as shifts
from railwatch_analyzer.jobs import stragglers as waits
from railwatch_analyzer.jobs import workload as works
from railwatch_analyzer.jobs.bound import after_share
from railwatch_analyzer.jobs.causes import Past, diagnosis
from railwatch_analyzer.jobs.claims import claims_of
from railwatch_analyzer.jobs.gathering import hear_counters, hear_record
from railwatch_analyzer.jobs.pace import Pace
from railwatch_analyzer.jobs.rails import RailsSeen, look_at_rails
from railwatch_analyzer.jobs.shift import Shift
from railwatch_analyzer.jobs.state import Job, Jobs
from railwatch_analyzer.jobs.step import JobStep, job_step
from railwatch_analyzer.jobs.stretch import Member, Stretch, combined, counted
from railwatch_analyzer.jobs.workload import Workload

if TYPE_CHECKING:
    from collections.abc import Mapping

    from railwatch_analyzer.frame import Frame, Link
    from railwatch_analyzer.jobs.gathering import Told
    from railwatch_analyzer.step_frame import StepCounters

# A job of which no step was heard for so long, and for so many of its steps, is over.
_OVER_SECONDS = 900.0
_OVER_STEPS = 20.0
# How far the usual congestion follows in one healthy step.
_FOLLOW = 0.05
# Steps in a row that must speak for another cause.
_DOUBTS = 3
# A single step that is so many spreads longer is a pause, and teaches nothing.
_PAUSE_Z = 4.0
_SKIPPED_STEPS = 10.0
# More members than this many times the most that were ever heard make another job of it.
_GROWN = 1.1


def judge_jobs(jobs: Jobs, frame: Frame, bad: frozenset[Link]) -> tuple[Jobs, list[Finding]]:
    """Return what is known of the jobs after *frame*, and a line for each finding that changed.

    *bad* are the links that something is held against.
    """
    known = dict(jobs.jobs)
    jobs = _look_at_rails(jobs, known, frame, bad)
    for job_id, told in _heard(jobs, known, frame):
        known[job_id] = _after_step(known[job_id], told, frame)
    known = {job_id: job for job_id, job in known.items() if not _is_over(job, frame.time)}
    standing, lines = follow(jobs.standing, claims_of(known.values(), frame.time), frame.time)
    return replace(jobs, jobs=known, counters=_newest(jobs, frame), standing=standing), lines


def _look_at_rails(jobs: Jobs, known: dict[str, Job], frame: Frame, bad: frozenset[Link]) -> Jobs:
    """Tell each of *known* what its rails do; a frame without links says nothing of them."""
    if not frame.links or not known:
        return jobs
    counters, seen = look_at_rails(jobs.rails, frame, _owners(known, frame), bad)
    for job_id, job in known.items():
        known[job_id] = replace(job, rails=seen.get(job_id, RailsSeen()))
    return replace(jobs, rails=counters)


def _owners(known: Mapping[str, Job], frame: Frame) -> dict[str, str]:
    """The job of each node that runs only one."""
    found: dict[str, set[str]] = {node: set(ids) for node, ids in frame.jobs.jobs.items()}
    for job in known.values():
        for node in job.nodes:
            found.setdefault(node, set()).add(job.job_id)
    return {node: next(iter(ids)) for node, ids in found.items() if len(ids) == 1}


def _heard(jobs: Jobs, known: dict[str, Job], frame: Frame) -> list[tuple[str, Told]]:
    """Return the steps that were closed in this round, in order; *known* gathers the rest."""
    closed: list[tuple[str, Told]] = []
    for record in frame.jobs.records:
        job = known.get(record.job_id) or Job(record.job_id, frame.time)
        gathering, steps = hear_record(job.gathering, record)
        known[job.job_id] = replace(job, gathering=gathering, seen_at=frame.time)
        closed += [(job.job_id, told) for told in steps]
    fresh = _stretches(jobs, frame)
    counted_jobs = {counters.job_id for counters in frame.jobs.counters}
    for job_id in sorted(counted_jobs):
        job = known.get(job_id) or Job(job_id, frame.time)
        told = fresh.get(job_id, {})
        members = frozenset(Member(node) for node, ids in frame.jobs.jobs.items() if job_id in ids)
        gathering, steps = hear_counters(job.gathering, told, frame.time, members)
        seen_at = frame.time if told else job.seen_at
        known[job_id] = replace(job, gathering=gathering, seen_at=seen_at)
        closed += [(job_id, step) for step in steps]
    return closed


def _stretches(jobs: Jobs, frame: Frame) -> dict[str, dict[Member, Stretch]]:
    """What each node's counters tell of each job since they were last read."""
    by_source: dict[tuple[str, str], dict[str, Stretch]] = {}
    for counters in frame.jobs.counters:
        stretch = counted(jobs.counters.get(_key(counters)), counters)
        if stretch is not None:
            place = (counters.job_id, counters.node)
            by_source.setdefault(place, {})[counters.source] = stretch
    found: dict[str, dict[Member, Stretch]] = {}
    for (job_id, node), sources in by_source.items():
        found.setdefault(job_id, {})[Member(node)] = combined(sources)
    return found


def _key(counters: StepCounters) -> tuple[str, str, str]:
    return (counters.node, counters.job_id, counters.source)


def _newest(jobs: Jobs, frame: Frame) -> dict[tuple[str, str, str], StepCounters]:
    """The newest counters; those of long ago say nothing of what comes next."""
    kept = {
        key: counters
        for key, counters in jobs.counters.items()
        if frame.time - counters.sampled_at <= _OVER_SECONDS
    }
    return {**kept, **{_key(counters): counters for counters in frame.jobs.counters}}


def _is_over(job: Job, now: float) -> bool:
    usual = 0.0 if math.isnan(job.seconds) else job.seconds
    return now - job.seen_at > max(_OVER_SECONDS, _OVER_STEPS * usual)


def _after_step(job: Job, told: Told, frame: Frame) -> Job:
    """Return *job* after one of its steps was closed."""
    job = _joined(job, told)
    step = job_step(told, job.rails, frame.time)
    work = math.log(step.transmitted) if step.transmitted > 0 else math.nan
    length = math.log(step.seconds) - works.explained(job.workload, work)
    learn = job.is_healthy
    pause = abs(length - job.pace.usual) > _PAUSE_Z * job.pace.spread
    job = replace(
        job,
        seconds=step.seconds,
        transmitted=step.transmitted,
        gpus=_gpus(step, frame),
        nodes=tuple(dict.fromkeys(member.node for member in step.members)),
        stragglers=waits.after_step(job.stragglers, step.members, step.time, learn=learn),
        bound=after_share(
            job.bound, step.exposed, step.steps, began=step.time - step.steps * step.seconds
        ),
        shift=shifts.after_step(job.shift, step),
    )
    learn = learn and job.is_healthy
    job = replace(job, pace=paces.after_step(job.pace, length, step.steps, step.time, learn=learn))
    if learn and not pause and job.is_healthy and job.pace.steps > _SKIPPED_STEPS:
        job = _taught(job, step, work)
    return _charged(_explained(job), step)


def _joined(job: Job, told: Told) -> Job:
    """Return *job*, which learns anew if it became larger: its steps are others now.

    One that became smaller may only have lost an agent.
    """
    size = len(told)
    if size <= _GROWN * job.most:
        return replace(job, most=max(job.most, size))
    return replace(job, most=size, pace=Pace(), shift=Shift(), workload=Workload())


def _taught(job: Job, step: JobStep, work: float) -> Job:
    """Learn from a healthy step."""
    return replace(
        job,
        shift=shifts.learned(job.shift, step),
        workload=works.learned(job.workload, work, math.log(step.seconds)),
        past=Past(
            marks=_followed(job.past.marks, step.rails.marks),
            losses=_followed(job.past.losses, step.rails.losses),
            paused=_followed(job.past.paused, step.rails.paused),
        ),
    )


def _followed(usual: float, now: float) -> float:
    if math.isnan(usual):
        return now
    return usual if math.isnan(now) else usual + _FOLLOW * (now - usual)


def _explained(job: Job) -> Job:
    """Put the job's trouble down to a cause, which changes only when steps in a row say so."""
    if not job.bound.bound and not job.is_slow:
        return replace(job, why=diagnosis(RailsSeen(), Past(), ()), doubt=0)
    now = diagnosis(job.rails, job.past, job.stragglers.standing)
    if now.cause is job.why.cause:
        return replace(job, why=now, doubt=0)
    if job.why.cause is BoundCause.UNKNOWN or job.doubt + 1 >= _DOUBTS:
        return replace(job, why=now, doubt=0)
    return replace(job, doubt=job.doubt + 1)


def _charged(job: Job, step: JobStep) -> Job:
    """Add up the GPU-seconds that a slow step took longer than a usual one."""
    if not job.pace.slowed or not job.gpus:
        return job
    longer = max(step.seconds - math.exp(job.pace.usual), 0.0) * step.steps * job.gpus
    cause = job.why.cause.value
    return replace(job, lost={**job.lost, cause: job.lost.get(cause, 0.0) + longer})


def _gpus(step: JobStep, frame: Frame) -> int:
    """GPUs of the job: those present on its nodes; of records, a rank each."""
    ranks = sum(member.rank >= 0 for member in step.members)
    nodes = {member.node for member in step.members}
    return ranks or sum(frame.jobs.gpus.get(node, 0) for node in nodes)
