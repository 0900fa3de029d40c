# SPDX-License-Identifier: Apache-2.0
"""The scale of comparison: what is worse has a positive sign, what is unknown has none."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from railwatch_analyzer.features import (
    FEATURES,
    MATERIAL,
    NOISE_FLOOR,
    SIGN,
    Z_CAP,
    Kind,
    badness,
    deviations,
    effect,
    levels,
    values_of,
)

_IN_UNITS = {
    Kind.RATE: st.floats(1e3, 1e12),
    Kind.SHARE: st.floats(0.0, 1.0),
    Kind.EVENTS: st.floats(0.0, 1e9),
}
_ROW = st.tuples(*(st.one_of(_IN_UNITS[f.kind], st.just(np.nan)) for f in FEATURES))
_HEALTHY = {Kind.RATE: 40e9, Kind.SHARE: 0.15, Kind.EVENTS: 0.0}
_WORSE = {Kind.RATE: 10e9, Kind.SHARE: 0.8, Kind.EVENTS: 100.0}


def _row(values: dict[Kind, float]) -> np.ndarray:
    return np.array([[values[f.kind] for f in FEATURES]])


@settings(deadline=None)
@given(_ROW)
def test_levels_are_undone_by_values_of(row: tuple[float, ...]) -> None:
    values = np.array([row])

    assert values_of(levels(values)) == pytest.approx(values, rel=1e-6, abs=1e-6, nan_ok=True)


def test_a_rate_of_zero_has_a_finite_level() -> None:
    assert np.isfinite(levels(np.zeros((1, len(FEATURES))))).all()


def test_lower_rates_fuller_queues_and_more_events_are_all_worse() -> None:
    residual = SIGN * (levels(_row(_WORSE)) - levels(_row(_HEALTHY)))

    deviation = deviations(residual, np.zeros_like(residual))

    assert (deviation > 0).all()
    assert (badness(deviation, np.zeros_like(deviation)) > 0).all()
    assert (badness(-deviation, np.zeros_like(deviation)) == 0).all()
    assert effect(deviation) > 1.0
    assert effect(-deviation) == 0.0


def test_what_is_unknown_deviates_by_nothing() -> None:
    unknown = np.full((1, len(FEATURES)), np.nan)

    assert (deviations(unknown, np.zeros_like(unknown)) == 0).all()
    assert (deviations(np.zeros_like(unknown), unknown) == 0).all()


def test_badness_counts_in_spreads_of_which_a_least_is_believed() -> None:
    deviation = np.full((1, len(FEATURES)), 0.5)
    wide = 5.0 * NOISE_FLOOR[None, :]

    assert badness(deviation, wide) == pytest.approx(np.minimum(deviation / wide, Z_CAP))
    assert badness(deviation, np.zeros_like(deviation)) == pytest.approx(
        np.minimum(deviation / NOISE_FLOOR, Z_CAP)
    )
    assert badness(deviation * 1e6, wide).max() == Z_CAP


def test_effect_is_one_at_what_is_worth_telling_and_other_features_have_none() -> None:
    telling = np.isfinite(MATERIAL)
    just = np.where(telling, MATERIAL, 0.0) * np.eye(len(FEATURES))
    supporting = np.where(telling, 0.0, 1e9)[None, :]

    assert effect(just).tolist() == pytest.approx(telling.astype(float).tolist())
    assert effect(supporting).tolist() == [0.0]


def test_fifteen_per_cent_less_than_expected_is_worth_telling() -> None:
    capped = _HEALTHY | {Kind.RATE: 0.84 * 40e9}
    mild = _HEALTHY | {Kind.RATE: 0.86 * 40e9}
    healthy = levels(_row(_HEALTHY))

    assert effect(SIGN * (levels(_row(capped)) - healthy)) > 1.0
    assert effect(SIGN * (levels(_row(mild)) - healthy)) < 1.0
