# SPDX-License-Identifier: Apache-2.0
"""A synchronous job step by step, with the truth about what troubles it.

Each step every node computes, hides a part of its communication and waits for the rest; whoever is
late or slow is waited for by all others, in what looks like communication to them. Only sums are
simulated, not bytes on wires (`traffic` does that), so thousands of jobs cost little.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

import numpy as np

from railwatch_analyzer.step_frame import StepRecord

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    Array = NDArray[np.float64]


class Trouble(StrEnum):
    """What can happen to a job."""

    NONE = "none"
    DEGRADED_LINK = "degraded_link"
    CONGESTION = "congestion"
    BANDWIDTH = "bandwidth"
    LATENCY = "latency"
    COMPUTE = "compute"
    INPUT = "input"
    CLOCKS = "clocks"
    """All nodes compute longer: a power cap, a new kernel. Nobody is waited for."""


_NETWORK = frozenset(
    (Trouble.DEGRADED_LINK, Trouble.CONGESTION, Trouble.BANDWIDTH, Trouble.LATENCY)
)


@dataclass(frozen=True, slots=True, kw_only=True)
class StepJob:
    """A job and its trouble.

    Attributes
    ----------
    seconds, exposed
        A healthy step, and the share of it in which communication is exposed.
    noise
        Standard deviation of the logarithm of a step's length from step to step.
    correlation
        Of that noise with the step's before: what slow drifts and bursts of load are made of.
    node_noise
        The same between nodes of a step.
    hidden
        Communication under compute for each second that is exposed.
    work
        Standard deviation of the logarithm of the work in a step, bytes and time alike.
    stages
        Nodes compute by so many equal groups, the last of which takes `imbalance` times as long.
    checkpoint_steps, checkpoint_seconds
        So often a step takes so much longer.
    trouble, factor, onset, ramp
        What happens from step `onset` on, and how much longer what it affects takes; it comes
        gradually over `ramp` steps.
    culprit
        The node that it happens to, where it does to one.
    """

    nodes: int = 8
    seconds: float = 1.0
    exposed: float = 0.06
    noise: float = 0.005
    correlation: float = 0.0
    node_noise: float = 0.003
    hidden: float = 3.0
    work: float = 0.0
    stages: int = 1
    imbalance: float = 1.0
    checkpoint_steps: int = 0
    checkpoint_seconds: float = 30.0
    bytes_per_step: float = 1e9
    trouble: Trouble = Trouble.NONE
    factor: float = 2.0
    onset: int = 200
    ramp: int = 0
    culprit: int = 2
    seed: int = 0


@dataclass(frozen=True, slots=True)
class Simulated:
    """One step: seconds of each node, shape (nodes,), and how far the trouble has come, 0 to 1."""

    number: int
    start: float
    late: Array
    compute: Array
    exposed: Array
    communication: Array
    seconds: float
    transmitted: float
    trouble: float


def simulated_steps(job: StepJob) -> Iterator[Simulated]:
    """Yield steps for ever; seconds count from the beginning of the job."""
    random = np.random.default_rng([job.seed, 7])
    nodes, start, drift, number = np.arange(job.nodes), 0.0, 0.0, 0
    stage = nodes * job.stages // job.nodes
    cut = np.where((stage == job.stages - 1) & (job.stages > 1), job.imbalance, 1.0)
    while True:
        drift = job.correlation * drift
        drift += np.sqrt(1 - job.correlation**2) * job.noise * random.normal()
        work = float(np.exp(drift + job.work * random.normal()))
        trouble = _strength(job, number)
        compute = job.seconds * (1 - job.exposed) * cut * work
        compute = compute * np.exp(job.node_noise * random.normal(size=job.nodes))
        exchange = job.seconds * job.exposed * work * _slower(job, _NETWORK, trouble)
        late = np.zeros(job.nodes)
        if job.trouble is Trouble.CLOCKS:
            compute = compute * (1 + (job.factor - 1) * trouble)
        elif job.trouble is Trouble.COMPUTE:
            compute[job.culprit] *= 1 + (job.factor - 1) * trouble
        elif job.trouble is Trouble.INPUT:
            late[job.culprit] = job.seconds * (job.factor - 1) * trouble
        busy = late + compute
        seconds = float(busy.max() + exchange)
        # A checkpoint is written by all, between computing and the next step.
        if job.checkpoint_steps and number % job.checkpoint_steps == job.checkpoint_steps - 1:
            seconds += job.checkpoint_seconds
            compute = compute + job.checkpoint_seconds
            busy = busy + job.checkpoint_seconds
        exposed = seconds - busy
        moved = job.bytes_per_step * float(np.exp(np.log(work) - drift))
        hidden = job.hidden * job.seconds * job.exposed * work
        yield Simulated(
            number, start, late, compute, exposed, exposed + hidden, seconds, moved, trouble
        )
        start += seconds
        number += 1


def _strength(job: StepJob, number: int) -> float:
    if job.trouble is Trouble.NONE or number < job.onset:
        return 0.0
    return min((number - job.onset + 1) / job.ramp, 1.0) if job.ramp else 1.0


def _slower(job: StepJob, kinds: frozenset[Trouble], trouble: float) -> float:
    return 1 + (job.factor - 1) * trouble if job.trouble in kinds else 1.0


def records(job: StepJob, steps: int, *, start: float, job_id: str = "77") -> list[StepRecord]:
    """Return what markers of a rank on each node would say of the first *steps* steps."""
    found = []
    for step in simulated_steps(job):
        if step.number == steps:
            break
        begin = start + step.start
        found += [
            StepRecord(
                node=f"n{node}",
                rank=node,
                job_id=job_id,
                step=step.number,
                start=begin + float(step.late[node]),
                end=begin + step.seconds,
                compute=float(step.compute[node]),
                communication=float(step.communication[node]),
                exposed=float(step.exposed[node]),
            )
            for node in range(job.nodes)
        ]
    return found
