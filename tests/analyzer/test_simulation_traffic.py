# SPDX-License-Identifier: Apache-2.0
"""The physics of the simulated fleet, without noise: what must hold exactly holds exactly."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from railwatch_analyzer.simulation.faults import (
    Flap,
    LinkDown,
    Loss,
    ReceiveCap,
    SlowGpu,
    TransmitCap,
)
from railwatch_analyzer.simulation.jobs import Job
from railwatch_analyzer.simulation.model import SILENT, Simulation
from railwatch_analyzer.simulation.nics import nics
from railwatch_analyzer.simulation.samples import Sampler, Samples
from railwatch_analyzer.simulation.topology import Topology
from railwatch_analyzer.simulation.traffic import JobTraffic

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from railwatch_analyzer.simulation.faults import Fault

FABRIC = Topology(nodes=4, rails=2)
LINE_RATE = FABRIC.line_rate
JOB = Job(job_id="7", nodes=FABRIC.names, jitter=0.0)
TICKS = 1000
SECONDS = TICKS * 0.02


def _simulation(*faults: Fault, job: Job = JOB) -> Simulation:
    return Simulation(topology=FABRIC, jobs=(job,), faults=faults, noise=SILENT)


def _samples(*faults: Fault, job: Job = JOB) -> Samples:
    return Sampler(_simulation(*faults, job=job)).take(TICKS + 1)


def _traffic(simulation: Simulation) -> JobTraffic:
    traffic = JobTraffic(simulation, 0, nics(simulation).rate)
    traffic.advance(SECONDS)
    return traffic


def _step_seconds(*faults: Fault, job: Job = JOB) -> NDArray[np.float64]:
    steps = _traffic(_simulation(*faults, job=job)).steps
    return np.array([step.end - step.start for step in steps])


def _by_link(counter: NDArray[np.float64]) -> NDArray[np.float64]:
    """Growth per tick, shape (nodes, rails, ticks)."""
    growth: NDArray[np.float64] = np.diff(counter, axis=1)
    return growth.reshape(FABRIC.nodes, FABRIC.rails, -1)


def _peaks(counter: NDArray[np.float64]) -> NDArray[np.float64]:
    """Highest rate of each link as a share of line rate, shape (nodes, rails)."""
    return np.asarray(_by_link(counter).max(axis=2) / 0.02 / LINE_RATE)


_FAULTS = st.sampled_from(
    [
        TransmitCap(node="node1", rail=0, start=3.0, end=9.0, share=0.25),
        ReceiveCap(node="node2", rail=1, start=2.0, share=0.5),
        Loss(node="node3", rail=0, start=0.0, share=1e-5),
        LinkDown(node="node0", rail=1, start=4.3, end=6.1),
        LinkDown(node="node0", rail=0, start=8.0),
        Flap(node="node2", rail=0, start=1.0, end=15.0, period_seconds=3.0),
        SlowGpu(node="node1", start=5.0, factor=1.7),
    ]
)
_JOBS = st.builds(
    Job,
    job_id=st.just("7"),
    nodes=st.permutations(FABRIC.names).map(lambda names: tuple(names[:3])),
    step_seconds=st.floats(0.2, 3.0),
    compute_share=st.floats(0.0, 0.5),
    bytes_per_step=st.floats(1e8, 5e9),
    chunks_per_step=st.sampled_from([1, 3, 8, 1000]),
    stop=st.sampled_from([None, 12.0]),
)


@settings(max_examples=60, deadline=None)
@given(_JOBS, st.lists(_FAULTS, max_size=3, unique=True))
def test_what_a_rail_sends_it_receives(job: Job, faults: list[Fault]) -> None:
    samples = _samples(*faults, job=job)

    sent = _by_link(samples.transmit).sum(axis=0)
    received = _by_link(samples.receive).sum(axis=0)
    np.testing.assert_allclose(sent, received, atol=2 * FABRIC.nodes)


@settings(max_examples=60, deadline=None)
@given(_JOBS, st.lists(_FAULTS, max_size=3, unique=True))
def test_no_counter_falls_and_no_link_exceeds_its_line_rate(job: Job, faults: list[Fault]) -> None:
    samples = _samples(*faults, job=job)

    for counter in (samples.transmit, samples.receive):
        assert np.diff(counter, axis=1).min() >= 0
        assert np.diff(counter, axis=1).max() <= LINE_RATE * 0.02 * (1 + 1e-9) + 1
    assert all(np.diff(count, axis=1).min() >= 0 for count in samples.faults.values())


@settings(max_examples=40, deadline=None)
@given(_JOBS)
def test_healthy_utilisation_is_as_configured(job: Job) -> None:
    job = replace(job, stop=None, jitter=0.0)
    steps = _traffic(_simulation(job=job)).steps

    assert np.diff([step.start for step in steps]) == pytest.approx(job.step_seconds)
    assert len(steps) == pytest.approx(SECONDS / job.step_seconds, abs=1.01)


def test_the_mean_rate_of_a_healthy_nic_is_bytes_per_step_over_step_time() -> None:
    samples = _samples()

    moved = samples.transmit[:, -1] - samples.transmit[:, 0]
    np.testing.assert_allclose(moved / SECONDS, JOB.bytes_per_step / JOB.step_seconds, rtol=1e-6)


def test_a_cap_to_a_quarter_makes_the_step_of_the_whole_job_longer() -> None:
    """The burst of 0.4 s at 90 % of line rate takes 1.44 s at 25 %."""
    capped = _step_seconds(TransmitCap(node="node1", rail=0, start=0.0, share=0.25))

    np.testing.assert_allclose(_step_seconds(), 1.0)
    np.testing.assert_allclose(capped, 0.6 + 18e9 / (0.25 * LINE_RATE))


def test_a_cap_leaves_the_bytes_of_each_step_equal_on_all_nodes() -> None:
    simulation = _simulation(TransmitCap(node="node1", rail=0, start=0.0, share=0.25))
    traffic = _traffic(simulation)
    ends = np.array([[step.end for step in traffic.steps[:-1]]] * FABRIC.nodes)

    for rail in range(FABRIC.rails):
        sent = traffic.sent(rail, np.arange(FABRIC.nodes), ends)
        np.testing.assert_allclose(np.diff(sent, axis=1), JOB.bytes_per_step)


@pytest.mark.parametrize(
    ("fault", "sender", "receiver"),
    [
        (TransmitCap(node="node1", rail=0, start=0.0, share=0.25), 1, 2),
        (ReceiveCap(node="node1", rail=0, start=0.0, share=0.25), 0, 1),
        (TransmitCap(node="node3", rail=0, start=0.0, share=0.25), 3, 0),
    ],
)
def test_a_cap_shows_at_both_ends_of_one_edge_and_in_no_other_peak(
    fault: Fault, sender: int, receiver: int
) -> None:
    samples = _samples(fault)
    transmit, receive = _peaks(samples.transmit), _peaks(samples.receive)

    assert transmit[sender, 0] == pytest.approx(0.25, rel=1e-3)
    assert receive[receiver, 0] == pytest.approx(0.25, rel=1e-3)
    transmit[sender, 0] = receive[receiver, 0] = 0.9
    np.testing.assert_allclose(transmit, 0.9, rtol=1e-3)
    np.testing.assert_allclose(receive, 0.9, rtol=1e-3)


def test_victims_of_a_cap_send_in_bursts_with_gaps_and_the_culprit_without() -> None:
    growth = _by_link(_samples(TransmitCap(node="node1", rail=0, start=0.0, share=0.25)).transmit)
    moving = growth > 0.05 * LINE_RATE * 0.02
    bursts = (np.diff(moving.astype(int), axis=2) > 0).sum(axis=2)
    steps = SECONDS / (0.6 + 18e9 / (0.25 * LINE_RATE))

    assert bursts[1, 0] == pytest.approx(steps, abs=1)
    assert bursts[[0, 2, 3], 0].min() >= 7 * (steps - 1)


def test_chunks_of_microseconds_let_all_peaks_of_the_rail_sink_together() -> None:
    job = replace(JOB, chunks_per_step=10_000)
    peaks = _peaks(
        _samples(TransmitCap(node="node1", rail=0, start=0.0, share=0.25), job=job).transmit
    )

    np.testing.assert_allclose(peaks[:, 0], 0.25, rtol=0.02)
    np.testing.assert_allclose(peaks[:, 1], 0.9, rtol=1e-3)


def test_a_cap_above_what_the_job_sends_changes_nothing() -> None:
    fault = TransmitCap(node="node1", rail=0, start=0.0, share=0.95)

    np.testing.assert_array_equal(_step_seconds(fault), _step_seconds())
    np.testing.assert_array_equal(_samples(fault).queued, _samples().queued)


def test_a_cap_holds_only_while_it_lasts() -> None:
    steps = _step_seconds(TransmitCap(node="node1", rail=0, start=5.0, end=10.0, share=0.25))

    assert steps[0] == pytest.approx(1.0)
    assert steps.max() > 1.9
    assert steps[-1] == pytest.approx(1.0)


def test_a_lost_link_stalls_the_job_until_it_is_back() -> None:
    samples = _samples(LinkDown(node="node1", rail=0, start=5.0, end=9.0))
    growth = _by_link(samples.transmit)
    seconds = samples.times[1:]

    row = FABRIC.row("node1", 0)
    np.testing.assert_array_equal(samples.up[row], (samples.times < 5.0) | (samples.times >= 9.0))
    assert samples.up.sum() == samples.up.size - 200
    assert growth[1, 0, (seconds > 5.02) & (seconds <= 9.0)].max() == 0
    assert growth[:, :, (seconds > 7.0) & (seconds <= 9.0)].max() == 0
    assert growth[:, :, seconds > 9.0].max(axis=2).min() > 0


def test_a_link_that_stays_down_stalls_the_job_for_good() -> None:
    samples = _samples(LinkDown(node="node1", rail=0, start=5.0))

    assert not samples.up[FABRIC.row("node1", 0), -1]
    assert np.diff(samples.transmit[:, 400:]).max() == 0


def test_no_byte_passes_a_link_that_is_down() -> None:
    flap = Flap(node="node2", rail=1, start=1.0, end=19.0, period_seconds=3.0, down_seconds=0.8)
    samples = _samples(flap)
    row = FABRIC.row("node2", 1)
    down = ~samples.up[row, 1:] & ~samples.up[row, :-1]

    assert down.sum() >= 6 * 38
    assert np.diff(samples.transmit[row])[down].max() == 0
    assert np.diff(samples.receive[row])[down].max() == 0


def test_a_slow_gpu_makes_steps_longer_and_no_link_slower() -> None:
    fault = SlowGpu(node="node1", start=0.0, factor=1.5)

    np.testing.assert_allclose(_step_seconds(fault), 1.3)
    np.testing.assert_allclose(_peaks(_samples(fault).transmit), 0.9, rtol=1e-3)


def test_the_edges_of_a_straggler_begin_late() -> None:
    """A node neither sends nor receives before it is ready; the others' edges begin on time."""
    step = _traffic(_simulation(SlowGpu(node="node1", start=0.0, factor=1.5))).steps[0]

    np.testing.assert_allclose(step.first[0, 0], [0.9, 0.9, 0.6, 0.6])


def test_loss_costs_a_little_throughput() -> None:
    """1 % cost 3 % of a step in the lab."""
    slower = _step_seconds(Loss(node="node1", rail=0, start=0.0, share=0.01))

    assert slower.mean() == pytest.approx(1.03, abs=0.005)


def test_checkpoints_pause_all_nodes() -> None:
    job = replace(JOB, checkpoint_steps=5, checkpoint_seconds=3.0)
    steps = _step_seconds(job=job)

    np.testing.assert_allclose(steps[:11], [1, 1, 1, 1, 1, 4, 1, 1, 1, 1, 4])


def test_a_job_moves_nothing_before_its_start_and_after_its_stop() -> None:
    samples = _samples(job=replace(JOB, start=4.0, stop=11.5))
    growth = _by_link(samples.transmit)

    assert growth[:, :, samples.times[1:] <= 4.5].max() == 0
    assert growth[:, :, samples.times[1:] > 11.52].max() == 0
    assert growth.sum(axis=2).min() >= 7 * 18e9


def test_what_cannot_be_is_refused() -> None:
    with pytest.raises(ValueError, match="line rate"):
        _simulation(job=replace(JOB, bytes_per_step=21e9))
    with pytest.raises(ValueError, match="share a node"):
        Simulation(topology=FABRIC, jobs=(JOB, replace(JOB, job_id="8")))
    with pytest.raises(ValueError, match="unknown node"):
        _simulation(SlowGpu(node="node9", start=0.0))
    with pytest.raises(ValueError, match="unknown rail"):
        _simulation(LinkDown(node="node1", rail=2, start=0.0))
    with pytest.raises(ValueError, match="share must be"):
        TransmitCap(node="node1", rail=0, start=0.0, share=25.0)
    down = LinkDown(node="node1", rail=0, start=1.0)
    with pytest.raises(ValueError, match="twice"):
        _simulation(down, replace(down, start=2.0))
