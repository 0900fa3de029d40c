# SPDX-License-Identifier: Apache-2.0
"""Excerpts of real traces (tests/data/traces/README.md): nothing is raised on what is healthy."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
import pytest

from railwatch_analyzer.replay import replay

if TYPE_CHECKING:
    from railwatch_analyzer.findings import Finding

_TRACES = Path(__file__).parents[1] / "data" / "traces"


def _said(table: pd.DataFrame, path: Path) -> list[Finding]:
    file = path / "steps.parquet"
    table.to_parquet(file)
    return list(replay(None, file))


def _log(factor: float = 1.0, onset: int = 200) -> pd.DataFrame:
    """The steps of the Llama-2 log, longer by *factor* from the step number *onset* of it on."""
    log = pd.read_csv(_TRACES / "llama2_step_times_excerpt.csv")
    seconds = np.diff(log["log_ts"])
    seconds[onset:] *= factor
    ends = log["log_ts"][0] + np.cumsum(seconds)
    return pd.DataFrame(
        {
            "instance": "node0",
            "rank": 0,
            "job_id": "llama2",
            "step": log["iter"][1:].to_numpy(),
            "start": ends - seconds,
            "end": ends,
        }
    )


def _pipeline() -> pd.DataFrame:
    return pd.read_parquet(_TRACES / "pipeline_steps_excerpt.parquet")


def test_a_real_log_raises_nothing_not_even_its_checkpoint(tmp_path: Path) -> None:
    table = _log()
    assert (table["end"] - table["start"]).max() > 70.0

    assert _said(table, tmp_path) == []


@pytest.mark.parametrize("onset", [60, 120, 149, 151, 240])
def test_two_percent_more_is_found_within_five_steps(tmp_path: Path, onset: int) -> None:
    """Also beside the checkpoint, which is step 149."""
    table = _log(1.02, onset)

    first = _said(table, tmp_path)[0]

    assert first.kind == "step_slowdown"
    assert table["end"][onset] < first.time <= table["end"][onset + 5]


def test_a_real_pipeline_with_a_heavy_last_stage_has_no_straggler(tmp_path: Path) -> None:
    assert {line.kind.value for line in _said(_pipeline(), tmp_path)} <= {"communication_bound"}


@pytest.mark.parametrize("rank", [0, 4, 7])
def test_a_rank_of_it_that_becomes_slow_is_named(tmp_path: Path, rank: int) -> None:
    """A tenth more compute, on which all others wait."""
    table = _pipeline()
    slow = table["step"] >= sorted(table["step"].unique())[20]
    mine = slow & (table["rank"] == rank)
    more = 0.1 * table["compute_seconds"][mine].mean()
    table.loc[mine, "compute_seconds"] += more
    table.loc[slow & ~mine, "exposed_communication_seconds"] += more

    found = [line for line in _said(table, tmp_path) if line.kind == "straggler"]

    assert [(line.node, line.cause) for line in found] == [(f"node{rank}", "compute")]


@pytest.mark.parametrize(
    "change",
    [
        pytest.param(lambda t: t.assign(instance="one node"), id="all ranks on one instance"),
        pytest.param(
            lambda t: t.assign(instance=[f"n{rank // 4}" for rank in t["rank"]]),
            id="four ranks an instance",
        ),
        pytest.param(
            lambda t: t.assign(
                start=t["start"] - t.groupby("step")["start"].transform("min"),
                end=t["end"] - t.groupby("step")["start"].transform("min"),
            ),
            id="a clock that begins anew",
        ),
        pytest.param(
            lambda t: t.assign(communication_seconds=2.0 * t["communication_seconds"]),
            id="communication that counts twice",
        ),
        pytest.param(
            lambda t: t.assign(
                exposed_communication_seconds=t["end"] - t["start"] - t["compute_seconds"]
            ),
            id="exposed is all that does not compute",
        ),
        pytest.param(lambda t: t.drop(columns="exposed_communication_seconds"), id="no exposed"),
        pytest.param(lambda t: t.assign(compute_seconds=np.nan), id="no compute"),
        pytest.param(lambda t: t.assign(rank=t["rank"] % 2), id="ranks count within a stage"),
    ],
)
def test_however_its_columns_are_filled_nobody_is_accused(tmp_path: Path, change: object) -> None:
    assert callable(change)

    said = _said(change(_pipeline()), tmp_path)

    assert {line.kind.value for line in said} <= {"communication_bound"}
