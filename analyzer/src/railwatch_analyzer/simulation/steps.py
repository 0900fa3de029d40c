# SPDX-License-Identifier: Apache-2.0
"""The steps of simulated jobs as agents publish them, and as a STEPS.parquet records them.

Marked steps: what each node of a job knows of its own compute, and of when its rails moved. Of the
flow-level model only; who is to blame for a slow step is in `truth`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from railwatch.catalogue.gpu import GPU_PRESENT
from railwatch.catalogue.metric import Distribution, Sample
from railwatch.catalogue.step import (
    JOB_INFO,
    STEP_COMMUNICATION,
    STEP_COMPUTE,
    STEP_CONFIDENCE,
    STEP_EXPOSED,
    STEP_IDLE,
    STEP_PERIOD,
    STEP_SECONDS,
    STEP_STALLED,
    STEP_TRANSMIT_BYTES,
    StepSource,
)
from railwatch_analyzer.simulation.fabric.traffic import FlowTraffic
from railwatch_analyzer.simulation.fabric.trail import Signal
from railwatch_analyzer.simulation.model import Fidelity
from railwatch_analyzer.simulation.nics import nics

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from railwatch.catalogue.metric import MetricSpec
    from railwatch_analyzer.simulation.jobs import Job
    from railwatch_analyzer.simulation.model import Simulation


@dataclass(frozen=True, slots=True)
class JobSteps:
    """All steps of a job that ended by some moment.

    Attributes
    ----------
    start, end
        Shape (steps,), seconds since the simulation began.
    compute, communication, exposed, stalled, idle
        Shape (steps, nodes), seconds. compute + exposed + stalled + idle is the step.
    sent
        Shape (steps, nodes), bytes that a node's rails sent.
    """

    job: Job
    start: NDArray[np.float64]
    end: NDArray[np.float64]
    compute: NDArray[np.float64]
    communication: NDArray[np.float64]
    exposed: NDArray[np.float64]
    stalled: NDArray[np.float64]
    idle: NDArray[np.float64]
    sent: NDArray[np.float64]


_COUNTERS: tuple[tuple[MetricSpec, str], ...] = (
    (STEP_COMPUTE, "compute"),
    (STEP_COMMUNICATION, "communication"),
    (STEP_EXPOSED, "exposed"),
    (STEP_STALLED, "stalled"),
    (STEP_IDLE, "idle"),
    (STEP_TRANSMIT_BYTES, "sent"),
)


def job_steps(simulation: Simulation, until: float) -> tuple[JobSteps, ...]:
    """Return the steps of every job of *simulation* that end by *until*.

    Raises
    ------
    ValueError
        If the simulation is paced: that model has no nodes that wait for each other.
    """
    if simulation.fidelity is not Fidelity.FLOW:
        raise ValueError("steps are split by the flow-level model only")
    rate = nics(simulation).rate
    return tuple(_steps(simulation, n, rate, until) for n in range(len(simulation.jobs)))


def step_samples(steps: JobSteps, node: str, seconds: float) -> Iterator[Sample]:
    """Yield what the agent of *node* exposes of the job at *seconds* since the beginning."""
    job = steps.job
    if node not in job.nodes or not job.runs_at(seconds):
        return
    yield Sample(JOB_INFO, (job.job_id, "", ""), 1.0)
    for gpu in range(job.gpus_per_node):
        yield Sample(GPU_PRESENT, (str(gpu),), 1.0)
    at, ended = job.nodes.index(node), int(np.searchsorted(steps.end, seconds, side="right"))
    if not ended:
        return
    labels = (job.job_id, str(StepSource.MARKER))
    lengths = (steps.end - steps.start)[:ended]
    yield Sample(STEP_SECONDS, labels, Distribution((), ended, float(lengths.sum())))
    for spec, name in _COUNTERS:
        yield Sample(spec, labels, float(getattr(steps, name)[:ended, at].sum()))
    yield Sample(STEP_PERIOD, labels, float(np.median(lengths[-5:])))
    yield Sample(STEP_CONFIDENCE, labels, 1.0)


def steps_table(steps: JobSteps, start: float) -> pd.DataFrame:
    """Return the rows of a STEPS.parquet; *start* is when the simulation began, Unix seconds.

    One rank a node: its GPUs wait for each other within it.
    """
    count, nodes = steps.compute.shape
    return pd.DataFrame(
        {
            "instance": np.tile(np.array(steps.job.nodes), count),
            "rank": np.tile(np.arange(nodes), count),
            "job_id": steps.job.job_id,
            "step": np.repeat(np.arange(count), nodes),
            "start": np.repeat(steps.start + start, nodes),
            "end": np.repeat(steps.end + start, nodes),
            "compute_seconds": steps.compute.ravel(),
            "communication_seconds": steps.communication.ravel(),
            "exposed_communication_seconds": steps.exposed.ravel(),
        }
    )


def _steps(
    simulation: Simulation, number: int, rate: NDArray[np.float64], until: float
) -> JobSteps:
    traffic = FlowTraffic(simulation, number, rate)
    traffic.advance(until)
    job = traffic.job
    known = [step for step in traffic.steps if step.end <= min(until, job.end)]
    nodes = len(job.nodes)
    sent = [step.counted[-1, Signal.SENT].reshape(-1, nodes).sum(axis=0) for step in known]
    split = {
        name: np.array([getattr(step, name) for step in known]).reshape(-1, nodes)
        for name in ("compute", "communication", "exposed", "stalled", "idle")
    }
    return JobSteps(
        job=job,
        start=np.array([step.start for step in known]),
        end=np.array([step.end for step in known]),
        sent=np.array(sent).reshape(-1, nodes),
        **split,
    )
