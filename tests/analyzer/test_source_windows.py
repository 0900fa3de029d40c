# SPDX-License-Identifier: Apache-2.0
"""Many windows of a series at once say what a loop over its seconds would say of each."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from railwatch.windows import (
    BUSY_SHARE,
    LEAST_COVERAGE,
    WindowTable,
    window_statistics,
    window_table,
)

_LINE_RATE = 100.0

# Times on a coarse grid, so that samples meet edges and each other; a counter with resets.
_SERIES = st.lists(
    st.tuples(st.integers(-8, 60), st.one_of(st.integers(0, 300), st.just(math.nan))),
    max_size=50,
).map(lambda samples: sorted(samples, key=lambda sample: sample[0]))


def _reference(
    samples: list[tuple[float, float]], start: float, end: float, known_by: float, longest: float
) -> dict[str, float] | None:
    """The statistics, from their definitions, by the piece: (seconds, rate)."""
    pieces = []
    for (t0, c0), (t1, c1) in itertools.pairwise(samples):
        inside = min(t1, end) - max(t0, start)
        if 0 < t1 - t0 <= longest and c1 >= c0 and inside > 0 and t1 <= known_by:
            pieces.append((inside, (c1 - c0) / (t1 - t0)))
    total = sum(seconds for seconds, _ in pieces)
    if total < LEAST_COVERAGE * (end - start):
        return None
    mean = sum(s * r for s, r in pieces) / total
    left, top = total / 10, 0.0
    for seconds, rate in sorted(pieces, key=lambda piece: -piece[1]):
        top += min(seconds, left) * rate
        left = max(left - seconds, 0.0)
    return {
        "max": max(rate for _, rate in pieces),
        "top_decile": top / (total / 10),
        "mean": mean,
        "std": math.sqrt(sum(s * (r - mean) ** 2 for s, r in pieces) / total),
        "duty": sum(s for s, r in pieces if r > BUSY_SHARE * _LINE_RATE) / total,
        "coverage": total / (end - start),
    }


def _row(table: WindowTable, number: int) -> dict[str, float]:
    names = ("max", "top_decile", "mean", "std", "duty", "coverage")
    return {name: float(getattr(table, name)[number]) for name in names}


@settings(deadline=None)
@given(
    series=_SERIES,
    grace=st.one_of(st.integers(0, 4), st.just(math.inf)),
    longest=st.sampled_from([1.0, 4.0, math.inf]),
)
def test_every_window_has_the_statistics_of_its_definition(
    series: list[tuple[float, float]], grace: float, longest: float
) -> None:
    times = np.array([time for time, _ in series], dtype=np.float64) / 2
    counter = np.array([count for _, count in series], dtype=np.float64)
    edges = np.arange(0.0, 30.0, 5.0)

    table = window_table(times, counter, edges, np.full(5, _LINE_RATE), edges[1:] + grace, longest)

    samples = list(zip(times.tolist(), counter.tolist(), strict=True))
    for number, start in enumerate(edges[:-1].tolist()):
        expected = _reference(samples, start, start + 5, start + 5 + grace, longest)
        if expected is None:
            assert math.isnan(table.mean[number])
            assert math.isnan(table.max[number])
        else:
            assert _row(table, number) == pytest.approx(expected, abs=1e-6)


@settings(deadline=None)
@given(series=_SERIES)
def test_one_window_alone_is_that_window_among_many(series: list[tuple[float, float]]) -> None:
    times = np.array([time for time, _ in series], dtype=np.float64) / 2
    counter = np.array([count for _, count in series], dtype=np.float64)
    edges = np.arange(0.0, 30.0, 5.0)

    table = window_table(times, counter, edges, np.full(5, _LINE_RATE))

    for number, start in enumerate(edges[:-1].tolist()):
        alone = window_statistics(times, counter, start, start + 5, _LINE_RATE)
        if alone is None:
            assert math.isnan(table.mean[number])
        else:
            for name, value in _row(table, number).items():
                assert value == pytest.approx(getattr(alone, name), rel=1e-9, abs=1e-9)


def test_duty_is_unknown_only_in_windows_without_a_line_rate() -> None:
    times = np.arange(0.0, 10.5, 0.5)

    table = window_table(
        times, 50 * times, np.array([0.0, 5.0, 10.0]), np.array([math.nan, _LINE_RATE])
    )

    assert math.isnan(table.duty[0])
    assert table.duty[1] == 1.0
    assert table.mean.tolist() == [50.0, 50.0]
