# SPDX-License-Identifier: Apache-2.0
"""What is usual for a link: learned quickly, then slowly, never from a link under suspicion."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from railwatch_analyzer.baseline import (
    WARM_UP,
    Baseline,
    accepted_usual,
    forget,
    group_spread,
    learn,
    no_past,
)
from railwatch_analyzer.features import FEATURES, NOISE_FLOOR, Kind

_WIDTH = len(FEATURES)
_RATES = np.array([f.kind is Kind.RATE for f in FEATURES])
_EVERYBODY = np.ones(1, dtype=bool)


def _taught(
    baseline: Baseline, level: float, times: int = 1, *, offset: float = 0.0, rows: bool = True
) -> Baseline:
    """One link that shows the same residual in every feature, *times* windows long."""
    for _ in range(times):
        residual = np.full((1, _WIDTH), level)
        baseline = learn(baseline, residual, np.array([offset]), np.array([rows]))
    return baseline


def test_the_first_windows_are_averaged() -> None:
    baseline = _taught(_taught(no_past(1), 0.10), 0.14)

    assert baseline.usual[0] == pytest.approx(0.12)
    assert not baseline.learned[0]
    assert _taught(baseline, 0.12, WARM_UP - 2).learned[0]


def test_a_lasting_change_is_half_learned_in_about_ten_minutes() -> None:
    old = _taught(no_past(1), 0.0, 1000)

    minute = _taught(old, 0.02, 12).usual[0, 0]
    ten_minutes = _taught(old, 0.02, 120).usual[0, 0]

    assert 0 < minute < 0.002
    assert ten_minutes == pytest.approx(0.01, rel=0.1)


@pytest.mark.parametrize("before", [1, WARM_UP - 1])
def test_a_young_link_that_turns_to_other_work_begins_anew(before: int) -> None:
    """One rank sends its weights when a job begins: what follows is far slower, and no fault."""
    weights = _taught(no_past(1), -6.0, before, offset=3.0)

    training = _taught(weights, 0.02, offset=0.1)

    assert training.usual[0] == pytest.approx(0.02)
    assert training.windows[0] == 1


def test_an_experienced_link_does_not_begin_anew() -> None:
    old = _taught(no_past(1), 0.0, WARM_UP, offset=3.0)

    assert _taught(old, 0.0, offset=0.1).windows[0] == WARM_UP + 1


def test_one_odd_window_moves_the_usual_of_an_experienced_link_by_a_bounded_step() -> None:
    old = _taught(no_past(1), 0.0, 100)

    odd, odder = _taught(old, 10.0), _taught(old, 1000.0)

    assert (odder.usual == odd.usual).all()
    assert (odd.usual > 0).all()
    assert (odd.usual < 0.1 * NOISE_FLOOR).all()
    assert (odder.spread == odd.spread).all()


@settings(deadline=None)
@given(
    frozen=st.lists(st.booleans(), min_size=4, max_size=4),
    level=st.floats(-2, 2),
    # Other work would begin anew.
    offset=st.floats(-0.8, 0.8),
)
def test_rows_that_are_not_learned_from_keep_all_they_had(
    frozen: list[bool], level: float, offset: float
) -> None:
    rows = ~np.array(frozen)
    before = learn(
        no_past(4),
        np.full((4, _WIDTH), 0.1),
        np.full(4, 0.05),
        np.array([True, True, False, False]),
    )

    after = learn(before, np.full((4, _WIDTH), level), np.full(4, offset), rows)

    assert (after.usual[~rows] == before.usual[~rows]).all()
    assert (after.spread[~rows] == before.spread[~rows]).all()
    assert (after.windows[~rows] == before.windows[~rows]).all()
    np.testing.assert_array_equal(after.bytes_offset[~rows], before.bytes_offset[~rows])
    assert (after.windows[rows] == before.windows[rows] + 1).all()


def test_unknown_cells_change_nothing_of_their_own() -> None:
    before = _taught(no_past(1), 0.1, 3)
    residual = np.full((1, _WIDTH), 0.5)
    residual[0, 2] = np.nan

    after = learn(before, residual, np.array([np.nan]), _EVERYBODY)

    assert after.usual[0, 2] == before.usual[0, 2]
    assert after.spread[0, 2] == before.spread[0, 2]
    assert (np.delete(after.usual, 2) > np.delete(before.usual, 2)).all()
    assert after.bytes_offset == before.bytes_offset


def test_what_is_forgotten_is_as_if_never_seen() -> None:
    two = learn(no_past(2), np.full((2, _WIDTH), 0.1), np.array([0.1, 0.2]), np.ones(2, dtype=bool))

    after = forget(two, np.array([True, False]))

    assert (after.usual[0] == 0).all()
    assert (after.spread[0] == 0).all()
    assert after.windows.tolist() == [0, 1]
    assert after.bytes_offset.tolist() == pytest.approx([np.nan, 0.2], nan_ok=True)
    assert after.usual[1] == pytest.approx(0.1)


@pytest.mark.parametrize(
    ("bytes_share", "excused"),
    [
        pytest.param(1.0, False, id="as many bytes as the peers"),
        pytest.param(0.95, False, id="nearly as many"),
        pytest.param(0.5, True, id="half as many: other work"),
    ],
)
def test_flat_bursts_are_usual_only_for_a_link_that_moves_other_bytes(
    bytes_share: float, *, excused: bool
) -> None:
    """A cap to a quarter, from the first window on."""
    quarter = float(np.log(4))
    baseline = _taught(no_past(1), quarter, WARM_UP, offset=float(np.log(bytes_share)))

    accepted = accepted_usual(baseline)[0]

    assert (accepted[_RATES] == pytest.approx(quarter)) is excused
    assert (accepted[_RATES] > 0).all()
    assert accepted[~_RATES] == pytest.approx(quarter)


def test_faster_than_the_peers_is_never_bounded() -> None:
    fast = _taught(no_past(1), -2.0, WARM_UP)

    assert accepted_usual(fast) == pytest.approx(-2.0)


def test_spread_is_pooled_over_the_group_and_a_young_link_borrows_it() -> None:
    """One link that scatters wildly does not widen what is believed of the others."""
    spread = np.array([1.0, 1.2, 90.0, 0.0, 0.0])[:, None] * np.ones(_WIDTH)
    baseline = Baseline(
        usual=np.zeros((5, _WIDTH)),
        spread=spread,
        windows=np.array([20, 20, 20, 1, 20]),
        bytes_offset=np.zeros(5),
        level=np.zeros(5),
    )

    pooled = group_spread(baseline, np.array([7, 7, 7, 7, 3]))

    assert pooled[:4] == pytest.approx(1.2 * 1.2533)
    assert (pooled[4] == NOISE_FLOOR).all()
