# SPDX-License-Identifier: Apache-2.0
"""What one round sees of the jobs' steps: the agents' step series, or the rows of a STEPS.parquet.

Unknown is NaN, never zero: a marker need not say how its step was split.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from railwatch.catalogue.gpu import GPU_PRESENT
from railwatch.catalogue.step import (
    JOB_INFO,
    STEP_COMMUNICATION,
    STEP_COMPUTE,
    STEP_EXPOSED,
    STEP_IDLE,
    STEP_SECONDS,
    STEP_STALLED,
    STEP_TRANSMIT_BYTES,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

# The counters of a job on a node, by the name of the series.
STEP_NAMES: Mapping[str, str] = {
    f"{STEP_SECONDS.name}_count": "steps",
    f"{STEP_SECONDS.name}_sum": "seconds",
    STEP_COMPUTE.name: "compute",
    STEP_COMMUNICATION.name: "communication",
    STEP_EXPOSED.name: "exposed",
    STEP_STALLED.name: "stalled",
    STEP_IDLE.name: "idle",
    STEP_TRANSMIT_BYTES.name: "transmitted",
}
# Series beside those of rails that a source has to fetch.
STEP_FETCHED = frozenset((*STEP_NAMES, JOB_INFO.name, GPU_PRESENT.name))


@dataclass(frozen=True, slots=True)
class StepCounters:
    """What the agent of a node has counted of a job's steps by `sampled_at`, Unix seconds.

    `values` holds the counters by their short names; what the agent does not say is not in it.
    """

    node: str
    job_id: str
    source: str
    sampled_at: float
    values: Mapping[str, float]


@dataclass(frozen=True, slots=True)
class StepRecord:
    """One step of one rank; Unix seconds and seconds, NaN where unknown."""

    node: str
    rank: int
    job_id: str
    step: int
    start: float
    end: float
    compute: float
    communication: float
    exposed: float


@dataclass(frozen=True, slots=True)
class JobFrame:
    """Steps as a round sees them.

    Attributes
    ----------
    counters
        One entry for each node, job and source.
    records
        Steps that ended since the last frame, in order of their end; a live source has none.
    gpus
        GPUs present on each node that says so.
    jobs
        Jobs that a node says run on it, whether or not anything is known of their steps.
    """

    counters: tuple[StepCounters, ...] = ()
    records: tuple[StepRecord, ...] = ()
    gpus: Mapping[str, int] = field(default_factory=dict)
    jobs: Mapping[str, frozenset[str]] = field(default_factory=dict)


NO_JOBS = JobFrame()


@dataclass(slots=True)
class JobFrameBuilder:
    """Gathers series, in whatever order a source finds them."""

    _values: dict[tuple[str, str, str], dict[str, float]] = field(default_factory=dict)
    _sampled_at: dict[tuple[str, str, str], float] = field(default_factory=dict)
    _gpus: dict[str, dict[str, bool]] = field(default_factory=dict)
    _jobs: dict[str, set[str]] = field(default_factory=dict)

    def add(
        self, node: str, name: str, labels: Mapping[str, str], value: float, sampled_at: float
    ) -> None:
        """Take one series of *node*; one that is not about steps is passed over."""
        if name in STEP_NAMES and "job_id" in labels:
            key = (node, labels["job_id"], labels.get("source", ""))
            self._values.setdefault(key, {})[STEP_NAMES[name]] = value
            self._sampled_at[key] = max(self._sampled_at.get(key, sampled_at), sampled_at)
        elif name == GPU_PRESENT.name:
            self._gpus.setdefault(node, {})[labels.get("gpu", "")] = value == 1.0
        elif name == JOB_INFO.name and "job_id" in labels:
            self._jobs.setdefault(node, set()).add(labels["job_id"])

    def build(self) -> JobFrame:
        """Return the frame of all that was added."""
        return JobFrame(
            counters=tuple(
                StepCounters(*key, self._sampled_at[key], values)
                for key, values in sorted(self._values.items())
            ),
            gpus={node: sum(present.values()) for node, present in self._gpus.items()},
            jobs={node: frozenset(jobs) for node, jobs in self._jobs.items()},
        )
