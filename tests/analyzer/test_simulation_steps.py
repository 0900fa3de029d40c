# SPDX-License-Identifier: Apache-2.0
"""Steps of simulated jobs as agents publish them: who computes, who waits, and for what."""

from __future__ import annotations

import numpy as np
import pytest

from railwatch.catalogue.metric import Distribution
from railwatch.exposition import Reader, Renderer
from railwatch_analyzer.simulation.faults import Fault, LateInput, SlowGpu, TransmitCap
from railwatch_analyzer.simulation.jobs import Job
from railwatch_analyzer.simulation.model import SILENT, Fidelity, Simulation
from railwatch_analyzer.simulation.steps import JobSteps, job_steps, step_samples, steps_table
from railwatch_analyzer.simulation.topology import Topology

FABRIC = Topology(nodes=4, rails=1)
JOB = Job(
    job_id="7",
    nodes=FABRIC.names,
    step_seconds=0.3,
    compute_share=0.6,
    bytes_per_step=0.9 * 50e9 * 0.12,
    jitter=0.0,
)


def _steps(*faults: Fault, until: float = 1.3) -> JobSteps:
    simulation = Simulation(
        topology=FABRIC, jobs=(JOB,), faults=faults, noise=SILENT, fidelity=Fidelity.FLOW
    )
    (steps,) = job_steps(simulation, until)
    return steps


def test_the_parts_of_a_step_add_up_to_it() -> None:
    steps = _steps(SlowGpu(node="node1", start=0.5, factor=1.3))

    parts = steps.compute + steps.exposed + steps.stalled + steps.idle
    lengths = np.repeat((steps.end - steps.start)[:, None], 4, axis=1)
    np.testing.assert_allclose(parts, lengths, atol=2e-3)


def test_who_computes_longer_waits_least() -> None:
    steps = _steps(SlowGpu(node="node1", start=0.0, factor=1.3))

    assert (steps.compute.argmax(axis=1) == 1).all()
    assert (steps.stalled.argmin(axis=1) == 1).all()
    assert np.delete(steps.stalled, 1, axis=1).min() > 0.015


def test_late_input_is_idle_time_of_the_node_that_it_is_late_for() -> None:
    steps = _steps(LateInput(node="node2", start=0.0, seconds=0.05))

    assert steps.idle[:, 2] == pytest.approx(0.05)
    assert not np.delete(steps.idle, 2, axis=1).any()
    assert np.delete(steps.stalled, 2, axis=1).min() > 0.015


def test_a_slow_link_is_nobody_s_compute() -> None:
    slow, well = _steps(TransmitCap(node="node1", rail=0, start=0.0, share=0.5)), _steps()

    np.testing.assert_array_equal(slow.compute[0], well.compute[0])
    assert slow.exposed[:, 1].min() > 1.7 * well.exposed[:, 1].max()


def test_an_agent_s_step_series_can_be_read_back() -> None:
    steps = _steps()
    samples = list(step_samples(steps, "node1", 1.0))

    text = Renderer().render(samples).decode()
    read = {series.name: value for series, value in Reader().read(text)}
    assert read["railwatch_step_seconds_count"] == 3.0
    assert read["railwatch_step_seconds_sum"] == pytest.approx(steps.end[2])
    assert read["railwatch_step_compute_seconds_total"] == pytest.approx(0.54)
    assert read["railwatch_step_transmit_bytes_total"] == pytest.approx(3 * JOB.bytes_per_step)
    assert sum(sample.spec.name == "railwatch_gpu_present" for sample in samples) == 8


def test_a_job_that_has_not_ended_a_step_has_a_name_only() -> None:
    steps = _steps()

    names = {sample.spec.name for sample in step_samples(steps, "node1", 0.1)}
    assert names == {"railwatch_job_info", "railwatch_gpu_present"}
    assert list(step_samples(steps, "elsewhere", 1.0)) == []
    assert not any(isinstance(s.value, Distribution) for s in step_samples(steps, "node1", 0.1))


def test_the_table_has_a_row_for_each_step_and_node() -> None:
    steps = _steps()

    table = steps_table(steps, 1_700_000_000.0)

    assert len(table) == 4 * len(steps.end)
    assert table["end"].iloc[0] == pytest.approx(1_700_000_000.0 + steps.end[0])
    assert (table["exposed_communication_seconds"] <= table["communication_seconds"]).all()


def test_the_paced_model_splits_no_steps() -> None:
    with pytest.raises(ValueError, match="flow-level model only"):
        job_steps(Simulation(topology=FABRIC, jobs=(JOB,)), 1.0)
