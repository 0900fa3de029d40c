# SPDX-License-Identifier: Apache-2.0
"""Labelled cases, and what drivers count of the flow-level model."""

from __future__ import annotations

from itertools import islice

import numpy as np
import pytest

from railwatch_analyzer.frame import COUNTER_COLUMNS, POSITION, Link
from railwatch_analyzer.simulation.cases import cases, labelled_frames
from railwatch_analyzer.simulation.faults import (
    BitErrors,
    CounterReset,
    Downtrain,
    Fault,
    PauseStorm,
    SlowReceiver,
)
from railwatch_analyzer.simulation.frames import frames
from railwatch_analyzer.simulation.jobs import Job
from railwatch_analyzer.simulation.levels import LEVELS_SEEN, LEVELS_UNSEEN, FaultKind
from railwatch_analyzer.simulation.model import Fidelity, Simulation
from railwatch_analyzer.simulation.samples import Sampler
from railwatch_analyzer.simulation.topology import Layer, Topology
from railwatch_analyzer.simulation.truth import Blame, truths

FABRIC = Topology(nodes=4, rails=2, nodes_per_pod=2)
JOB = Job(job_id="7", nodes=FABRIC.names, step_seconds=0.4, compute_share=0.6, bytes_per_step=7e9)
CREDIT_WAIT = "credit_wait_total"
OF_ROCE = (
    "congestion_total_ecn_marked",
    "congestion_total_cnp_sent",
    "congestion_total_cnp_handled",
    "pause_seconds_total_receive",
    "pause_seconds_total_transmit",
)


def _simulation(
    *faults: Fault, fabric: Topology = FABRIC, jobs: tuple[Job, ...] = (JOB,)
) -> Simulation:
    return Simulation(topology=fabric, jobs=jobs, faults=faults, seed=3, fidelity=Fidelity.FLOW)


def test_levels_of_development_and_of_measurement_are_kept_apart() -> None:
    assert set(LEVELS_SEEN) == set(LEVELS_UNSEEN) == set(FaultKind)
    for kind in FaultKind:
        assert not set(LEVELS_SEEN[kind]) & set(LEVELS_UNSEEN[kind])


@pytest.mark.parametrize("levels", [LEVELS_SEEN, LEVELS_UNSEEN])
def test_every_level_of_every_kind_has_a_case_of_either_grain(
    levels: dict[FaultKind, tuple[float, ...]],
) -> None:
    found = list(cases(levels=levels))

    wanted = {(k, level, fine) for k in levels for level in levels[k] for fine in (False, True)}
    assert {(c.kind, c.level, c.fine) for c in found if c.kind is not None} == wanted
    assert len({case.name for case in found}) == len(found)
    assert [case.truths for case in found if case.kind is None] == [(), ()]


def test_labels_say_which_link_and_since_when() -> None:
    case = next(
        case
        for case in cases(kinds=[FaultKind.LOSS], healthy_seconds=2.5, fault_seconds=7.5)
        if case.kind is FaultKind.LOSS
    )

    seen = list(labelled_frames(case))

    assert [(one.in_fault, one.mixed) for one in seen] == [(False, True), (True, False)]
    last = seen[-1]
    blamed = [link for link, bad in zip(last.frame.links, last.at_fault, strict=True) if bad]
    assert tuple(blamed) == case.truths[0].links
    assert not seen[0].at_fault.any()


def test_truth_names_the_edge_where_only_an_edge_can_be_told() -> None:
    slow = SlowReceiver(node="node1", rail=1, start=5.0, share=0.5)
    (truth,) = truths(_simulation(slow))

    assert (truth.blame, truth.cause, truth.onset) == (Blame.LINK, "host", 5.0)
    assert truth.links == (Link("node1", "1", "mlx5_1"),)
    assert truth.edge == (Link("node0", "1", "mlx5_1"),)


@pytest.mark.parametrize(
    ("layer", "unknown"), [(Layer.ROCE, {CREDIT_WAIT}), (Layer.INFINIBAND, set(OF_ROCE))]
)
def test_links_have_the_counters_of_what_they_speak(layer: Layer, unknown: set[str]) -> None:
    fabric = Topology(nodes=4, rails=2, layer=layer)
    slow = SlowReceiver(node="node1", rail=1, start=0.0, share=0.5)

    frame = next(frames(_simulation(slow, fabric=fabric), start=1_700_000_000.0))

    nowhere = np.isnan(frame.values).all(axis=0)
    assert {name for name, at in POSITION.items() if nowhere[at]} == unknown
    told = frame[CREDIT_WAIT if layer is Layer.INFINIBAND else "pause_seconds_total_receive"]
    assert frame.links[int(told.argmax())] == Link("node0", "1", "mlx5_1")


def test_a_storm_pauses_and_a_bad_cable_is_corrected_also_while_nothing_is_sent() -> None:
    storm = PauseStorm(node="node1", rail=1, start=2.0, share=0.3)
    cable = BitErrors(node="node2", rail=0, start=0.0, ratio=1e-5)

    frame = next(frames(_simulation(storm, cable, jobs=()), start=1_700_000_000.0))

    assert frame["pause_seconds_total_transmit"].tolist() == pytest.approx(
        [0, 0, 0, 0.9, 0, 0, 0, 0]
    )
    ratio = frame["fec_corrected_bits_total"] / frame["received_bits_total"]
    assert ratio[4] == pytest.approx(1e-5, rel=0.02)
    assert np.delete(ratio, 4).max() <= 1e-7


def test_a_nic_that_came_up_slow_says_so_and_a_slow_bus_does_not() -> None:
    nic = Downtrain(node="node0", rail=0, start=0.0, share=0.5, pcie=False)
    bus = Downtrain(node="node1", rail=0, start=0.0, share=0.5, pcie=True)

    frame = next(frames(_simulation(nic, bus, jobs=()), start=1_700_000_000.0))

    assert (frame["speed_bytes_per_second"] / FABRIC.line_rate).tolist() == [0.5, *[1.0] * 7]


def test_counters_fall_at_a_reset_only() -> None:
    reset = CounterReset(node="node1", rail=1, start=3.0)
    samples = Sampler(_simulation(reset)).take(250)

    for counter in (
        samples.transmit,
        samples.receive,
        *samples.faults.values(),
        *samples.more.values(),
    ):
        falls = np.argwhere(np.diff(counter, axis=1) < 0)
        assert {(int(link), int(tick)) for link, tick in falls} <= {(3, 149)}


def test_what_is_read_does_not_depend_on_the_portions() -> None:
    slow = SlowReceiver(node="node1", rail=1, start=1.0, share=0.5)
    whole = Sampler(_simulation(slow)).take(90)
    sampler = Sampler(_simulation(slow))
    first, second = sampler.take(40), sampler.take(50)

    np.testing.assert_array_equal(np.hstack((first.transmit, second.transmit)), whole.transmit)
    for name in whole.more:
        joined = np.hstack((first.more[name], second.more[name]))
        np.testing.assert_allclose(joined, whole.more[name], rtol=1e-9, atol=1.0)
    for kind in whole.faults:
        joined = np.hstack((first.faults[kind], second.faults[kind]))
        np.testing.assert_array_equal(joined, whole.faults[kind])


def test_a_fault_that_the_paced_model_does_not_know_is_refused_there() -> None:
    with pytest.raises(ValueError, match="paced model knows nothing of PauseStorm"):
        Simulation(
            topology=FABRIC, faults=(PauseStorm(node="node1", rail=1, start=0.0, share=0.5),)
        )


def test_every_counter_of_a_case_has_a_column() -> None:
    samples = Sampler(_simulation()).take(2)

    assert set(samples.more) <= set(COUNTER_COLUMNS)
    assert all(count.shape == samples.transmit.shape for count in samples.more.values())
    assert list(islice(samples.times, 2)) == [0.0, 0.02]
