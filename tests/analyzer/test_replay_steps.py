# SPDX-License-Identifier: Apache-2.0
"""Recorded steps judged as if they were live, alone and beside the rails of the same time."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import orjson
import pandas as pd
import pytest

from analyzer.test_source_steps import steps_table
from railwatch_analyzer.cli import main
from railwatch_analyzer.replay import replay
from railwatch_analyzer.simulation.step_jobs import Trouble

if TYPE_CHECKING:
    from pathlib import Path

START = 1_700_000_000.0
_TROUBLE = {"trouble": Trouble.COMPUTE, "factor": 1.4, "onset": 70, "culprit": 1}


def _steps(path: Path, table: pd.DataFrame) -> Path:
    file = path / "steps.parquet"
    table.to_parquet(file)
    return file


def _rails(path: Path, seconds: int = 120) -> Path:
    """A quiet rail on each node of the job."""
    times = np.arange(0, seconds, 0.5)
    rows = [
        pd.DataFrame(
            {
                "timestamp_ms": (START + times) * 1000.0,
                "instance": f"n{node}",
                "rail": "0",
                "device": "mlx5_0",
                "job_id": "77",
                "transmit_bytes_total": 1e9 * times,
                "receive_bytes_total": 1e9 * times,
                "up": np.where((times > 90) & (node == 3), 0.0, 1.0),
            }
        )
        for node in range(4)
    ]
    file = path / "rails.parquet"
    pd.concat(rows).to_parquet(file)
    return file


def test_steps_alone_are_enough(tmp_path: Path) -> None:
    steps, output = _steps(tmp_path, steps_table(100, **_TROUBLE)), tmp_path / "findings.jsonl"

    assert main(["replay", "--steps", str(steps), "--output", str(output)]) == 0

    found = [orjson.loads(line) for line in output.read_bytes().splitlines()]
    assert {line["kind"] for line in found} == {
        "communication_bound",
        "straggler",
        "step_slowdown",
    }
    (straggler,) = [line for line in found if line["kind"] == "straggler"]
    assert (straggler["node"], straggler["cause"]) == ("n1", "compute")
    assert straggler["candidates"] == [
        {"node": "n1", "rail": "", "device": "rank 1", "weight": 1.0}
    ]
    assert START + 69 < straggler["onset"] < straggler["time"] < START + 95


def test_nothing_to_replay_is_said_in_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["replay", "--output", str(tmp_path / "out.jsonl")]) == 1

    assert capsys.readouterr().err.count("\n") == 1


@pytest.mark.parametrize("cut", [80.3, 90.0, 101.7])
def test_a_truncated_recording_gives_exactly_the_prefix(tmp_path: Path, cut: float) -> None:
    table = steps_table(120, **_TROUBLE)
    whole = list(replay(None, _steps(tmp_path, table)))

    part = list(replay(None, _steps(tmp_path, table[table["end"] <= START + cut])))

    assert part == [line for line in whole if line.time <= START + cut]


def test_rails_and_steps_are_judged_in_order_of_time(tmp_path: Path) -> None:
    steps, rails = _steps(tmp_path, steps_table(100, **_TROUBLE)), _rails(tmp_path)

    lines = list(replay(rails, steps))

    assert [line.time for line in lines] == sorted(line.time for line in lines)
    assert {line.kind.value for line in lines} >= {"link_down", "straggler", "step_slowdown"}
    alone = [line for line in replay(rails) if line.job_id == "77"]
    assert [line for line in lines if line.kind.value.startswith("link")] == alone


def test_both_together_cut_at_one_time_give_the_prefix_too(tmp_path: Path) -> None:
    table, rails = steps_table(120, **_TROUBLE), _rails(tmp_path)
    whole = list(replay(rails, _steps(tmp_path, table)))
    samples = pd.read_parquet(rails)

    samples[samples["timestamp_ms"] <= (START + 95.0) * 1000.0].to_parquet(rails)
    part = list(replay(rails, _steps(tmp_path, table[table["end"] <= START + 95.0])))

    assert part == [line for line in whole if line.time <= START + 95.0]
    assert part
