# SPDX-License-Identifier: Apache-2.0
"""Communication-bound is a definition with hysteresis: how soon, and what changes nothing."""

from __future__ import annotations

import itertools
import math

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from railwatch_analyzer.jobs.bound import Bound, after_share

# A loaded machine is slow, and no example is wrong for it.
_PATIENT = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
_SHARES = st.floats(0.0, 1.0) | st.just(math.nan)


def _after(shares: list[float], bound: Bound | None = None, steps: float = 1.0) -> Bound:
    bound = bound or Bound()
    for number, share in enumerate(shares):
        bound = after_share(bound, share, steps, began=float(number))
    return bound


def test_58_percent_is_bound_within_ten_steps_and_6_percent_never() -> None:
    assert _after([0.58] * 10).bound
    assert _after([0.06] * 1000).bound is False


def test_what_is_not_known_is_not_said() -> None:
    assert _after([math.nan] * 20).bound is None


def test_a_few_long_exchanges_make_no_job_bound() -> None:
    assert _after([0.6, 0.6, 0.6, 0.06] * 50).bound is False


def test_between_the_thresholds_nothing_changes() -> None:
    assert _after([0.15] * 50, _after([0.58] * 10)).bound
    assert _after([0.15] * 50, _after([0.06] * 10)).bound is False


def test_ten_calm_steps_end_it_and_nine_do_not() -> None:
    bound = _after([0.58] * 10)

    assert _after([0.05] * 9, bound).bound
    assert _after([0.05] * 10, bound).bound is False


def test_a_round_of_many_steps_counts_as_many() -> None:
    assert _after([0.58], steps=12.0).bound


def test_the_onset_is_when_the_first_of_the_steps_began() -> None:
    bound = _after([0.06] * 7 + [0.4] * 8)

    assert bound.onset == 7.0


@_PATIENT
@given(st.lists(_SHARES, max_size=60))
def test_it_never_turns_twice_within_five_steps(shares: list[float]) -> None:
    bound, turns = Bound(bound=False), []
    for number, share in enumerate(shares):
        after = after_share(bound, share, 1.0, began=float(number))
        if after.bound != bound.bound:
            turns.append(number)
        bound = after

    assert all(b - a >= 5 for a, b in itertools.pairwise(turns))


@_PATIENT
@given(st.lists(_SHARES, max_size=40), st.integers(0, 20))
def test_steps_of_which_nothing_is_known_change_nothing(shares: list[float], place: int) -> None:
    with_gap = [*shares[:place], math.nan, *shares[place:]]

    assert _after(with_gap).bound == _after(shares).bound


@pytest.mark.parametrize("share", [0.20, 0.23])
def test_the_grey_zone_is_bound_by_the_letter_of_the_definition(share: float) -> None:
    assert _after([share] * 5).bound
