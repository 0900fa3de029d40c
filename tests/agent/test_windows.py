"""Statistics of a window, against a plain reference that walks through the intervals."""

import itertools
import math
from dataclasses import astuple

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from railwatch.windows import (
    BUSY_SHARE,
    LEAST_COVERAGE,
    WindowStatistics,
    window_end_after,
    window_statistics,
)

Sample = tuple[float, float]


def _reference(
    samples: list[Sample], start: float, end: float, line_rate: float | None, longest: float
) -> WindowStatistics | None:
    """Return the same, slowly: pieces of (rate, seconds), the fastest first."""
    pieces = []
    for (t0, c0), (t1, c1) in itertools.pairwise(samples):
        inside = min(t1, end) - max(t0, start)
        if inside > 0 and c1 >= c0 and t1 - t0 <= longest:
            pieces.append(((c1 - c0) / (t1 - t0), inside))
    pieces.sort(reverse=True)
    total = sum(seconds for _, seconds in pieces)
    if total / (end - start) < LEAST_COVERAGE:
        return None
    mean = sum(rate * seconds for rate, seconds in pieces) / total
    variance = sum((rate - mean) ** 2 * seconds for rate, seconds in pieces) / total
    left, top = total / 10, 0.0
    for rate, seconds in pieces:
        used = min(seconds, left)
        top += rate * used
        left -= used
    duty = None
    if line_rate is not None:
        duty = sum(s for rate, s in pieces if rate > BUSY_SHARE * line_rate) / total
    return WindowStatistics(
        max=pieces[0][0],
        top_decile=top / (total / 10),
        mean=mean,
        std=variance**0.5,
        duty=duty,
        coverage=total / (end - start),
    )


# Thousandths of a second and whole bytes: the reference sums in another order.
_STEPS = st.lists(
    st.tuples(st.integers(1, 400), st.integers(-1000, 10**6)), min_size=1, max_size=60
)


@given(
    steps=_STEPS,
    start=st.integers(0, 3000),
    length=st.integers(100, 5000),
    line_rate=st.none() | st.integers(1, 10**8),
    longest=st.sampled_from([0.2, math.inf]),
    gaps=st.sets(st.integers(0, 60), max_size=5),
)
def test_a_window_is_what_the_reference_says(
    steps: list[Sample],
    start: int,
    length: int,
    line_rate: int | None,
    longest: float,
    gaps: set[int],
) -> None:
    times = np.cumsum([0, *(step[0] for step in steps)]) / 1000
    counter = np.cumsum([10**6, *(step[1] for step in steps)]).astype(float)
    counter[[at for at in gaps if at < len(counter)]] = math.nan
    samples = list(zip(times.tolist(), counter.tolist(), strict=True))
    window = (start / 1000, (start + length) / 1000)
    expected = _reference(samples, *window, line_rate, longest)
    # At the very edge of what is enough, the order of a sum decides.
    known = sum(
        max(min(t1, window[1]) - max(t0, window[0]), 0.0)
        for (t0, c0), (t1, c1) in itertools.pairwise(samples)
        if c1 >= c0 and t1 - t0 <= longest
    )
    assume(abs(known / (length / 1000) - LEAST_COVERAGE) > 1e-6)
    # An interval of exactly the longest length is in or out by its last bit.
    assume(not np.isclose(np.diff(times), longest, atol=1e-9).any())

    found = window_statistics(times, counter, *window, line_rate, longest_interval=longest)

    if expected is None or found is None:
        assert found is expected
        return
    for name in ("max", "top_decile", "mean", "coverage"):
        assert getattr(found, name) == pytest.approx(getattr(expected, name), rel=1e-6, abs=1e-3)
    assert found.std == pytest.approx(expected.std, rel=1e-4, abs=1.0)
    assert (found.duty is None) == (expected.duty is None)
    if found.duty is not None:
        assert found.duty == pytest.approx(expected.duty, abs=1e-6)


@given(wall=st.floats(0, 4e9), window=st.sampled_from([1.0, 5.0, 60.0, 300.0]))
def test_windows_tile_the_wall_clock(wall: float, window: float) -> None:
    end = window_end_after(wall, window)

    assert end % window == 0
    assert end - window <= wall < end


def test_a_window_without_samples_says_nothing() -> None:
    empty = np.array([])

    assert window_statistics(empty, empty, 0.0, 5.0, 1.0) is None
    assert window_statistics(np.array([1.0]), np.array([1.0]), 0.0, 5.0, 1.0) is None


def test_a_gap_within_the_counter_is_unknown() -> None:
    """A NaN stands for a sample that has nothing to do with the ones around it."""
    times = np.array([0.0, 1.0, 2.0, 3.0, 4.0])
    counter = np.array([0.0, 10.0, math.nan, 1e12, 1e12 + 10])

    found = window_statistics(times, counter, 0.0, 4.0, None)

    assert found is not None
    assert astuple(found)[:4] == (10.0, 10.0, 10.0, 0.0)
    assert found.coverage == 0.5
