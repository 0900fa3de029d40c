# SPDX-License-Identifier: Apache-2.0
"""A recorded trace judged as if it were live: real traffic, with a rail that is capped for a while.

The excerpt has two servers; copies of them under other names make a group that is large enough.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import orjson
import pandas as pd
import pytest

from railwatch_analyzer.cli import main
from railwatch_analyzer.replay import replay

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from railwatch_analyzer.findings import Finding

_EXCERPT = Path(__file__).parents[1] / "data" / "traces" / "rail_traffic_excerpt.parquet"
# findings.jsonl by the contract.
_KEYS = {
    "id",
    "time",
    "onset",
    "kind",
    "state",
    "node",
    "rail",
    "device",
    "job_id",
    "cause",
    "score",
    "candidates",
    "evidence",
}
_COPIES = "abc"
_BAD_NODE, _BAD_RAIL = "gpu-001b", 0
_CAP_BYTES_PER_SECOND = 1.5e9
_CAPPED_SECONDS = (150.0, 230.0)


def _fleet() -> pd.DataFrame:
    """Six nodes, two rails."""
    table = pd.read_parquet(_EXCERPT)
    table = table[table["rail"].isin([0, 1])]
    copies = [table.assign(instance=table["instance"] + name) for name in _COPIES]
    return pd.concat(copies, ignore_index=True)


def _limited(
    seconds: NDArray[np.float64], sent: NDArray[np.float64], rate: float
) -> NDArray[np.float64]:
    """The counter *sent* behind a cap of *rate*: what is not sent at once is sent later."""
    out = sent.copy()
    for number in range(1, len(out)):
        elapsed = seconds[number] - seconds[number - 1]
        out[number] = min(out[number - 1] + rate * elapsed, sent[number])
    return out


def _capped_fleet() -> pd.DataFrame:
    table = _fleet()
    since = (table["timestamp_ms"] - table["timestamp_ms"].min()) / 1000.0
    rail = (table["instance"] == _BAD_NODE) & (table["rail"] == _BAD_RAIL)
    during = rail & since.between(*_CAPPED_SECONDS)
    before = table.loc[during, "transmit_bytes_total"].to_numpy(np.float64)
    limited = _limited(since[during].to_numpy(), before, _CAP_BYTES_PER_SECOND)
    after = rail & (since > _CAPPED_SECONDS[1])
    table.loc[during, "transmit_bytes_total"] = limited.astype(np.int64)
    # What was held back is dropped, so that no burst follows.
    table.loc[after, "transmit_bytes_total"] -= int(before[-1] - limited[-1])
    return table


@pytest.fixture(scope="module")
def trace(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("trace") / "rails.parquet"
    _capped_fleet().to_parquet(path)
    return path


@pytest.fixture(scope="module")
def findings(trace: Path) -> list[Finding]:
    return list(replay(trace))


def test_real_traffic_alone_is_silent(tmp_path: Path) -> None:
    path = tmp_path / "rails.parquet"
    _fleet().to_parquet(path)

    assert list(replay(path)) == []


def test_a_capped_rail_is_found_and_is_over_when_the_cap_is(
    trace: Path, findings: list[Finding]
) -> None:
    start = pd.read_parquet(trace)["timestamp_ms"].min() / 1000.0
    said = [(f.node, f.rail, f.kind, f.state, f.cause) for f in findings]
    begin, end = (f.time - start for f in findings)

    assert said == [
        (_BAD_NODE, str(_BAD_RAIL), "link_degraded", state, "bandwidth")
        for state in ("firing", "resolved")
    ]
    assert _CAPPED_SECONDS[0] < begin < _CAPPED_SECONDS[0] + 30
    assert _CAPPED_SECONDS[1] < end < _CAPPED_SECONDS[1] + 60
    assert findings[0].onset == pytest.approx(start + _CAPPED_SECONDS[0], abs=10)


def test_a_line_depends_on_no_sample_after_it(
    trace: Path, findings: list[Finding], tmp_path: Path
) -> None:
    """Cut at any moment, the trace gives the lines up to that moment and no other ones."""
    table = pd.read_parquet(trace)
    first, last = table["timestamp_ms"].min() / 1000, table["timestamp_ms"].max() / 1000
    said = [f.time for f in findings]
    cuts = [*np.linspace(first + 30, last, 8), *said, *(when - 0.001 for when in said)]
    path = tmp_path / "rails.parquet"
    for cut in cuts:
        table[table["timestamp_ms"] <= cut * 1000].to_parquet(path)

        lines = [f for f in replay(path) if f.time <= cut]

        assert lines == [f for f in findings if f.time <= cut]


def test_the_command_writes_a_json_object_of_the_contract_a_line(
    trace: Path, findings: list[Finding], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    output = tmp_path / "findings.jsonl"

    code = main(["replay", str(trace), "--output", str(output)])

    assert (code, capsys.readouterr()) == (0, ("", ""))
    content = output.read_bytes()
    assert content.endswith(b"\n")
    lines = [orjson.loads(line) for line in content.splitlines()]
    assert [(line["id"], line["state"]) for line in lines] == [(f.id, f.state) for f in findings]
    for line in lines:
        assert set(line) == _KEYS
        assert sum(c["weight"] for c in line["candidates"]) == pytest.approx(1.0, abs=0.01)
        assert all(sorted(c) == ["device", "node", "rail", "weight"] for c in line["candidates"])
        assert line["evidence"]
        assert all(
            sorted(e) == ["expected", "feature", "observed", "unit"] for e in line["evidence"]
        )


def test_a_trace_that_cannot_be_read_is_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    output = tmp_path / "findings.jsonl"
    output.write_text("of the run before\n", encoding="utf-8")

    code = main(["replay", str(tmp_path / "gone.parquet"), "--output", str(output)])

    out, err = capsys.readouterr()
    assert (code, out, len(err.splitlines())) == (1, "", 1)
    assert "gone.parquet: No such file" in err
    assert output.read_text(encoding="utf-8") == "of the run before\n"


def test_an_output_that_cannot_be_written_is_one_line(
    trace: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    output = tmp_path / "no such folder" / "findings.jsonl"

    code = main(["replay", str(trace), "--output", str(output)])

    out, err = capsys.readouterr()
    assert (code, out) == (1, "")
    assert err == f"railwatch-analyzer: {output}: No such file or directory\n"
