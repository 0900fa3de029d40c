"""Counters into rates, against a plain reference."""

import itertools
import math

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from agent.unruly import EVENTS, Event, UnrulyCounter
from railwatch.rates import Accumulator, delta, deltas, interval_rates

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


@given(
    value=st.integers(0, 2**32 - 1),
    steps=st.lists(st.tuples(st.floats(0.001, 100), EVENTS), min_size=1, max_size=30),
)
def test_no_rate_is_negative_or_more_than_what_happened(
    value: int, steps: list[tuple[float, Event]]
) -> None:
    """Whatever a counter does; after a freeze a rate is of all that happened meanwhile."""
    counter = UnrulyCounter(value)
    times = np.cumsum([seconds for seconds, _ in steps])
    told: list[float] = []
    most: list[int] = []
    for _, event in steps:
        told_at = counter.told_at
        read = counter.read_after(event)
        told.append(math.nan if read is None else read)
        most.append(counter.happened - told_at)

    seconds, rates = interval_rates(times, np.array(told))

    known = np.isfinite(rates)
    assert (rates[known] >= 0).all()
    assert ((rates * seconds)[known] <= np.array(most[1:])[known] * (1 + 1e-9)).all()


@given(rounds=st.lists(st.tuples(EVENTS, EVENTS), max_size=30))
def test_a_total_is_never_more_than_what_happened(rounds: list[tuple[Event, Event]]) -> None:
    """Whatever its components do; a wrap or a reset may cost some of it, and never adds to it."""
    total, counters = Accumulator(), (UnrulyCounter(10**9), UnrulyCounter(5))
    for events in rounds:
        told = [c.read_after(event) for c, event in zip(counters, events, strict=True)]

        assert 0 <= total.update(told) <= 10**9 + 5 + sum(c.happened for c in counters)


_PARTS = st.integers(1, 4).flatmap(
    lambda n: st.lists(
        st.lists(st.none() | st.integers(0, 10**15), min_size=n, max_size=n), max_size=20
    )
)


def _reference(rounds: list[list[int | None]]) -> list[int]:
    """What an accumulator is to say, without any of its shortcuts."""
    totals, total, latest = [], 0, dict[int, int]()
    for values in rounds:
        known = {at: value for at, value in enumerate(values) if value is not None}
        if not latest or len(known.keys() | latest.keys()) == 1:
            total = sum(known.values()) if known else total
        else:
            total += sum(max(v - latest[at], 0) for at, v in known.items() if at in latest)
        latest |= known
        totals.append(total)
    return totals


@given(rounds=_PARTS)
def test_a_total_is_what_its_components_grew_by(rounds: list[list[int | None]]) -> None:
    total = Accumulator()

    assert [total.update(values) for values in rounds] == _reference(rounds)


@given(rounds=_PARTS)
def test_a_sum_never_falls_once_it_is_one(rounds: list[list[int | None]]) -> None:
    total, found, seen = Accumulator(), [], set[int]()
    for values in rounds:
        seen |= {at for at, value in enumerate(values) if value is not None}
        latest = total.update(values)
        if len(seen) > 1:
            found.append(latest)

    assert found == sorted(found)


@given(growth=st.lists(st.tuples(st.integers(0, 10**12), st.integers(0, 10**12)), min_size=1))
def test_without_resets_a_total_is_the_sum_of_the_kernels_values(
    growth: list[tuple[int, int]],
) -> None:
    total = Accumulator()
    for first, second in zip(
        *(itertools.accumulate(side) for side in zip(*growth, strict=True)), strict=True
    ):
        assert total.update([first, second]) == first + second


@given(values=st.lists(st.integers(0, 2**64 - 1)))
def test_one_component_is_what_the_kernel_says(values: list[int]) -> None:
    """A reset is a fall, as it is without an accumulator."""
    total = Accumulator()

    assert [total.update([value]) for value in values] == values


def test_a_reset_of_one_component_neither_falls_nor_explodes() -> None:
    total = Accumulator()

    assert [total.update(v) for v in ([10**15, 50], [10, 60], [30, 70])] == [
        10**15 + 50,
        10**15 + 60,
        10**15 + 90,
    ]


def test_a_component_that_comes_later_brings_no_past() -> None:
    total = Accumulator()

    assert [total.update(v) for v in ([5], [6, 10**15], [7, 10**15 + 1])] == [5, 6, 8]
