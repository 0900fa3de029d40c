# SPDX-License-Identifier: Apache-2.0
"""What one complete window changes: scores, blame, hysteresis, and what is learned from it."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from railwatch_analyzer.accusations import accusations
from railwatch_analyzer.baseline import accepted_usual, group_spread, learn, learn_level
from railwatch_analyzer.causes import followers, victims
from railwatch_analyzer.comparison import Comparison, burst_level, compare
from railwatch_analyzer.detectors.cusum import (
    Sums,
    accumulate,
    beginnings,
    bounded,
    shortfalls,
    summed_scores,
    weights,
)
from railwatch_analyzer.detectors.run_length import calibrated
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
from railwatch_analyzer.verdicts import ALARM, SUSPICION, Evidence, after_window

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from railwatch_analyzer.history import Window

# Windows kept to train on: two minutes at the default window.
RECENT = 24
# Windows kept to reckon with chance: ten minutes.
_HEALTHY = 120
# Training is repeated so often; its threshold falls by so much at most and rises at once.
_RETRAIN = 24
_RELAX = 0.95
# Rows to train on: a link without peers has no more, and may not alarm either.
_LEAST_ROWS = 8
_MOST_ROWS = 20_000
# A victim deviates and is not to blame: it stays below the alarm.
_VICTIM_SCORE = 0.9
# So much less speaks for a link that only felt another one's fault.
_FELT_RANK = 0.1
_QUEUE = next(number for number, f in enumerate(FEATURES) if f.kind is Kind.SHARE)


@dataclass(frozen=True, slots=True)
class _Case:
    """What a window holds against each link: by itself (`alone`), and added to those before it.

    `score` is the larger of the two, NaN where the window says nothing; `added` what it added to
    the sums, NaN likewise.
    """

    seen: Comparison
    deviation: NDArray[np.float64]
    spread: NDArray[np.float64]
    alone: NDArray[np.float64]
    added: NDArray[np.float64]
    sums: Sums
    evidence: Evidence
    score: NDArray[np.float64]


def judge_window(state: State, window: Window) -> State:
    """Return *state* after *window*; a link is scored before it is learned from."""
    groups = group_numbers(state.groups)
    case = _case(state, window, groups)
    felt = victims(
        _told(case),
        case.score >= ALARM,
        groups,
        queue_known=np.isfinite(case.seen.level[:, _QUEUE]),
        missed=(state.status.degraded & np.isnan(case.score)) | _was_down(state, window.end),
    )
    weight = weights(case.sums, state.limits)
    following = followers(case.evidence.score, weight, groups, state.status.degraded)
    status = after_window(
        state.status,
        np.where(felt, np.minimum(case.alone, _VICTIM_SCORE), case.alone),
        window.end,
        may_alarm=state.roster.peered,
        explained=felt,
        unsure=_unsure(state, case.seen, groups, window.end),
        evidence=_excused(case.evidence, felt, following),
    )
    before = state.status.degraded
    ended = before & ~status.degraded
    state = replace(
        state,
        windows=state.windows + 1,
        sums=bounded(
            case.sums,
            state.limits,
            explained=felt,
            ended=ended | (np.isin(groups, groups[ended]) & ~status.degraded),
            begun=status.degraded & ~before,
        ),
        status=status,
        picture=_picture(state, case),
    )
    state = replace(state, accused=accusations(state, case.score, _rank(case, weight, felt)))
    return _train(_learn(state, case, groups), groups, window.seconds)


def _case(state: State, window: Window, groups: NDArray[np.int64]) -> _Case:
    seen = compare(state, window, groups)
    deviation = deviations(seen.residual, accepted_usual(state.baseline))
    spread = group_spread(state.baseline, groups)
    judged = seen.silence == Silence.NONE
    added = shortfalls(deviation, spread, state.baseline.windows)
    sums = accumulate(state.sums, added, deviation, judged, window.end)
    evidence = Evidence(
        summed_scores(sums, state.limits), beginnings(sums, state.limits), sums.is_well
    )
    alone = _scores(state, seen, deviation, spread)
    return _Case(
        seen=seen,
        deviation=deviation,
        spread=spread,
        alone=alone,
        added=np.where(judged[:, None], added, np.nan),
        sums=sums,
        evidence=evidence,
        score=np.where(np.isnan(alone), np.nan, np.fmax(alone, evidence.score)),
    )


def _told(case: _Case) -> NDArray[np.float64]:
    """What blame is decided by: this window where it alarms alone, else what it was like of late.

    Whether bytes wait in front of a sender is asked of both: a window that holds half a pause has
    half the queue, while bursts are as low as ever.
    """
    told = np.where((case.alone >= ALARM)[:, None], case.deviation, case.sums.lasting)
    told[:, _QUEUE] = np.fmax(told[:, _QUEUE], case.sums.lasting[:, _QUEUE])
    return told


def _rank(case: _Case, weight: NDArray[np.float64], felt: NDArray[np.bool_]) -> NDArray[np.float64]:
    """How much speaks for each link as the culprit: over a long time, and in this window alone."""
    alone = np.where(case.alone >= ALARM, case.alone, 0.0)
    return np.where(felt, _FELT_RANK, 1.0) * (weight + alone)


def _excused(evidence: Evidence, felt: NDArray[np.bool_], following: NDArray[np.bool_]) -> Evidence:
    """*evidence* without an alarm of the links that only *felt* or *followed* another one."""
    return replace(
        evidence,
        score=np.where(felt | following, np.minimum(evidence.score, _VICTIM_SCORE), evidence.score),
        is_over=evidence.is_over | felt,
    )


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


def _picture(state: State, case: _Case) -> Picture:
    seen = case.seen
    judged = (seen.silence == Silence.NONE)[:, None]
    old = state.picture
    # Undoing the sign of the residual gives the level that peers and past lead to expect.
    expected = seen.reference + SIGN * accepted_usual(state.baseline)
    return Picture(
        observed=np.where(judged, values_of(seen.level), old.observed),
        expected=np.where(judged, values_of(expected), old.expected),
        deviation=np.where(judged, case.deviation, old.deviation),
        badness=np.where(judged, badness(case.deviation, case.spread), old.badness),
        silence=seen.silence,
    )


def _learn(state: State, case: _Case, groups: NDArray[np.int64]) -> State:
    """Learn from the links that were active and are beyond suspicion.

    The scores of *case* are those before blame was passed on. Around a fault nobody is an example
    of health: victims look like culprits, and everybody's yardstick has moved. The window before an
    alarm may have held its beginning and is taken back.
    """
    seen = case.seen
    judged = seen.silence == Silence.NONE
    learning = seen.silence == Silence.LEARNING
    alarmed = (case.score >= ALARM) | state.status.degraded | (state.status.pressure > 0)
    troubled = np.isin(groups, groups[alarmed])
    suspect = judged & (state.status.score >= SUSPICION)
    example = (judged | learning) & ~troubled
    kept = np.where(example[:, None], seen.residual, np.nan).astype(np.float32)
    recent = state.recent
    if recent and troubled.any():
        recent = (*recent[:-1], np.where(troubled[:, None], np.float32(np.nan), recent[-1]))
    # Links that are suspect by their sums alone belong to health: chance gets that far too, and
    # limits that never saw it would be too low.
    normal = np.where((judged & ~troubled)[:, None], case.added, np.nan).astype(np.float16)
    # A newcomer learns in any company: it has no other.
    healthy = (judged & ~troubled & ~suspect) | learning
    return replace(
        state,
        baseline=learn_level(
            learn(state.baseline, seen.residual, seen.bytes_offset, healthy),
            burst_level(seen.level),
            ~troubled,
        ),
        recent=(*recent, kept)[-RECENT:],
        healthy=(*state.healthy, normal)[-_HEALTHY:],
    )


def _train(state: State, groups: NDArray[np.int64], window_seconds: float) -> State:
    due = state.detector is None or state.windows % _RETRAIN == 0
    if not due or not state.baseline.learned.any():
        return state
    limits = calibrated(np.array(state.healthy), window_seconds, state.limits)
    state = replace(state, limits=limits)
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
