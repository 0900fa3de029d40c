"""Counters into rates, against a plain reference."""

import itertools
import math

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from railwatch.rates import delta, deltas, interval_rates

_COUNTERS = st.floats(0, 2**63) | st.just(math.nan)
_SAMPLES = st.lists(st.tuples(st.floats(0, 1e9), _COUNTERS), max_size=30)


@given(before=st.integers(0, 2**64 - 1), after=st.integers(0, 2**64 - 1))
def test_a_counter_that_fell_was_reset(before: int, after: int) -> None:
    grown = delta(before, after)

    assert grown == (after - before if after >= before else None)


@given(pairs=st.lists(st.tuples(_COUNTERS, _COUNTERS)))
def test_growth_of_many_is_the_growth_of_each(pairs: list[tuple[float, float]]) -> None:
    before, after = (np.array([pair[side] for pair in pairs]) for side in (0, 1))

    expected = [b - a if b >= a else math.nan for a, b in pairs]
    np.testing.assert_array_equal(deltas(before, after), expected)


@given(samples=_SAMPLES)
def test_rates_are_growth_over_the_time_that_passed(samples: list[tuple[float, float]]) -> None:
    samples = sorted(samples, key=lambda sample: sample[0])
    times = np.array([time for time, _ in samples])
    counter = np.array([value for _, value in samples])

    seconds, rates = interval_rates(times, counter)

    for at, (first, second) in enumerate(itertools.pairwise(samples)):
        passed = second[0] - first[0]
        assert seconds[at] == passed
        if passed > 0 and second[1] >= first[1]:
            assert rates[at] == (second[1] - first[1]) / passed
        else:
            assert math.isnan(rates[at])
    assert len(rates) == max(len(samples) - 1, 0)


def test_a_counter_beyond_float32_loses_nothing() -> None:
    """float32 steps by 67 MB at 10**15."""
    _, rates = interval_rates(np.array([0.0, 1.0]), np.array([1e15, 1e15 + 1]))

    assert rates.tolist() == [1.0]


def test_a_repeated_sample_is_not_a_new_one() -> None:
    _, rates = interval_rates(np.array([1.0, 1.0]), np.array([5.0, 9.0]))

    assert np.isnan(rates).tolist() == [True]
