# SPDX-License-Identifier: Apache-2.0
"""What must hold of every flow, queue and step, whatever is wrong with the fleet."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from railwatch_analyzer.simulation.fabric.burst import TICK_SECONDS
from railwatch_analyzer.simulation.fabric.traffic import FlowTraffic
from railwatch_analyzer.simulation.fabric.trail import Signal
from railwatch_analyzer.simulation.faults import (
    BitErrors,
    BusyHost,
    Congestion,
    Downtrain,
    Fault,
    Flap,
    LateInput,
    LinkDown,
    Loss,
    PauseStorm,
    ReceiveCap,
    SlowGpu,
    SlowReceiver,
    SlowSwitch,
    TransmitCap,
)
from railwatch_analyzer.simulation.jobs import Job
from railwatch_analyzer.simulation.model import SILENT, Fidelity, Noise, Simulation
from railwatch_analyzer.simulation.topology import Layer, Topology
from railwatch_analyzer.simulation.traffic import JobTraffic

if TYPE_CHECKING:
    from railwatch_analyzer.simulation.fabric.steps import FlowStep

FABRIC = Topology(nodes=4, rails=2, nodes_per_pod=2, uplinks=1)
BYTES = 0.9 * FABRIC.line_rate * 0.1
FINE = 10_000
HERE = {"node": "node1", "rail": 1, "start": 0.3}
FAULTS: tuple[Fault, ...] = (
    TransmitCap(**HERE, share=0.4),  # type: ignore[arg-type]  # the same place for all
    ReceiveCap(**HERE, share=0.4),  # type: ignore[arg-type]
    SlowReceiver(**HERE, share=0.4),  # type: ignore[arg-type]
    Downtrain(**HERE, share=0.4),  # type: ignore[arg-type]
    Loss(**HERE, share=0.02),  # type: ignore[arg-type]
    BitErrors(**HERE, ratio=2.5e-4),  # type: ignore[arg-type]
    PauseStorm(**HERE, share=0.4),  # type: ignore[arg-type]
    Flap(**HERE, period_seconds=1.3, down_seconds=0.2),  # type: ignore[arg-type]
    SlowSwitch(switch="leaf-pod0-rail1", start=0.3, share=0.5),
    Congestion(switch="leaf-pod0-rail1", start=0.3, share=1.5),
    SlowGpu(node="node1", start=0.3),
    LateInput(node="node1", start=0.3, seconds=0.05),
    BusyHost(node="node1", start=0.3, share=0.5),
)


def _job(*, chunks: int = 2, rings: int = 1, overlap: float = 0.0) -> Job:
    return Job(
        job_id="1",
        nodes=FABRIC.names,
        step_seconds=0.25,
        compute_share=0.6,
        bytes_per_step=BYTES,
        chunks_per_step=chunks,
        rings=rings,
        overlap=overlap,
    )


def _flows(
    faults: tuple[Fault, ...] = (),
    *,
    job: Job | None = None,
    noise: Noise = SILENT,
    seconds: float = 1.2,
    at_once: int = 6,
    fabric: Topology = FABRIC,
) -> FlowTraffic:
    simulation = Simulation(
        topology=fabric,
        jobs=(job or _job(),),
        faults=faults,
        noise=noise,
        seed=1,
        fidelity=Fidelity.FLOW,
    )
    traffic = FlowTraffic(simulation, 0, np.ones(8), most_at_once=at_once)
    traffic.advance(seconds)
    return traffic


def _total(traffic: FlowTraffic, signal: Signal, first: int = 0) -> np.ndarray:
    """Sum over the steps from *first* on, shape (rails, nodes)."""
    counted = [step.counted[-1, signal] for step in traffic.steps[first:]]
    return np.sum(counted, axis=0).reshape(2, 4)


@settings(max_examples=8, deadline=None)
@given(
    faults=st.lists(st.sampled_from(FAULTS), max_size=2, unique=True),
    chunks=st.sampled_from([1, 2, FINE]),
    rings=st.sampled_from([1, 2]),
    overlap=st.sampled_from([0.0, 0.5]),
)
def test_what_must_hold_of_every_step_holds(
    faults: list[Fault], chunks: int, rings: int, overlap: float
) -> None:
    job = _job(chunks=chunks, rings=rings, overlap=overlap)

    traffic = _flows(tuple(faults), job=job, noise=Noise(), seconds=0.3, at_once=1)

    for step in traffic.steps:
        _bytes_are_conserved(step, rings)
        _counters_grow_within_bounds(step)
        parts = step.compute + step.exposed + step.stalled + step.idle
        np.testing.assert_allclose(parts, step.end - step.start, atol=3 * TICK_SECONDS)
        assert (step.exposed <= step.communication + 1e-9).all()


def _bytes_are_conserved(step: FlowStep, rings: int) -> None:
    signals = [Signal.SENT, Signal.RECEIVED, Signal.LOST]
    sent, received, lost = step.counted[-1, signals].reshape(3, 2, 4)
    assert (sent >= BYTES * (1 - 1e-6)).all()
    np.testing.assert_allclose(received.sum(axis=1), (sent - lost).sum(axis=1), rtol=1e-6)
    if rings == 1:
        np.testing.assert_allclose(received, np.roll(sent - lost, 1, axis=1), rtol=1e-6)
    assert (received >= BYTES * (1 - 1e-6)).all()


def _counters_grow_within_bounds(step: FlowStep) -> None:
    grown, seconds = np.diff(step.counted, axis=0), np.diff(step.times)[:, None]
    assert (grown >= -1e-9).all()
    for signal in (Signal.SENT, Signal.RECEIVED):
        assert (grown[:, signal] <= FABRIC.line_rate * seconds * (1 + 1e-9)).all()
    for signal in (Signal.PAUSED, Signal.PAUSING, Signal.QUEUED):
        assert (grown[:, signal] <= seconds * (1 + 1e-6)).all()


@pytest.mark.parametrize("chunks", [2, FINE])
@pytest.mark.parametrize("share", [0.75, 0.4])
@pytest.mark.parametrize("fault", [TransmitCap, ReceiveCap, SlowReceiver])
def test_a_cap_makes_steps_as_long_as_the_ring_formula_says(
    fault: type[TransmitCap | ReceiveCap | SlowReceiver], share: float, chunks: int
) -> None:
    cap = fault(node="node1", rail=1, start=0.0, share=share)

    steps = _flows((cap,), job=_job(chunks=chunks), seconds=0.1, at_once=1).steps

    expected = 0.15 + BYTES / (share * FABRIC.line_rate)
    assert steps[0].end - steps[0].start == pytest.approx(expected, rel=0.04)


@pytest.mark.parametrize(
    "faults",
    [
        (),
        (TransmitCap(node="node1", rail=1, start=0.0, share=0.5),),
        (ReceiveCap(node="node1", rail=1, start=0.0, share=0.5),),
        (Loss(node="node1", rail=1, start=0.0, share=0.01),),
        (SlowGpu(node="node1", start=0.0, factor=1.3),),
        (LinkDown(node="node1", rail=1, start=0.4, end=1.1),),
    ],
)
def test_both_fidelities_agree_on_what_both_know(faults: tuple[Fault, ...]) -> None:
    """The paced model is for scale: steps end at the same times, and bytes are the same."""
    simulation = Simulation(topology=FABRIC, jobs=(_job(),), faults=faults, noise=SILENT, seed=1)
    paced = JobTraffic(simulation, 0, np.ones(8))
    paced.advance(1.2)
    flows = _flows(faults)

    ends = [step.end for step in paced.steps]
    assert [step.end for step in flows.steps[: len(ends)]] == pytest.approx(ends, rel=0.04)
    times = np.full((4, 1), ends[-1])
    nodes = np.arange(4)
    bytes_paced, bytes_flow = paced.sent(1, nodes, times), flows.sent(1, nodes, times)
    np.testing.assert_allclose(bytes_flow, bytes_paced, rtol=0.06)


def test_how_many_steps_are_computed_side_by_side_changes_nothing() -> None:
    faults = (TransmitCap(node="node1", rail=1, start=0.9, share=0.5),)
    one = _flows(faults, noise=Noise(), at_once=1)
    many = _flows(faults, noise=Noise(), at_once=64)

    assert [s.end for s in one.steps] == pytest.approx(
        [s.end for s in many.steps][: len(one.steps)]
    )


def test_chunks_of_milliseconds_keep_the_peaks_of_the_victims_and_fine_ones_do_not() -> None:
    """The lab's table: a cap to a quarter lowers the culprit's peaks, the others' stay."""
    cap = TransmitCap(node="node1", rail=1, start=0.0, share=0.25)

    peaks = {}
    for chunks in (2, FINE):
        step = _flows((cap,), job=_job(chunks=chunks), seconds=0.1).steps[0]
        rates = np.diff(step.counted[:, Signal.SENT], axis=0) / np.diff(step.times)[:, None]
        fast = rates[: len(rates) // 4 * 4].reshape(-1, 4, 8).mean(axis=1)
        peaks[chunks] = np.sort(fast, axis=0)[-3:].mean(axis=0).reshape(2, 4)[1]

    assert peaks[2][1] < 0.35 * np.delete(peaks[2], 1).min()
    assert peaks[FINE].max() < 1.3 * peaks[FINE][1]


@pytest.mark.parametrize(
    ("fault", "signal", "culprit"),
    [
        (TransmitCap(node="node1", rail=1, start=0.0, share=0.5), Signal.QUEUED, 1),
        (ReceiveCap(node="node1", rail=1, start=0.0, share=0.5), Signal.CNP_SENT, 1),
        (ReceiveCap(node="node1", rail=1, start=0.0, share=0.5), Signal.CNP_HANDLED, 0),
        (SlowReceiver(node="node1", rail=1, start=0.0, share=0.5), Signal.PAUSING, 1),
        (SlowReceiver(node="node1", rail=1, start=0.0, share=0.5), Signal.PAUSED, 0),
        (Loss(node="node1", rail=1, start=0.0, share=0.01), Signal.RETRANSMIT, 1),
        (Loss(node="node1", rail=1, start=0.0, share=0.01), Signal.OUT_OF_SEQUENCE, 2),
        (Congestion(switch="leaf-pod0-rail1", start=0.0, share=1.5), Signal.CNP_HANDLED, 1),
    ],
)
def test_counters_tell_the_culprit_where_byte_rates_do_not(
    fault: Fault, signal: Signal, culprit: int
) -> None:
    traffic = _flows((fault,), job=_job(chunks=FINE), noise=Noise(), seconds=2.0)

    counted = _total(traffic, signal).ravel()
    assert counted.argmax() == 4 + culprit
    assert counted.max() > 3.0 * np.sort(counted)[-2]


def test_a_compute_straggler_and_late_input_leave_no_sign_on_links() -> None:
    for fault in (
        SlowGpu(node="node1", start=0.0),
        LateInput(node="node1", start=0.0, seconds=0.05),
    ):
        slow, well = (_flows(faults, noise=SILENT).steps[0] for faults in ((fault,), ()))
        signs = [Signal.QUEUED, Signal.PAUSED, Signal.PAUSING, Signal.MARKED, Signal.RETRANSMIT]

        assert slow.end - slow.start > 0.04 + well.end - well.start
        np.testing.assert_array_equal(slow.counted[-1, signs], well.counted[-1, signs])


def test_a_stopped_flow_holds_back_the_others_of_its_nic() -> None:
    """With two rings a NIC sends to both neighbours; one that cannot take stops the other flow."""
    fault = SlowReceiver(node="node1", rail=1, start=0.0, share=0.1)
    fabric = Topology(nodes=4, rails=2, layer=Layer.INFINIBAND)

    traffic = _flows((fault,), job=_job(chunks=1, rings=2), fabric=fabric, seconds=0.1)

    early = traffic.steps[0]
    at = int(np.searchsorted(early.times, early.times[0] + 0.05))
    sent = early.counted[at, Signal.SENT].reshape(2, 4)
    assert sent[1, 0] < 0.5 * sent[0, 0]
    assert sent[1, 3] > 0.9 * sent[0, 3]


def test_hidden_communication_is_not_exposed() -> None:
    step = _flows(job=_job(overlap=0.6), seconds=0.1).steps[0]

    assert step.end - step.start < 0.21
    assert (step.exposed < 0.6 * step.communication).all()


def test_a_link_that_never_comes_back_ends_the_job() -> None:
    traffic = _flows((LinkDown(node="node1", rail=1, start=0.6),), seconds=50.0)

    assert traffic.steps[-1].end > 1e11
    counted = traffic.counted(np.array([10.0, 20.0]))
    assert (counted[Signal.SENT, :, 0] == counted[Signal.SENT, :, 1]).all()
    assert counted[Signal.TIMEOUT, 4, 1] > counted[Signal.TIMEOUT, 4, 0]
