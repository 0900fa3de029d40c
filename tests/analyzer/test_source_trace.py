# SPDX-License-Identifier: Apache-2.0
"""A recorded trace becomes the frames that a live source would have seen at the time."""

from __future__ import annotations

import math
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
import pytest

from railwatch.windows import window_statistics
from railwatch_analyzer.frame import Frame, Link
from railwatch_analyzer.sources import trace
from railwatch_analyzer.sources.errors import SourceError
from railwatch_analyzer.sources.recording import read_recording
from railwatch_analyzer.sources.trace import read_trace, trace_pace

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

EXCERPT = Path(__file__).parents[1] / "data" / "traces" / "rail_traffic_excerpt.parquet"
_START = 1_700_000_000.0
_TRANSMIT_MAX = "transmit_window_max_bytes_per_second"
_DUTY = "transmit_window_duty_ratio"


def _samples(
    seconds: Sequence[float], *, instance: object = "node-1:9810", **columns: object
) -> pd.DataFrame:
    """Samples of one rail at *seconds* after the start, sending 100 B/s."""
    return pd.DataFrame(
        {
            "timestamp_ms": [round((_START + second) * 1000) for second in seconds],
            "instance": instance,
            "rail": 0,
            "device": "mlx5_0",
            "job_id": "job-a",
            "transmit_bytes_total": [100.0 * second for second in seconds],
            **columns,
        }
    )


def _every(interval: float, until: float, since: float = 0.0) -> list[float]:
    return np.arange(since, until + interval / 2, interval).tolist()


def _frames(tmp_path: Path, *tables: pd.DataFrame, speed: float | None = None) -> list[Frame]:
    path = tmp_path / "rails.parquet"
    pd.concat(tables).to_parquet(path)
    return list(read_trace(path, speed_bytes_per_second=speed))


def _assert_same(left: Frame, right: Frame) -> None:
    assert (left.time, left.links, left.job_id, left.switch, left.missed) == (
        right.time,
        right.links,
        right.job_id,
        right.switch,
        right.missed,
    )
    assert (left.window_seconds, left.interval_seconds) == (
        right.window_seconds,
        right.interval_seconds,
    )
    np.testing.assert_array_equal(left.values, right.values)
    np.testing.assert_array_equal(left.sampled_at, right.sampled_at)
    np.testing.assert_array_equal(left.window_end, right.window_end)


def test_the_windows_of_a_real_trace_are_those_that_an_agent_would_compute() -> None:
    frames = list(read_trace(EXCERPT, speed_bytes_per_second=25e9))
    table = pd.read_parquet(EXCERPT)
    gap = 3 * trace_pace(read_recording(EXCERPT)).spacing_seconds

    assert len(frames) >= 55
    assert {frame.window_seconds for frame in frames} == {5.0}
    compared = 0
    for frame in frames[::7]:
        end = frame.window_end[np.isfinite(frame.window_end)][0]
        for row, link in enumerate(frame.links):
            rail = table[(table.instance == link.node) & (table.device == link.device)]
            rail = rail[rail.timestamp_ms / 1000 <= frame.time].sort_values("timestamp_ms")
            times = rail.timestamp_ms.to_numpy(np.float64) / 1000
            counter = rail.transmit_bytes_total.to_numpy(np.float64)
            expected = window_statistics(times, counter, end - 5, end, 25e9, longest_interval=gap)
            if expected is None:
                assert math.isnan(frame[_TRANSMIT_MAX][row])
                continue
            assert frame[_TRANSMIT_MAX][row] == pytest.approx(expected.max)
            assert frame[_DUTY][row] == pytest.approx(expected.duty)
            assert frame["transmit_bytes_total"][row] == counter[-1]
            assert frame.sampled_at[row] == times[-1]
            compared += 1
    assert compared > 40


def test_what_follows_changes_nothing_that_was_said(tmp_path: Path) -> None:
    """The trace cut at several moments gives the same frames up to each."""
    table = pd.read_parquet(EXCERPT)
    whole = list(read_trace(EXCERPT))
    first, last = table.timestamp_ms.min(), table.timestamp_ms.max()
    for cut in np.linspace(first + 4000, last, 23):
        frames = _frames(tmp_path, table[table.timestamp_ms <= cut])

        said = [frame for frame in frames if frame.time <= cut / 1000]
        assert len(said) == sum(frame.time <= cut / 1000 for frame in whole)
        for frame, expected in zip(said, whole, strict=False):
            _assert_same(frame, expected)


def test_no_frame_holds_a_sample_younger_than_itself() -> None:
    for frame in read_trace(EXCERPT):
        assert (frame.sampled_at <= frame.time).all()
        assert not (frame.window_end >= frame.time).any()


def test_the_order_of_rows_does_not_matter(tmp_path: Path) -> None:
    shuffled = pd.read_parquet(EXCERPT).sample(frac=1.0, random_state=1)

    frames = _frames(tmp_path, shuffled)

    for frame, expected in zip(frames, read_trace(EXCERPT), strict=True):
        _assert_same(frame, expected)


def test_a_long_trace_is_computed_in_chunks_that_do_not_show(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    whole = list(read_trace(EXCERPT))
    monkeypatch.setattr(trace, "_CHUNK_CELLS", 1)

    for frame, expected in zip(read_trace(EXCERPT), whole, strict=True):
        np.testing.assert_allclose(frame.values, expected.values, rtol=1e-9, atol=1e-6)


@pytest.mark.parametrize(
    ("spacing", "window"), [(0.05, 5.0), (0.5, 5.0), (1.25, 5.0), (2.0, 10.0), (15.0, 60.0)]
)
def test_a_window_spans_at_least_four_samples_spacing(
    tmp_path: Path, spacing: float, window: float
) -> None:
    frames = _frames(tmp_path, _samples(_every(spacing, 4 * window + 60)))

    assert {frame.window_seconds for frame in frames} == {window}
    assert {end % window for frame in frames for end in frame.window_end.tolist()} == {0.0}
    assert frames[-1][_TRANSMIT_MAX].tolist() == pytest.approx([100.0])


def test_the_pace_is_told_from_the_beginning_and_not_from_later_rails(tmp_path: Path) -> None:
    path = tmp_path / "rails.parquet"
    slow = [_samples(_every(10, 600, since=200), instance=f"slow-{i}") for i in range(5)]
    pd.concat([_samples(_every(1, 600)), *slow]).to_parquet(path)

    pace = trace_pace(read_recording(path))

    assert pace.spacing_seconds == 1.0
    assert pace.decided_at == _START + 8


def test_a_trace_too_sparse_to_tell_its_pace_has_the_longest(tmp_path: Path) -> None:
    path = tmp_path / "rails.parquet"
    _samples([0.0, 100.0, 200.0]).to_parquet(path)

    pace = trace_pace(read_recording(path))

    assert pace.window_seconds == 60.0
    assert pace.decided_at == _START + 60


def test_a_rail_that_falls_silent_is_missing_and_later_no_longer_expected(tmp_path: Path) -> None:
    frames = _frames(
        tmp_path,
        _samples(_every(1, 1200)),
        _samples(_every(1, 100), instance="node-2:9810"),
    )

    gone, lasting = Link("node-2", "0", "mlx5_0"), Link("node-1", "0", "mlx5_0")
    for frame in frames:
        age = frame.time - (_START + 100)
        assert (gone in frame.links) == (age <= 15)
        assert frame.missed == (("node-2",) if 15 < age <= 900 else ())
        assert lasting in frame.links


def test_a_gap_is_unknown_and_not_idle(tmp_path: Path) -> None:
    frames = _frames(tmp_path, _samples([*_every(1, 60), *_every(1, 120, since=72)]))

    by_end = {round(f.time - f.time % 5 - _START): f[_TRANSMIT_MAX][0] for f in frames}
    assert by_end[60] == pytest.approx(100.0)
    assert math.isnan(by_end[65])
    assert math.isnan(by_end[70])
    assert by_end[80] == pytest.approx(100.0)


def test_what_the_file_does_not_say_is_unknown_or_implied(tmp_path: Path) -> None:
    frame = _frames(tmp_path, _samples(_every(1, 60)))[-1]

    for name in ("present", "admin_up", "up"):
        assert frame[name].tolist() == [1.0]
    for name in ("speed_bytes_per_second", _DUTY, "receive_bytes_total", "faults_total_retransmit"):
        assert np.isnan(frame[name]).all()
    assert frame.switch == ("",)


def test_a_rail_that_is_down_and_has_no_counters_stays_in_sight(tmp_path: Path) -> None:
    seconds = _every(1, 60)
    sent = [100.0 * second if second <= 30 else None for second in seconds]
    up = [float(second <= 30) for second in seconds]

    frame = _frames(tmp_path, _samples(seconds, transmit_bytes_total=sent, up=up))[-1]

    assert frame["up"].tolist() == [0.0]
    assert np.isnan(frame["transmit_bytes_total"]).all()
    assert np.isnan(frame.window_end).all()


def test_duty_follows_the_line_rate_of_the_time(tmp_path: Path) -> None:
    """100 B/s are busy on a line of 1,000 B/s and idle on one of 10,000."""
    seconds = _every(1, 120)
    speed = [1000.0 if second <= 60 else 10_000.0 for second in seconds]

    frames = _frames(tmp_path, _samples(seconds, speed_bytes_per_second=speed), speed=1.0)

    duty = {round(f.time - f.time % 5 - _START): float(f[_DUTY][0]) for f in frames}
    assert (duty[50], duty[100]) == (1.0, 0.0)


def test_the_given_speed_stands_in_for_a_missing_column(tmp_path: Path) -> None:
    frame = _frames(tmp_path, _samples(_every(1, 60)), speed=1000.0)[-1]

    assert frame["speed_bytes_per_second"].tolist() == [1000.0]
    assert frame[_DUTY].tolist() == [1.0]


def test_names_follow_the_newest_sample(tmp_path: Path) -> None:
    seconds = _every(1, 60)
    jobs = ["old" if second < 30 else None for second in seconds[:-20]] + ["new"] * 20

    frames = _frames(tmp_path, _samples(seconds, job_id=jobs, switch="leaf-1"))

    assert [job for frame in frames for job in frame.job_id] == sorted(
        (job for frame in frames for job in frame.job_id), key=["old", "", "new"].index
    )
    assert {frame.job_id for frame in frames} == {("old",), ("",), ("new",)}
    assert {frame.switch for frame in frames} == {("leaf-1",)}


def test_two_agents_on_one_host_stay_apart(tmp_path: Path) -> None:
    frame = _frames(
        tmp_path,
        _samples(_every(1, 60), instance="host:1"),
        _samples(_every(1, 60), instance="host:2"),
    )[-1]

    assert [link.node for link in frame.links] == ["host:1", "host:2"]
    assert frame[_TRANSMIT_MAX].tolist() == pytest.approx([100.0, 100.0])


def test_rails_written_as_numbers_with_nulls_elsewhere_keep_their_names(tmp_path: Path) -> None:
    frame = _frames(tmp_path, _samples(_every(1, 60), rail=3.0))[-1]

    assert frame.links == (Link("node-1", "3", "mlx5_0"),)


def _without(name: str) -> pd.DataFrame:
    return _samples([0.0, 1.0]).drop(columns=name)


_MALFORMED: Mapping[str, tuple[pd.DataFrame, str]] = {
    **{
        name: (_without(name), f"column '{name}' is missing")
        for name in ("timestamp_ms", "instance", "rail", "device", "job_id")
    },
    "no metric": (_without("transmit_bytes_total"), "'transmit_bytes_total'"),
    "empty": (_samples([]), "no samples"),
    "text in a counter": (_samples([0.0], transmit_bytes_total="x"), "'transmit_bytes_total'"),
    "text in the time": (_samples([0.0], timestamp_ms="now"), "'timestamp_ms'"),
    "null instance": (_samples([0.0, 1.0], instance=["a", None]), "'instance'"),
    "null time": (_samples([0.0, 1.0], timestamp_ms=[1.0, None]), "'timestamp_ms'"),
}


@pytest.mark.parametrize(("table", "expected"), _MALFORMED.values(), ids=_MALFORMED.keys())
def test_a_malformed_file_is_refused_in_one_line(
    tmp_path: Path, table: pd.DataFrame, expected: str
) -> None:
    path = tmp_path / "rails.parquet"
    table.to_parquet(path)

    with pytest.raises(SourceError) as caught:
        read_trace(path)

    message = str(caught.value)
    assert expected in message
    assert str(path) in message
    assert "\n" not in message


@pytest.mark.parametrize("content", [b"", b"timestamp_ms,instance\n", b"PAR1\x00PAR1"])
def test_a_file_that_is_not_parquet_is_refused_in_one_line(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "rails.parquet"
    path.write_bytes(content)

    with pytest.raises(SourceError, match="is not a parquet file") as caught:
        read_trace(path)

    assert "\n" not in str(caught.value)


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match=r"cannot read .*gone.parquet: No such file"):
        read_trace(tmp_path / "gone.parquet")


def test_without_pyarrow_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pyarrow", None)

    with pytest.raises(SourceError, match=r"railwatch-analyzer\[offline\]"):
        read_trace(EXCERPT)
