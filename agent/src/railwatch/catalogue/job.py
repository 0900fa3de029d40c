# SPDX-License-Identifier: Apache-2.0
"""The analyzer's metrics about jobs: their steps, what bounds them, and who keeps them waiting."""

from __future__ import annotations

from enum import StrEnum

from railwatch.catalogue.metric import PREFIX, MetricSpec, MetricType, Scope


class BoundCause(StrEnum):
    """Why a job is communication-bound; values of the label `cause`."""

    BANDWIDTH = "bandwidth"
    CONGESTION = "congestion"
    DEGRADED_LINK = "degraded_link"
    LATENCY = "latency"
    STRAGGLER = "straggler"
    UNKNOWN = "unknown"


class StragglerKind(StrEnum):
    """What keeps a node behind the others of its job; values of the label `kind`."""

    COMPUTE = "compute"
    INPUT = "input"
    NETWORK = "network"
    UNKNOWN = "unknown"


def _job(
    what: str,
    kind: MetricType,
    text: str,
    more: tuple[str, ...] = (),
    values: tuple[str, ...] = (),
) -> MetricSpec:
    labels = ("job_id", *more)
    return MetricSpec(f"{PREFIX}job_{what}", kind, text, labels, Scope.FLEET_JOB, values=values)


JOB_STEP_SECONDS = _job(
    "step_seconds", MetricType.GAUGE, "Length of the job's steps now, the median of its nodes."
)
JOB_EXPOSED_RATIO = _job(
    "exposed_communication_ratio",
    MetricType.GAUGE,
    "Share of the job's steps in which bytes move and nothing computes, the median of its nodes.",
)
JOB_COMMUNICATION_BOUND = _job(
    "communication_bound",
    MetricType.GAUGE,
    "1 while the exposed share says that the job waits for the network; 0 while it says not.",
)
JOB_BOUND_CAUSE_INFO = _job(
    "bound_cause_info",
    MetricType.INFO,
    "Why the job is communication-bound; absent while it is not.",
    ("cause",),
)
JOB_SLOWDOWN_RATIO = _job(
    "slowdown_ratio",
    MetricType.GAUGE,
    "Length of a step against the job's own healthy baseline; 1 = as ever.",
)
JOB_LOST_GPU_SECONDS = _job(
    "lost_gpu_seconds_total",
    MetricType.COUNTER,
    "GPU-seconds that the job has spent longer in its steps than its healthy baseline, by cause.",
    ("cause",),
    tuple(BoundCause),
)
JOB_BANDWIDTH_DEMAND_RATIO = _job(
    "bandwidth_demand_ratio",
    MetricType.GAUGE,
    "Bytes that a rail of the job sends in a step, against what its line rate carries in that step "
    "less what of it is exposed communication. At 1 the rails would have to run at line rate all "
    "that time; above 1 the bytes cannot be hidden, however well they are overlapped.",
)
STRAGGLER = MetricSpec(
    f"{PREFIX}straggler",
    MetricType.GAUGE,
    "1 while the other nodes of the job wait for this one.",
    ("node", "job_id", "kind"),
    Scope.FLEET_JOB,
)
