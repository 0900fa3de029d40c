# SPDX-License-Identifier: Apache-2.0
"""Noise, queues, counters and seeds of the simulated fleet."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import pytest

from railwatch.catalogue.rail import Fault as Kind
from railwatch_analyzer.simulation.faults import (
    CounterReset,
    Flap,
    LinkDown,
    Loss,
    ReceiveCap,
    TransmitCap,
)
from railwatch_analyzer.simulation.jobs import Job
from railwatch_analyzer.simulation.model import Simulation
from railwatch_analyzer.simulation.samples import Sampler, Samples
from railwatch_analyzer.simulation.topology import Topology

if TYPE_CHECKING:
    from railwatch_analyzer.simulation.faults import Fault

FABRIC = Topology(nodes=6, rails=4)
JOB = Job(job_id="7", nodes=FABRIC.names)
TICKS = 6000
SECONDS = TICKS * 0.02
ROW = FABRIC.row("node2", 1)
SUCCESSOR = FABRIC.row("node3", 1)


def _simulation(*faults: Fault, seed: int = 3) -> Simulation:
    return Simulation(topology=FABRIC, jobs=(JOB,), faults=faults, seed=seed)


def _samples(*faults: Fault, ticks: int = TICKS) -> Samples:
    return Sampler(_simulation(*faults)).take(ticks + 1)


def _equal(one: Samples, other: Samples) -> bool:
    return (
        np.array_equal(one.transmit, other.transmit)
        and np.array_equal(one.receive, other.receive)
        and np.array_equal(one.queued, other.queued)
        and all(np.array_equal(one.faults[kind], other.faults[kind]) for kind in Kind)
    )


def test_the_same_seed_gives_the_same_fleet_and_another_gives_another() -> None:
    one, same, other = (Sampler(_simulation(seed=seed)).take(200) for seed in (3, 3, 4))

    assert _equal(one, same)
    assert not _equal(one, other)


def test_samples_do_not_depend_on_the_portions_in_which_they_are_taken() -> None:
    faults = (
        Loss(node="node2", rail=1, start=1.0, share=1e-5),
        CounterReset(node="node2", rail=1, start=3.0),
        CounterReset(node="node2", rail=1, start=7.0),
        Flap(node="node4", rail=0, start=2.0),
    )
    whole = _samples(*faults, ticks=499)
    sampler = Sampler(_simulation(*faults))
    parts = [sampler.take(ticks) for ticks in (1, 130, 19, 200, 150)]

    np.testing.assert_array_equal(whole.transmit, np.hstack([part.transmit for part in parts]))
    np.testing.assert_array_equal(whole.receive, np.hstack([part.receive for part in parts]))
    np.testing.assert_array_equal(whole.queued, np.hstack([part.queued for part in parts]))
    for kind in Kind:
        counted = np.hstack([part.faults[kind] for part in parts])
        np.testing.assert_array_equal(whole.faults[kind], counted)


def test_a_fault_on_one_job_leaves_the_samples_of_another_alone() -> None:
    jobs = (
        Job(job_id="7", nodes=FABRIC.names[:3]),
        Job(job_id="8", nodes=FABRIC.names[3:]),
    )
    healthy = Simulation(topology=FABRIC, jobs=jobs, seed=3)
    faults = (TransmitCap(node="node1", rail=0, start=2.0, share=0.3),)
    one, other = (Sampler(s).take(500) for s in (healthy, replace(healthy, faults=faults)))

    rows = np.arange(3 * FABRIC.rails, 6 * FABRIC.rails)
    np.testing.assert_array_equal(one.transmit[rows], other.transmit[rows])
    np.testing.assert_array_equal(one.queued[rows], other.queued[rows])
    assert not np.array_equal(one.transmit, other.transmit)


def test_a_healthy_fleet_is_as_noisy_as_the_lab_was() -> None:
    samples = _samples()
    growth = np.diff(samples.transmit, axis=1)
    retransmits = samples.faults[Kind.RETRANSMIT][:, -1].reshape(6, 4).sum(axis=1) / SECONDS

    assert 0.8 < retransmits.min() < retransmits.max() < 2.2
    occupied = samples.queued.mean(axis=1)
    assert 0.115 < occupied.min() < occupied.max() < 0.195
    assert growth.sum(axis=1) / SECONDS == pytest.approx(18e9, rel=0.04)


def test_a_cap_is_not_given_away_by_a_constant_rate() -> None:
    samples = _samples(TransmitCap(node="node2", rail=1, start=0.0, share=0.2))
    rates = np.diff(samples.transmit[ROW]) / 0.02 / 50e9
    capped = rates[rates > 0.18]

    assert capped.mean() == pytest.approx(0.2, rel=0.03)
    assert 0.01 < capped.std() / capped.mean() < 0.03


def test_noise_loses_no_bytes() -> None:
    samples = _samples()
    sent = samples.transmit[:, -1] - samples.transmit[:, 0]
    received = samples.receive[:, -1] - samples.receive[:, 0]

    assert sent.reshape(6, 4).sum(axis=0) == pytest.approx(
        received.reshape(6, 4).sum(axis=0), rel=1e-4
    )


def test_a_nic_keeps_its_offset() -> None:
    """What NICs differ by in one half of the time they differ by in the other."""
    growth = np.diff(_samples().transmit, axis=1)
    bursts = np.where(growth > 0.7 * 50e9 * 0.02, growth, np.nan)
    halves = np.nanmean(bursts.reshape(24, 2, -1), axis=2).T

    assert np.corrcoef(halves)[0, 1] > 0.8


def test_the_culprits_queue_fills_and_the_others_empty() -> None:
    cap = TransmitCap(node="node2", rail=1, start=0.0, share=0.2)
    occupied = _samples(cap).queued.mean(axis=1)

    assert occupied[ROW] > 0.6
    assert np.delete(occupied, ROW).max() < 0.1


def test_a_cap_at_the_receiver_fills_no_queue() -> None:
    occupied = _samples(ReceiveCap(node="node3", rail=1, start=0.0, share=0.2)).queued.mean(axis=1)

    assert occupied.max() < 0.1


def test_loss_counts_at_the_sender_and_at_its_successor() -> None:
    """Few enough to leave the step alone: 18e9 bytes/s in packets of 4 KiB, 2 in 100,000 lost."""
    samples = _samples(Loss(node="node2", rail=1, start=0.0, share=2e-5))
    retransmits = samples.faults[Kind.RETRANSMIT][:, -1] / SECONDS
    out_of_sequence = samples.faults[Kind.OUT_OF_SEQUENCE][:, -1] / SECONDS

    assert retransmits[ROW] == pytest.approx(18e9 / 4096 * 2e-5, rel=0.1)
    assert np.delete(retransmits, ROW).max() < 1
    assert out_of_sequence[SUCCESSOR] > 200
    assert np.delete(out_of_sequence, SUCCESSOR).max() < 5


def test_every_loss_of_the_link_is_counted() -> None:
    samples = _samples(
        LinkDown(node="node2", rail=1, start=3.0, end=4.0),
        Flap(node="node4", rail=0, start=2.0, end=62.0, period_seconds=20.0),
        ticks=4000,
    )
    downed = samples.faults[Kind.LINK_DOWNED]

    assert downed[:, 0].max() == 0
    assert downed[ROW, -1] == 1
    assert downed[FABRIC.row("node4", 0), -1] == 3
    assert downed[:, -1].sum() == 4


def test_counters_fall_only_where_they_are_reset() -> None:
    samples = _samples(CounterReset(node="node2", rail=1, start=10.0), ticks=1000)

    for counter in (samples.transmit, samples.receive, samples.faults[Kind.OUT_OF_SEQUENCE]):
        fell = np.argwhere(np.diff(counter, axis=1) < 0)
        assert fell.tolist() == [[ROW, 499]]
    assert samples.transmit[ROW, 500] == 0
    np.testing.assert_allclose(
        np.diff(samples.transmit[ROW, 500:]), np.diff(_samples(ticks=1000).transmit[ROW, 500:])
    )


def test_an_idle_fleet_moves_next_to_nothing() -> None:
    samples = Sampler(Simulation(topology=FABRIC)).take(500)

    rates = (samples.transmit[:, -1] - samples.transmit[:, 0]) / samples.times[-1]
    assert 0 < rates.min() < rates.max() < 1e5
    assert not samples.queued.any()
    assert samples.faults[Kind.RETRANSMIT].max() == 0


def test_a_node_may_run_one_job_after_another() -> None:
    jobs = (replace(JOB, stop=30.0), replace(JOB, job_id="8", start=40.0))
    samples = Sampler(Simulation(topology=FABRIC, jobs=jobs)).take(4000)
    moved = np.diff(samples.transmit, axis=1)

    assert moved[:, 1505:1999].max() < 1e4
    assert moved[:, 2000:].sum(axis=1) / 40.0 == pytest.approx(18e9, rel=0.05)
    assert 0.1 < samples.queued[:, 2000:].mean() < 0.2
