# SPDX-License-Identifier: Apache-2.0
"""A simulated fleet as one who polls switches records it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path  # noqa: TC003 - pytest looks at it

import numpy as np
import pytest

from railwatch_analyzer.simulation.habits import PERFECT, ZHEJIANG
from railwatch_analyzer.simulation.jobs import Job
from railwatch_analyzer.simulation.model import Simulation
from railwatch_analyzer.simulation.recorded import Movements, movements, recording
from railwatch_analyzer.simulation.topology import Topology
from railwatch_analyzer.sources.trace import read_trace

FABRIC = Topology(nodes=4, rails=2)
JOB = Job(job_id="7", nodes=FABRIC.names)
SIMULATION = Simulation(topology=FABRIC, jobs=(JOB,), seed=5)
START = 1_700_000_000.0


@pytest.fixture(scope="module")
def moved() -> Movements:
    return movements(SIMULATION, 60.0)


def test_a_perfect_observer_sees_all_bytes_as_they_are(moved: Movements) -> None:
    table = recording(SIMULATION, moved, PERFECT, start=START)

    nic = table[(table["instance"] == "node1") & (table["rail"] == "1")]
    times = (nic["timestamp_ms"].to_numpy() / 1e3) - START
    assert np.diff(times) == pytest.approx(0.5, abs=2e-3)
    exact = np.interp(times, moved.times, moved.counters[0, 3])
    np.testing.assert_allclose(nic["transmit_bytes_total"], exact, rtol=1e-3)


def test_counters_stand_still_between_refreshes_and_polls_are_irregular(moved: Movements) -> None:
    table = recording(SIMULATION, moved, ZHEJIANG, start=START)

    for _, nic in table.groupby(["instance", "rail"]):
        moves = nic["receive_bytes_total"].diff().dropna()
        assert moves.min() >= 0.0
        assert 0.2 < (moves == 0.0).mean() < 0.6
        spacing = nic["timestamp_ms"].diff().dropna()
        assert spacing.min() >= 471
        assert spacing.std() > 30


def test_the_ports_of_a_switch_are_polled_together_and_refreshed_one_by_one(
    moved: Movements,
) -> None:
    table = recording(SIMULATION, moved, replace(ZHEJIANG, missed_share=0.0), start=START)

    here = table[table["switch"] == "leaf-pod0-rail0"].pivot_table(
        index="timestamp_ms", columns="instance", values="transmit_bytes_total"
    )
    assert not here.isna().any(axis=None)
    share = here.diff().gt(0).mean(axis=1)
    assert {0.0, 1.0} < set(share)


def test_a_recording_is_a_trace_that_can_be_replayed(moved: Movements, tmp_path: Path) -> None:
    path = tmp_path / "rails.parquet"
    recording(SIMULATION, moved, ZHEJIANG, start=START).to_parquet(path)

    seen = list(read_trace(path, speed_bytes_per_second=FABRIC.line_rate))

    assert len(seen) > 6
    assert seen[-1].links == tuple(sorted(FABRIC.links))
    assert set(seen[-1].job_id) == {"7"}
    assert np.nanmax(seen[-1]["transmit_window_max_bytes_per_second"]) > 1e9
