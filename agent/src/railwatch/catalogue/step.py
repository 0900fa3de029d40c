# SPDX-License-Identifier: Apache-2.0
"""Metrics of a node's jobs and of their training steps, as the agent sees them.

Step series are the one place where a job is a label: a handful for each job, and dropped ten
minutes after it ended.
"""

from __future__ import annotations

from enum import StrEnum

from railwatch.catalogue.metric import PREFIX, MetricSpec, MetricType, Scope


class StepSource(StrEnum):
    """Who says what a step is; values of the label `source`."""

    MARKER = "marker"
    """The training code."""
    INFERRED = "inferred"
    """The agent, from the rhythm of the traffic and of the GPUs."""


class Unresolved(StrEnum):
    """Why nothing is inferred of a job's steps, or not all of it; values of the label `reason`."""

    IDLE = "idle"
    """Nothing moves: no job, or one that pauses."""
    WARM_UP = "warm_up"
    """Fewer than four periods were seen."""
    NOISE = "noise"
    """No period explains the traffic well enough."""
    SAMPLING = "sampling"
    """A step has too few samples; where there is a period, to be split."""
    SEVERAL_JOBS = "several_jobs"
    """Jobs share the rails."""
    NO_ACTIVITY = "no_activity"
    """There is a period, and no signal that tells when GPUs compute."""
    LAG = "lag"
    """There is a period, and the signal's lag and averaging blur more than a tenth of it."""


_STEP = ("job_id", "source")


def _step(
    what: str, kind: MetricType, text: str, more: tuple[str, ...] = (), source: str = ""
) -> MetricSpec:
    return MetricSpec(f"{PREFIX}step_{what}", kind, text, (*_STEP, *more), Scope.JOB, source=source)


STEP_SECONDS = _step(
    "seconds",
    MetricType.SUMMARY,
    "Length of the steps: their number and their sum. Steps in a pause are left out.",
    source="step markers (start, end), or boundaries in the bytes sent",
)
STEP_COMPUTE = _step(
    "compute_seconds_total",
    MetricType.COUNTER,
    "Time of the steps in which the GPUs computed, whether or not the rails moved bytes. Compute, "
    "exposed communication, stalled and idle add up to the steps that could be split: shares are "
    "those of this sum.",
)
STEP_COMMUNICATION = _step(
    "communication_seconds_total",
    MetricType.COUNTER,
    "Time of the steps in which the rails moved bytes, under compute or not.",
)
STEP_EXPOSED = _step(
    "exposed_communication_seconds_total",
    MetricType.COUNTER,
    "Time of the steps in which the rails moved bytes and the GPUs did not compute.",
)
STEP_STALLED = _step(
    "stalled_seconds_total",
    MetricType.COUNTER,
    "Time within the steps in which neither moved: collectives inside the node, pipeline bubbles, "
    "waiting for others.",
)
STEP_IDLE = _step(
    "idle_seconds_total",
    MetricType.COUNTER,
    "Time between steps in which neither moved before the GPUs worked on the next: input, host.",
)
STEP_TRANSMIT_BYTES = _step(
    "transmit_bytes_total",
    MetricType.COUNTER,
    "Bytes that the job's rails sent in these steps.",
)
STEP_PERIOD = _step(
    "period_seconds",
    MetricType.GAUGE,
    "Length of a step now.",
    source="autocorrelation of the bytes sent, or the median of the last markers",
)
STEP_CONFIDENCE = _step(
    "confidence_ratio",
    MetricType.GAUGE,
    "How well the period explains the traffic: the autocorrelation at its lag; 1 where marked.",
)
STEP_SOURCE_INFO = _step(
    "source_info",
    MetricType.INFO,
    "Which signal stands for compute.",
    ("activity",),
)
STEP_UNRESOLVED = MetricSpec(
    f"{PREFIX}step_unresolved",
    MetricType.GAUGE,
    "1 for the reason why nothing is inferred of the steps or, where there is a period, why they "
    "are not split (no_activity, lag, sampling); absent while all is known, and without a job.",
    ("job_id", "reason"),
    Scope.JOB,
)

JOB_INFO = MetricSpec(
    f"{PREFIX}job_info",
    MetricType.INFO,
    "A job that runs on this node.",
    ("job_id", "user", "partition"),
    Scope.JOB,
    source="[job]; the scheduler's map files, control groups and, where permitted, environments",
)
