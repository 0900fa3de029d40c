# SPDX-License-Identifier: Apache-2.0
"""STEPS.parquet as others write it: what is missing or odd is handled, or refused in one line."""

from __future__ import annotations

import math
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import pytest

from railwatch_analyzer.simulation.step_jobs import StepJob, Trouble, records
from railwatch_analyzer.sources.errors import SourceError
from railwatch_analyzer.sources.steps import read_steps

if TYPE_CHECKING:
    from pathlib import Path

    from railwatch_analyzer.step_frame import StepRecord

_NAMES = {
    "node": "instance",
    "compute": "compute_seconds",
    "communication": "communication_seconds",
    "exposed": "exposed_communication_seconds",
}


def steps_table(steps: int = 40, start: float = 1_700_000_000.0, **job: Any) -> pd.DataFrame:
    """A simulated job as the table of the contract."""
    found = records(StepJob(nodes=4, **job), steps, start=start)
    return pd.DataFrame([asdict(record) for record in found]).rename(columns=_NAMES)


def _read(table: pd.DataFrame, path: Path) -> list[StepRecord]:
    file = path / "steps.parquet"
    table.to_parquet(file)
    return [record for frame in read_steps(file) for record in frame.jobs.records]


def test_steps_come_in_order_of_their_ends_whatever_the_order_of_the_rows(tmp_path: Path) -> None:
    table = steps_table()
    shuffled = table.sample(frac=1.0, random_state=1)

    found = _read(shuffled, tmp_path)

    assert found == _read(table, tmp_path)
    ends = [record.end for record in found]
    assert ends == sorted(ends)
    assert len(found) == len(table)


@pytest.mark.parametrize("name", ["instance", "step", "start", "end"])
def test_a_file_without_what_is_needed_is_refused_by_name(tmp_path: Path, name: str) -> None:
    with pytest.raises(SourceError, match=f"column '{name}' is missing"):
        _read(steps_table().drop(columns=name), tmp_path)


@pytest.mark.parametrize(
    "name", ["rank", "job_id", "compute_seconds", "exposed_communication_seconds"]
)
def test_a_file_without_what_helps_is_read(tmp_path: Path, name: str) -> None:
    assert len(_read(steps_table().drop(columns=name), tmp_path)) == 160


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"start": "soon"}, "column 'start' holds"),
        ({"start": math.nan}, "no row has a step, a start and a later end"),
        ({"end": 0.0}, "no row has a step, a start and a later end"),
        ({"instance": None}, "column 'instance' has rows without a value"),
    ],
)
def test_nonsense_is_refused_in_one_line(
    tmp_path: Path, change: dict[str, object], message: str
) -> None:
    with pytest.raises(SourceError, match=message) as caught:
        _read(steps_table().assign(**change), tmp_path)

    assert "\n" not in str(caught.value)


def test_a_file_that_is_no_table_or_empty_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "steps.parquet"
    file.write_bytes(b"PAR1 is how it begins")

    with pytest.raises(SourceError, match="not a parquet file"):
        read_steps(file)
    with pytest.raises(SourceError, match="empty"):
        _read(steps_table().head(0), tmp_path)


def test_rows_without_a_time_cost_themselves_only(tmp_path: Path) -> None:
    table = steps_table()
    table.loc[5, "end"] = math.nan
    table.loc[9, "end"] = table.loc[9, "start"]

    assert len(_read(table, tmp_path)) == len(table) - 2


def test_copies_of_rows_count_once(tmp_path: Path) -> None:
    table = steps_table()

    assert _read(pd.concat([table, table]), tmp_path) == _read(table, tmp_path)


def test_times_that_are_none_are_unknown(tmp_path: Path) -> None:
    table = steps_table().assign(compute_seconds=-1.0, communication_seconds=np.inf)

    found = _read(table, tmp_path)

    assert all(math.isnan(r.compute) and math.isnan(r.communication) for r in found)


def test_steps_whose_clock_begins_anew_are_laid_one_after_another(tmp_path: Path) -> None:
    table = steps_table(trouble=Trouble.CLOCKS, onset=20)
    first = table.groupby("step")["start"].transform("min")
    relative = table.assign(start=table["start"] - first, end=table["end"] - first)

    found = _read(relative, tmp_path)

    lengths = pd.Series([r.end - r.start for r in found]).round(6)
    assert lengths.tolist() == (table["end"] - table["start"]).round(6).tolist()
    starts = pd.Series({r.step: r.start for r in found})
    assert (starts.diff().dropna() > 0.9).all()


def test_a_job_may_have_a_number_for_a_name(tmp_path: Path) -> None:
    table = steps_table().assign(job_id=[7.0] * 80 + [None] * 80)

    assert {record.job_id for record in _read(table, tmp_path)} == {"7", ""}
