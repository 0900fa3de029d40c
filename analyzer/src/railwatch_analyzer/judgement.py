# SPDX-License-Identifier: Apache-2.0
"""What one complete window changes: scores, blame, hysteresis, and what is learned from it."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from railwatch_analyzer.accusations import accusations
from railwatch_analyzer.baseline import accepted_usual, group_spread, learn
from railwatch_analyzer.causes import victims
from railwatch_analyzer.comparison import Comparison, compare
from railwatch_analyzer.detectors.shortfall import ShortfallDetector, anomaly_scores
from railwatch_analyzer.features import (
    FEATURES,
    SIGN,
    Kind,
    badness,
    deviations,
    effect,
    values_of,
)
from railwatch_analyzer.peers import group_numbers
from railwatch_analyzer.state import Picture, Silence, State, present
from railwatch_analyzer.verdicts import ALARM, SUSPICION, after_window

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from railwatch_analyzer.history import Window

# Windows kept to train on: two minutes at the default window.
RECENT = 24
# Training is repeated so often; its threshold falls by so much at most and rises at once.
_RETRAIN = 24
_RELAX = 0.95
# Rows to train on: a link without peers has no more, and may not alarm either.
_LEAST_ROWS = 8
_MOST_ROWS = 20_000
# A victim deviates and is not to blame: it stays below the alarm.
_VICTIM_SCORE = 0.9
_QUEUE = next(number for number, f in enumerate(FEATURES) if f.kind is Kind.SHARE)


def judge_window(state: State, window: Window) -> State:
    """Return *state* after *window*; a link is scored before it is learned from."""
    groups = group_numbers(state.groups)
    seen = compare(state, window, groups)
    deviation = deviations(seen.residual, accepted_usual(state.baseline))
    spread = group_spread(state.baseline, groups)
    raw = _scores(state, seen, deviation, spread)
    felt = victims(
        deviation,
        raw >= ALARM,
        groups,
        queue_known=np.isfinite(seen.level[:, _QUEUE]),
        missed=(state.status.degraded & np.isnan(raw)) | _was_down(state, window.end),
    )
    score = np.where(felt, np.minimum(raw, _VICTIM_SCORE), raw)
    state = replace(
        state,
        windows=state.windows + 1,
        status=after_window(
            state.status,
            score,
            window.end,
            may_alarm=state.roster.peered,
            explained=felt,
            unsure=_unsure(state, seen, groups, window.end),
        ),
        picture=_picture(state, seen, deviation, badness(deviation, spread)),
    )
    state = replace(state, accused=accusations(state, raw, groups))
    return _train(_learn(state, seen, raw, groups), groups)


def _scores(
    state: State,
    seen: Comparison,
    deviation: NDArray[np.float64],
    spread: NDArray[np.float64],
) -> NDArray[np.float64]:
    """Score of each link; NaN where the window says nothing or nothing was learned yet.

    The detector says how unusual a row is, the effect how much it matters; an alarm needs both.
    """
    out = np.full(len(state.links), np.nan)
    judged = seen.silence == Silence.NONE
    if state.detector is not None and judged.any():
        unusual = anomaly_scores(state.detector, badness(deviation[judged], spread[judged]))
        out[judged] = np.minimum(unusual, effect(deviation[judged]))
    return out


def _was_down(state: State, end: float) -> NDArray[np.bool_]:
    """Which links were down in the window that ended at *end*, or in the one before.

    What the others lose, resend and wait for meanwhile is the outage's, and it has a finding.
    """
    since = end - 2.0 * state.collecting.epoch_seconds
    return np.array([state.down_at.get(link, -np.inf) >= since for link in state.links])


def _unsure(
    state: State, seen: Comparison, groups: NDArray[np.int64], end: float
) -> NDArray[np.bool_]:
    """Which links have a group of which somebody who is there was not heard in this window."""
    unheard = present(state, end) & (seen.silence == Silence.NO_DATA)
    return np.isin(groups, groups[unheard])


def _picture(
    state: State,
    seen: Comparison,
    deviation: NDArray[np.float64],
    bad: NDArray[np.float64],
) -> Picture:
    judged = (seen.silence == Silence.NONE)[:, None]
    old = state.picture
    # Undoing the sign of the residual gives the level that peers and past lead to expect.
    expected = seen.reference + SIGN * accepted_usual(state.baseline)
    return Picture(
        observed=np.where(judged, values_of(seen.level), old.observed),
        expected=np.where(judged, values_of(expected), old.expected),
        deviation=np.where(judged, deviation, old.deviation),
        badness=np.where(judged, bad, old.badness),
        silence=seen.silence,
    )


def _learn(
    state: State, seen: Comparison, raw: NDArray[np.float64], groups: NDArray[np.int64]
) -> State:
    """Learn from the links that were active and are beyond suspicion.

    *raw* are the scores before blame was passed on. Around a fault nobody is an example of health:
    victims look like culprits, and everybody's yardstick has moved. The window before an alarm
    may have held its beginning and is taken back.
    """
    judged = seen.silence == Silence.NONE
    learning = seen.silence == Silence.LEARNING
    alarmed = (raw >= ALARM) | state.status.degraded | (state.status.pressure > 0)
    troubled = np.isin(groups, groups[alarmed])
    suspect = judged & (state.status.score >= SUSPICION)
    example = (judged | learning) & ~troubled
    kept = np.where(example[:, None], seen.residual, np.nan).astype(np.float32)
    recent = state.recent
    if recent and troubled.any():
        recent = (*recent[:-1], np.where(troubled[:, None], np.float32(np.nan), recent[-1]))
    # A newcomer learns in any company: it has no other.
    healthy = (judged & ~troubled & ~suspect) | learning
    return replace(
        state,
        baseline=learn(state.baseline, seen.residual, seen.bytes_offset, healthy),
        recent=(*recent, kept)[-RECENT:],
    )


def _train(state: State, groups: NDArray[np.int64]) -> State:
    due = state.detector is None or state.windows % _RETRAIN == 0
    if not due or not state.baseline.learned.any():
        return state
    rows = _examples(state, groups)
    if len(rows) < _LEAST_ROWS:
        return state
    least = ShortfallDetector().least_threshold
    if state.detector is not None:
        least = max(least, -_RELAX * state.detector.offset_)
    return replace(state, detector=ShortfallDetector(least_threshold=least).fit(rows))


def _examples(state: State, groups: NDArray[np.int64]) -> NDArray[np.float64]:
    """Rows of badness out of the recent windows, newest first, at most `_MOST_ROWS`.

    Odd windows belong to health and set the threshold; a link that deviates in most of its windows
    by what is worth telling a person does not, and teaches nothing.
    """
    usual = accepted_usual(state.baseline)
    spread = group_spread(state.baseline, groups)
    residual = np.array(state.recent, dtype=np.float64)
    deviation = deviations(residual, usual)
    effects = effect(deviation.reshape(-1, deviation.shape[-1])).reshape(deviation.shape[:2])
    spoke = np.isfinite(residual).any(axis=2)
    lasting = np.median(np.where(spoke, effects, 0.0), axis=0) >= ALARM
    taught = spoke & state.baseline.learned & ~lasting
    rows = badness(deviation, spread)[::-1][taught[::-1]]
    return rows[:_MOST_ROWS]
