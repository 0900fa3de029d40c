# SPDX-License-Identifier: Apache-2.0
"""Hysteresis as a pure function: stories of one link, and what holds for every story."""

from __future__ import annotations

import math
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from railwatch_analyzer.verdicts import (
    ALARM,
    CLEAR_WINDOWS,
    HOLD_SECONDS,
    NEEDED,
    SUSPICION,
    Status,
    Verdict,
    after_silence,
    after_window,
    no_status,
    verdicts,
)

_STEP = 5.0
_YES = np.ones(1, dtype=bool)
_NO = np.zeros(1, dtype=bool)
_UNKNOWN = math.nan
_QUIET = 0.0
_BETWEEN = (ALARM + SUSPICION) / 2
_STRONG = 2 * NEEDED
_WEAK = NEEDED / 2

_SCORE = st.one_of(
    st.just(_UNKNOWN), st.floats(0, 2 * NEEDED), st.sampled_from([SUSPICION, ALARM, NEEDED])
)
_STORY = st.lists(_SCORE, max_size=60)


def _told(
    story: list[float], status: Status | None = None, *, may_alarm: np.ndarray = _YES
) -> list[Status]:
    """The status after each score of *story*, one window after another."""
    status = no_status(1) if status is None else status
    told = []
    begun = status.judged_at[0] if np.isfinite(status.judged_at[0]) else 0.0
    for number, score in enumerate(story, start=1):
        end = begun + number * _STEP
        status = after_window(
            status, np.array([score]), end, may_alarm=may_alarm, explained=_NO, unsure=_NO
        )
        told.append(status)
    return told


def _last(story: list[float]) -> Status:
    return _told(story)[-1]


@pytest.mark.parametrize(
    ("story", "degraded"),
    [
        pytest.param([_STRONG], True, id="one strong window is enough"),
        pytest.param([_WEAK], False, id="one weak one is not"),
        pytest.param([_WEAK, _WEAK], True, id="weak ones add up"),
        pytest.param([_WEAK, _UNKNOWN, _UNKNOWN, _WEAK], True, id="a gap does not start anew"),
        pytest.param([_WEAK, _BETWEEN, _WEAK], True, id="nor does a suspect window"),
        pytest.param([_WEAK, _QUIET, _WEAK], False, id="a quiet window counts against it"),
        pytest.param([_WEAK, *[_QUIET] * CLEAR_WINDOWS, _WEAK], False, id="a blip is forgotten"),
        pytest.param([_BETWEEN] * 100, False, id="suspicion alone never alarms"),
        pytest.param([_STRONG, *[_QUIET] * (CLEAR_WINDOWS - 1)], True, id="not clear yet"),
        pytest.param([_STRONG, *[_QUIET] * CLEAR_WINDOWS], False, id="clear"),
        pytest.param(
            [_STRONG, *[_QUIET] * (CLEAR_WINDOWS - 1), _BETWEEN, _QUIET],
            True,
            id="a suspect window starts the clearing anew",
        ),
        pytest.param(
            [_STRONG, *[_QUIET, _UNKNOWN] * (CLEAR_WINDOWS - 1), _QUIET],
            False,
            id="a gap does not start the clearing anew",
        ),
        pytest.param([_STRONG, *[_UNKNOWN] * 1000], True, id="unknown is not normal"),
        pytest.param(
            [_STRONG, *[_QUIET] * CLEAR_WINDOWS, _WEAK], False, id="what ended needs full proof"
        ),
    ],
)
def test_a_story_ends_with_or_without_an_alarm(story: list[float], *, degraded: bool) -> None:
    assert bool(_last(story).degraded[0]) is degraded


@settings(deadline=None)
@given(_STORY)
def test_an_alarm_begins_only_with_an_alarming_window(story: list[float]) -> None:
    told = [no_status(1), *_told(story)]

    for (before, after), score in zip(pairwise(told), story, strict=True):
        if after.degraded[0] and not before.degraded[0]:
            assert score >= ALARM


@settings(deadline=None)
@given(_STORY)
def test_a_window_that_says_nothing_changes_nothing(story: list[float]) -> None:
    before = [no_status(1), *_told(story)][-1]

    after = after_window(
        before, np.array([_UNKNOWN]), 1e9, may_alarm=_YES, explained=_NO, unsure=_NO
    )

    for field in Status.__slots__:
        np.testing.assert_array_equal(getattr(after, field), getattr(before, field))


@settings(deadline=None)
@given(_STORY)
def test_a_link_without_peers_is_never_degraded_but_may_be_suspect(story: list[float]) -> None:
    told = _told(story, may_alarm=_NO)

    assert not any(status.degraded[0] for status in told)
    for status, score in zip(told, story, strict=True):
        if score >= SUSPICION:
            assert _verdict(status) == Verdict.SUSPECT


@settings(deadline=None)
@given(_STORY, st.lists(st.floats(0, SUSPICION, exclude_max=True), min_size=CLEAR_WINDOWS))
def test_after_a_row_of_quiet_windows_nothing_stands(
    story: list[float], quiet: list[float]
) -> None:
    status = _last([*story, *quiet])

    assert not status.degraded[0]
    assert status.pressure[0] == 0
    assert np.isnan(status.onset[0])
    assert _verdict(status) == Verdict.NORMAL


@settings(deadline=None)
@given(st.lists(st.tuples(_SCORE, _SCORE), min_size=1, max_size=30))
def test_links_do_not_touch_each_other(stories: list[tuple[float, float]]) -> None:
    both = no_status(2)
    for number, scores in enumerate(stories, start=1):
        both = after_window(
            both,
            np.array(scores),
            number * _STEP,
            may_alarm=np.ones(2, dtype=bool),
            explained=np.zeros(2, dtype=bool),
            unsure=np.zeros(2, dtype=bool),
        )

    for row in range(2):
        alone = _last([scores[row] for scores in stories])
        for field in Status.__slots__:
            np.testing.assert_array_equal(getattr(both, field)[row], getattr(alone, field)[0])


def test_the_onset_is_the_end_of_the_last_window_before_the_alarming_ones() -> None:
    """Windows end at 5, 10, ...; the first alarming one, from 15 to 20, does not suffice."""
    status = _last([_QUIET, _QUIET, _QUIET, _WEAK, _UNKNOWN, _WEAK])

    assert status.degraded[0]
    assert status.onset[0] == 3 * _STEP


def test_an_alarm_without_news_holds_for_a_quarter_of_an_hour() -> None:
    status = _last([_STRONG])

    held = after_silence(status, _STEP + HOLD_SECONDS)
    over = after_silence(status, _STEP + HOLD_SECONDS + 1)

    assert held.degraded[0]
    assert not over.degraded[0]
    assert _told([_WEAK], over)[0].degraded[0] == np.False_, "and leaves nothing behind"


def test_what_was_held_against_a_link_before_a_long_silence_does_not_count_after_it() -> None:
    late = 10 * HOLD_SECONDS
    silent = after_silence(_last([_QUIET, _WEAK]), late)

    status = after_window(
        silent, np.array([_WEAK]), late, may_alarm=_YES, explained=_NO, unsure=_NO
    )

    assert not status.degraded[0]
    assert status.onset[0] == 2 * _STEP, "the last window before that is known of"


def _verdict(
    status: Status, *, age: float = 1.0, down: np.ndarray = _NO, by_rule: np.ndarray = _NO
) -> Verdict:
    now = float(status.judged_at[0]) + age if np.isfinite(status.judged_at[0]) else 1e9
    return Verdict(int(verdicts(status, now=now, down=down, by_rule=by_rule)[0]))


@pytest.mark.parametrize(
    ("story", "expected"),
    [
        ([_UNKNOWN], Verdict.UNKNOWN),
        ([_QUIET], Verdict.NORMAL),
        ([_BETWEEN], Verdict.SUSPECT),
        ([_WEAK, _QUIET], Verdict.SUSPECT),
        ([_STRONG], Verdict.DEGRADED),
        ([_STRONG, _QUIET], Verdict.DEGRADED),
    ],
)
def test_the_verdict_follows_the_status(story: list[float], expected: Verdict) -> None:
    status = _last(story)

    assert _verdict(status) is expected
    assert _verdict(status, by_rule=_YES) is Verdict.DEGRADED
    assert _verdict(status, by_rule=_YES, down=_YES) is Verdict.DOWN


@pytest.mark.parametrize("story", [[_QUIET], [_BETWEEN], [_STRONG]])
def test_a_verdict_without_news_becomes_unknown_while_the_alarm_holds(story: list[float]) -> None:
    status = _last(story)

    assert _verdict(status, age=HOLD_SECONDS) is Verdict.UNKNOWN
    assert after_silence(status, _STEP + HOLD_SECONDS).degraded == status.degraded


def test_a_window_in_which_somebody_was_not_heard_is_not_enough_by_itself() -> None:
    fresh = no_status(1)
    strong = np.array([2 * NEEDED])

    once = after_window(fresh, strong, 0.0, may_alarm=_YES, explained=_NO, unsure=_YES)
    twice = after_window(once, strong, _STEP, may_alarm=_YES, explained=_NO, unsure=_YES)

    assert (bool(once.degraded[0]), bool(twice.degraded[0])) == (False, True)
