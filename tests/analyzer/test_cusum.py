# SPDX-License-Identifier: Apache-2.0
"""Sums of evidence: small shifts add up, chance, odd windows and silence do not."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from railwatch_analyzer.detectors.cusum import (
    ALLOWANCE,
    HORIZONS,
    STREAMS,
    Sums,
    accumulate,
    beginnings,
    bounded,
    no_sums,
    shortfalls,
    summed_scores,
)
from railwatch_analyzer.detectors.run_length import ASSUMED, calibrated
from railwatch_analyzer.features import FEATURES, Direction, Kind

_WINDOW = 5.0
_SPREAD = np.full((1, len(FEATURES)), 0.1)
_SENDS = np.array([f.kind is Kind.RATE and f.direction is Direction.TRANSMIT for f in FEATURES])
_OLD = np.array([400])
_LIMITS = np.array([8.0, 20.0])
_YES, _NO = np.ones(1, dtype=bool), np.zeros(1, dtype=bool)


def _told(shifts: list[float], sums: Sums | None = None) -> Sums:
    """The sums of one link after windows in which it sent flatter bursts by *shifts* spreads."""
    sums = no_sums(1) if sums is None else sums
    for number, shift in enumerate(shifts, start=1):
        deviation = np.where(_SENDS, shift * _SPREAD, 0.0)
        added = shortfalls(deviation, _SPREAD, _OLD)
        judged = np.array([np.isfinite(shift)])
        sums = accumulate(sums, np.nan_to_num(added), deviation, judged, number * _WINDOW)
    return sums


def _score(sums: Sums) -> float:
    return float(summed_scores(sums, _LIMITS)[0])


def test_a_shift_of_one_spread_alarms_in_minutes_and_one_of_three_in_half_a_minute() -> None:
    assert _score(_told([1.5] * 6)) < 1.0 < _score(_told([1.5] * 36))
    assert _score(_told([3.0] * 3)) < 1.0 < _score(_told([3.0] * 7))


def test_one_odd_window_alarms_nobody_however_odd() -> None:
    assert _score(_told([1e6])) < 0.5
    assert _score(_told([0.0, 50.0, 0.0, 50.0, 0.0, 50.0])) < 0.5


def test_a_window_that_says_nothing_changes_nothing() -> None:
    before = _told([3.0] * 4)

    after = _told([np.nan] * 3, before)

    assert (after.sums == before.sums).all()
    assert (after.depth == before.depth).all()
    assert after.well == before.well


def test_what_was_learned_in_few_windows_is_doubted() -> None:
    deviation = np.where(_SENDS, 0.8 * _SPREAD, 0.0)

    young = shortfalls(deviation, _SPREAD, np.array([8]))
    old = shortfalls(deviation, _SPREAD, _OLD)

    assert (young < old).all()
    assert young[0, 0] < ALLOWANCE.min() < old[0, 0]


def test_a_steady_deficit_of_a_few_per_cent_is_certain_and_yet_no_alarm() -> None:
    """Of bursts that scatter by one per cent; 15 per cent lower ones are told."""
    calm = np.full((1, len(FEATURES)), 0.03)
    scores = []
    for share in (0.92, 0.85):
        sums = no_sums(1)
        for number in range(60):
            deviation = np.where(_SENDS, -np.log(share), np.zeros((1, len(FEATURES))))
            added = shortfalls(deviation, calm, _OLD)
            sums = accumulate(sums, added, deviation, _YES, number * _WINDOW)
        scores.append(_score(sums))

    assert scores[0] < 0.5
    assert scores[1] > 1.0


def test_the_beginning_is_the_end_of_the_last_window_without_evidence() -> None:
    sums = _told([0.0, 0.0, 0.0, 3.0, 3.0, 3.0])

    assert beginnings(sums, _LIMITS).tolist() == [3 * _WINDOW]


def test_an_alarm_is_over_after_windows_as_usual_and_its_sums_begin_anew() -> None:
    alarm = bounded(_told([3.0] * 12), _LIMITS, explained=_NO, ended=_NO, begun=_YES)
    still = _told([3.0, 0.0, 3.0, 0.0, 3.0], alarm)
    over = _told([0.0] * 6, still)
    anew = bounded(over, _LIMITS, explained=_NO, ended=_YES, begun=_NO)

    assert [bool(s.is_well[0]) for s in (alarm, still, over)] == [False, False, True]
    assert _score(anew) == 0.0


def test_who_only_feels_a_fault_stays_below_the_alarm() -> None:
    victim = bounded(_told([3.0] * 30), _LIMITS, explained=_YES, ended=_NO, begun=_NO)

    assert 0.5 < _score(victim) < 1.0


@settings(deadline=None, max_examples=50)
@given(st.lists(st.floats(-50, 50), min_size=1, max_size=30), st.integers(0, 29))
def test_sums_are_never_negative_and_grow_with_what_is_added(
    shifts: list[float], where: int
) -> None:
    more = [shift + (2.0 if number == where else 0.0) for number, shift in enumerate(shifts)]

    less_sums, more_sums = _told(shifts).sums, _told(more).sums

    assert (less_sums >= 0.0).all()
    assert (more_sums >= less_sums - 1e-9).all()


def _healthy(links: int, windows: int = 60, scale: float = 1.0) -> np.ndarray:
    noise = np.random.default_rng(1).normal(size=(windows, links, STREAMS))
    return np.clip(scale * noise, -3.0, 3.0)


def test_limits_are_kept_until_there_is_enough_to_reckon_with() -> None:
    assert (calibrated(_healthy(50, windows=10), _WINDOW, ASSUMED) == ASSUMED).all()
    assert (calibrated(_healthy(2), _WINDOW, ASSUMED) == ASSUMED).all()


def test_chance_hardly_ever_reaches_the_limits_that_are_reckoned_from_it() -> None:
    """Other noise of the same kind, in thirty days of links: the budget is one in 3,000."""
    limits = calibrated(_healthy(100), _WINDOW, ASSUMED)
    draw = np.random.default_rng(2)
    sums = np.zeros((300, STREAMS, len(HORIZONS)))
    worst = np.zeros(len(HORIZONS))
    for _ in range(1728):
        added = np.clip(draw.normal(size=(300, STREAMS, 1)), -3.0, 3.0)
        sums = np.maximum(sums + added - ALLOWANCE, 0.0)
        worst = np.maximum(worst, sums.max(axis=(0, 1)))

    assert (worst < limits).all()
    assert (limits < 3.0 * worst).all()


def test_noise_that_hangs_together_raises_the_slow_limit() -> None:
    steady = calibrated(_healthy(100), _WINDOW, ASSUMED)
    hanging = np.repeat(_healthy(100, windows=15), 4, axis=0)

    raised = calibrated(hanging, _WINDOW, ASSUMED)

    assert raised[1] > 1.3 * steady[1]


def test_silence_is_not_health() -> None:
    quiet = np.full((60, 100, STREAMS), np.nan)

    assert (calibrated(quiet, _WINDOW, ASSUMED) == ASSUMED).all()


def test_the_same_past_gives_the_same_limits() -> None:
    one, other = (calibrated(_healthy(50), _WINDOW, ASSUMED) for _ in range(2))

    assert one == pytest.approx(other, abs=0.0)
