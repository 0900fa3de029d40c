# SPDX-License-Identifier: Apache-2.0
"""Have a job's steps changed their shape? An anomaly detector over the features of each step.

The length of a step need not tell: where it varies by several percent, communication that is no
longer hidden is lost in the noise of the whole, and plain in its share. Features are oriented so
that more is worse. A step that moves other amounts of data than usual is other work and is not
judged.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import numpy as np

from railwatch_analyzer.detectors.step_shift import StepShiftDetector

if TYPE_CHECKING:
    from collections.abc import Mapping

    from railwatch_analyzer.jobs.step import JobStep

# Feature → what it may move by and mean nothing. Shares of a step: half a point; events: ten.
_UNITS: Mapping[str, float] = {
    "exposed_communication_ratio": 0.005,
    "hidden_communication_ratio": 0.02,
    "stalled_ratio": 0.005,
    "idle_ratio": 0.005,
    "utilization_ratio": 0.03,
    "congestion_events_per_second": 0.3,
    "paused_ratio": 0.005,
}
FEATURES = tuple(_UNITS)
_LOST = tuple(FEATURES.index(f"{n}_ratio") for n in ("exposed_communication", "stalled", "idle"))
_KEPT = 200
_TRAIN = 40
_RETRAIN = 50
# Steps of the last so many that must be far out.
_OF = 5
_NEEDED = 4
_CLEAR = 8
# The least share of a step that must be newly lost to be worth telling.
_LEAST_LOST = 0.03
_OTHER_WORK = 0.05


@dataclass(frozen=True, slots=True)
class Shift:
    """What is known of the shape of a job's steps.

    Attributes
    ----------
    rows
        Features of healthy steps of late.
    work
        Logarithms of the bytes of those steps; NaN is unknown.
    fresh
        Healthy steps since the detector was trained.
    detector
        None until trained.
    scores
        Of the last steps that were judged, newest last; 1 = alarm.
    lost
        Shares of a step that were newly lost in these.
    latest
        Features of the last step.
    changed
        Whether the alarm stands.
    clear
        Judged steps in a row, while it stands, that were as ever.
    """

    rows: tuple[tuple[float, ...], ...] = ()
    work: tuple[float, ...] = ()
    fresh: int = 0
    detector: StepShiftDetector | None = None
    scores: tuple[float, ...] = ()
    lost: tuple[float, ...] = ()
    latest: tuple[float, ...] = field(default=(math.nan,) * len(FEATURES))
    changed: bool = False
    clear: int = 0

    @property
    def is_calm(self) -> bool:
        """Whether the last step looked as ever, as far as is known."""
        return not self.changed and (not self.scores or self.scores[-1] < 1.0)


def features_of(step: JobStep) -> tuple[float, ...]:
    """Return the features of *step* in their order; NaN is unknown."""
    rails = step.rails
    return (
        step.exposed,
        1.0 - step.overlap,
        step.stalled,
        step.idle,
        rails.utilization,
        math.log1p(_sum(rails.marks, rails.losses) / 10.0),
        rails.paused,
    )


def usual_of(shift: Shift) -> dict[str, float]:
    """Return the healthy median of each feature that is known."""
    if not shift.rows:
        return {}
    middle = _medians(np.array(shift.rows))
    return {n: v for n, v in zip(FEATURES, middle.tolist(), strict=True) if not math.isnan(v)}


def after_step(shift: Shift, step: JobStep) -> Shift:
    """Return *shift* after *step* was judged; nothing is learned."""
    features = features_of(step)
    shift = replace(shift, latest=features)
    if shift.detector is None or _is_other_work(shift, step):
        return shift
    score = -shift.detector.score_samples([_filled(shift, features)])[0]
    usual = _medians(np.array(shift.rows))
    grown = np.array(features) - usual
    lost = float(np.nansum(np.maximum(grown[list(_LOST)], 0.0)))
    shift = replace(
        shift,
        scores=(*shift.scores, float(score / -shift.detector.offset_))[-_OF:],
        lost=(*shift.lost, lost)[-_OF:],
    )
    return _alarmed(shift)


def learned(shift: Shift, step: JobStep) -> Shift:
    """Return *shift* with *step* as a healthy one more; the detector is trained when it is time."""
    features = features_of(step)
    if all(math.isnan(features[column]) for column in _LOST):
        return shift
    shift = replace(
        shift,
        rows=(*shift.rows, features)[-_KEPT:],
        work=(*shift.work, _log(step.transmitted))[-_KEPT:],
        fresh=shift.fresh + 1,
    )
    due = _TRAIN if shift.detector is None else _RETRAIN
    return _trained(shift) if shift.fresh >= due else shift


def _trained(shift: Shift) -> Shift:
    rows = np.array(shift.rows)
    middle = np.nan_to_num(_medians(rows))
    scaled = np.where(np.isnan(rows), middle, rows) / np.array(list(_UNITS.values()))
    return replace(shift, detector=StepShiftDetector(least_scale=1.0).fit(scaled), fresh=0)


def _filled(shift: Shift, features: tuple[float, ...]) -> list[float]:
    """Return what the detector sees: unknown is as ever."""
    middle = np.nan_to_num(_medians(np.array(shift.rows)))
    row = np.array(features)
    return list(np.where(np.isnan(row), middle, row) / np.array(list(_UNITS.values())))


def _alarmed(shift: Shift) -> Shift:
    """Tell hysteresis of the newest score."""
    far = sum(
        score >= 1.0 and lost >= _LEAST_LOST
        for score, lost in zip(shift.scores, shift.lost, strict=True)
    )
    if not shift.changed:
        return replace(shift, changed=far >= _NEEDED, clear=0)
    clear = shift.clear + 1 if shift.scores[-1] < 1.0 else 0
    return replace(shift, clear=clear, changed=clear < _CLEAR)


def _is_other_work(shift: Shift, step: JobStep) -> bool:
    known = [value for value in shift.work if not math.isnan(value)]
    now = _log(step.transmitted)
    if math.isnan(now) or not known:
        return False
    middle = float(np.median(known))
    usual = 4.0 * float(np.median(np.abs(np.array(known) - middle)))
    return abs(now - middle) > max(usual, _OTHER_WORK)


def _medians(rows: np.ndarray) -> np.ndarray:
    """Medians of the columns over what is known; NaN where nothing is."""
    out = np.full(rows.shape[1], math.nan)
    for column in range(rows.shape[1]):
        known = rows[~np.isnan(rows[:, column]), column]
        if known.size:
            out[column] = np.median(known)
    return out


def _sum(one: float, other: float) -> float:
    known = [value for value in (one, other) if not math.isnan(value)]
    return sum(known) if known else math.nan


def _log(value: float) -> float:
    return math.log(value) if value > 0 else math.nan
