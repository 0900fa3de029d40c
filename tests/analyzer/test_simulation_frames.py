# SPDX-License-Identifier: Apache-2.0
"""Frames and exposition of the simulated fleet."""

from __future__ import annotations

from itertools import islice

import numpy as np
import pytest

from railwatch.exposition import Reader, Renderer
from railwatch.windows import window_statistics
from railwatch_analyzer.frame import POSITION, Frame, FrameBuilder
from railwatch_analyzer.simulation.exposition import exposition
from railwatch_analyzer.simulation.faults import LinkDown, TransmitCap
from railwatch_analyzer.simulation.frames import frames
from railwatch_analyzer.simulation.jobs import Job
from railwatch_analyzer.simulation.model import Simulation
from railwatch_analyzer.simulation.samples import Sampler
from railwatch_analyzer.simulation.topology import Topology

FABRIC = Topology(nodes=4, rails=2, nodes_per_pod=2)
JOB = Job(job_id="7", nodes=FABRIC.names[:3], stop=42.0)
FAULTS = (
    TransmitCap(node="node1", rail=0, start=15.0, end=30.0, share=0.25),
    LinkDown(node="node2", rail=1, start=30.0),
)
SIMULATION = Simulation(topology=FABRIC, jobs=(JOB,), faults=FAULTS, seed=3)
START = 1_700_000_000.0
BEYOND_THE_PACED_MODEL = {
    "congestion_total_ecn_marked",
    "congestion_total_cnp_sent",
    "congestion_total_cnp_handled",
    "pause_seconds_total_receive",
    "pause_seconds_total_transmit",
    "credit_wait_total",
    "fec_corrected_bits_total",
    "received_bits_total",
}


def _frames(count: int, start: float = START, window_seconds: float = 5.0) -> list[Frame]:
    return list(islice(frames(SIMULATION, start=start, window_seconds=window_seconds), count))


def test_a_frame_holds_every_link_with_its_job_and_switch() -> None:
    frame = _frames(1)[0]

    assert frame.links == tuple(sorted(FABRIC.links))
    assert frame.job_id == ("7",) * 6 + ("",) * 2
    assert frame.switch[3:5] == ("leaf-pod0-rail1", "leaf-pod1-rail0")
    assert (frame.window_end == START + 5.0).all()
    unknown = np.isnan(frame.values).all(axis=0)
    assert {name for name, at in POSITION.items() if unknown[at]} == BEYOND_THE_PACED_MODEL
    assert not np.isnan(frame.values[:, ~unknown]).any()


def test_rows_are_sorted_as_a_source_sorts_them_with_many_rails() -> None:
    """Rail 10 comes before rail 2 as text; cells must follow their links."""
    fabric = Topology(nodes=2, rails=12)
    fault = LinkDown(node="node1", rail=2, start=0.0)
    frame = next(frames(Simulation(topology=fabric, faults=(fault,)), start=START))

    assert list(frame.links) == sorted(frame.links)
    down = [link for link, up in zip(frame.links, frame["up"], strict=True) if not up]
    assert [(link.node, link.rail) for link in down] == [("node1", "2")]


@pytest.mark.parametrize(("late", "window_seconds"), [(0.0, 5.0), (1.234, 5.0), (0.0, 0.75)])
def test_windows_are_those_of_the_agent(late: float, window_seconds: float) -> None:
    """Also where windows, or their beginning, are no multiple of a tick."""
    line_rate = FABRIC.line_rate
    samples = Sampler(SIMULATION).take(1500)

    for frame in _frames(3, START + late, window_seconds):
        end = frame.window_end[0] - START - late
        assert frame.window_end[0] % window_seconds == pytest.approx(0.0, abs=1e-3)
        for row in range(8):
            expected = window_statistics(
                samples.times, samples.transmit[row], end - window_seconds, end, line_rate
            )
            assert expected is not None
            assert frame["transmit_window_max_bytes_per_second"][row] == pytest.approx(
                expected.max, rel=1e-4
            )
            assert frame["transmit_window_std_bytes_per_second"][row] == pytest.approx(
                expected.std, rel=1e-4
            )
            assert frame["transmit_window_duty_ratio"][row] == pytest.approx(
                expected.duty, abs=1e-3
            )


def test_counters_are_those_of_the_newest_sample() -> None:
    samples = Sampler(SIMULATION).take(501)
    frame = _frames(2)[1]

    assert (frame.sampled_at == START + 10.0).all()
    assert frame.time == START + 10.0
    np.testing.assert_array_equal(frame["transmit_bytes_total"], samples.transmit[:, 500])


def test_a_cap_shows_in_the_frames_where_it_is() -> None:
    before, during = (_frames(5)[at]["transmit_window_max_bytes_per_second"] for at in (2, 4))

    ratio = during[:6] / before[:6]
    assert ratio[2] < 0.35
    assert np.delete(ratio, 2).min() > 0.9


def test_a_lost_link_shows_in_the_frames_and_stops_the_job() -> None:
    frame = _frames(8)[7]

    assert frame["up"].tolist() == [1, 1, 1, 1, 1, 0, 1, 1]
    assert np.isnan(frame["speed_bytes_per_second"]).tolist() == [False] * 5 + [True] + [False] * 2
    assert frame["transmit_window_max_bytes_per_second"].max() < 1e6
    assert frame["faults_total_link_downed"][5] == 1


def test_a_job_that_has_stopped_owns_no_rail() -> None:
    assert set(_frames(9)[8].job_id) == {""}


def test_frames_do_not_depend_on_how_many_are_asked_for() -> None:
    for one, other in zip(_frames(2), _frames(4), strict=False):
        np.testing.assert_array_equal(one.values, other.values)


def test_a_node_can_be_exposed_and_read_back() -> None:
    frame = _frames(8)[7]
    builder = FrameBuilder(frame.time, frame.interval_seconds)
    for node in FABRIC.names:
        text = Renderer().render(exposition(frame, node)).decode()
        for series, value in Reader().read(text):
            builder.add(node, series.name, dict(series.labels), value, frame.time)
    again = builder.build()

    assert again.links == frame.links
    np.testing.assert_array_equal(again.values, frame.values)
    np.testing.assert_array_equal(again.window_end, frame.window_end)


def test_an_unknown_node_cannot_be_exposed() -> None:
    with pytest.raises(ValueError, match="no node 'x'"):
        list(exposition(_frames(1)[0], "x"))
