# SPDX-License-Identifier: Apache-2.0
"""The job view as series and as JSON; what is unknown has no series, and is None."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from railwatch.catalogue.job import (
    JOB_BANDWIDTH_DEMAND_RATIO,
    JOB_BOUND_CAUSE_INFO,
    JOB_COMMUNICATION_BOUND,
    JOB_EXPOSED_RATIO,
    JOB_LOST_GPU_SECONDS,
    JOB_SLOWDOWN_RATIO,
    JOB_STEP_SECONDS,
    STRAGGLER,
    BoundCause,
)
from railwatch.catalogue.metric import Sample
from railwatch_analyzer.jobs.claims import waiting
from railwatch_analyzer.plan.demand import demand_ratio

if TYPE_CHECKING:
    from collections.abc import Iterator

    from railwatch.catalogue.metric import MetricSpec
    from railwatch_analyzer.jobs.state import Job, Jobs


def job_samples(jobs: Jobs) -> Iterator[Sample]:
    """Yield the series of every job."""
    for job in jobs.jobs.values():
        label = (job.job_id,)
        yield from _known(JOB_STEP_SECONDS, job, job.seconds)
        yield from _known(JOB_EXPOSED_RATIO, job, job.bound.share)
        yield from _known(JOB_SLOWDOWN_RATIO, job, slowdown(job))
        yield from _known(JOB_BANDWIDTH_DEMAND_RATIO, job, demand(job))
        if job.bound.bound is not None:
            yield Sample(JOB_COMMUNICATION_BOUND, label, int(job.bound.bound))
        if job.bound.bound:
            yield Sample(JOB_BOUND_CAUSE_INFO, (*label, job.why.cause), 1)
        if job.gpus:
            for cause in BoundCause:
                lost = job.lost.get(cause.value, 0.0)
                yield Sample(JOB_LOST_GPU_SECONDS, (*label, cause), lost)
        for node, kind, _ in waiting(job):
            yield Sample(STRAGGLER, (node, job.job_id, kind), 1)


def _known(spec: MetricSpec, job: Job, value: float) -> Iterator[Sample]:
    if math.isfinite(value):
        yield Sample(spec, (job.job_id,), value)


def slowdown(job: Job) -> float:
    """Return the length of the last steps against the usual; NaN until that was learned."""
    return 1.0 + job.pace.effect


def demand(job: Job) -> float:
    """Return what the bytes of a step ask of the job's rails; NaN is unknown."""
    if not job.rails.count or not job.nodes:
        return math.nan
    rails = job.rails.count / len(job.nodes)
    ratio = demand_ratio(
        job.transmitted / rails,
        step_seconds=job.seconds,
        line_rate=job.rails.line_rate,
        exposed_seconds=0.0 if math.isnan(job.bound.share) else job.bound.share * job.seconds,
    )
    return math.nan if ratio is None else ratio


def jobs_view(jobs: Jobs) -> list[dict[str, Any]]:
    """Return an object for each job; unknown numbers are None."""
    return [
        {
            "job_id": job.job_id,
            "nodes": list(job.nodes),
            "gpus": job.gpus or None,
            "seen_at": job.seen_at,
            "step_seconds": _number(job.seconds),
            "exposed_communication_ratio": _number(job.bound.share),
            "communication_bound": job.bound.bound,
            "slowdown_ratio": _number(slowdown(job)),
            "slow": job.is_slow,
            "bandwidth_demand_ratio": _number(demand(job)),
            "cause": job.why.cause if job.bound.bound or job.is_slow else None,
            "lost_gpu_seconds": dict(job.lost),
            "stragglers": [{"node": node, "kind": kind.value} for node, kind, _ in waiting(job)],
            "learning": math.isnan(job.pace.usual),
        }
        for job in jobs.jobs.values()
    ]


def _number(value: float) -> float | None:
    return value if math.isfinite(value) else None
