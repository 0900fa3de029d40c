# SPDX-License-Identifier: Apache-2.0
"""Has a job become slow? Step times against the job's own healthy ones.

Two one-sided CUSUMs (Page 1954) over robust z of the logarithm of the step time: a fast one for
steps and a slow one for small changes that add up. z is cut at 6, so that one long step, such as a
checkpoint, cannot raise an alarm alone. What the CUSUM finds must also be worth telling: 1.5 %, or
three times the job's own median deviation.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np

# Steps at the beginning that compile, warm caches and fill pipelines.
_SKIPPED_STEPS = 10.0
# What must have been learned before anything is judged.
_LEARNED_STEPS = 40.0
_LEARNED_TIMES = 20
_KEPT = 200
# Real jobs vary by 0.14 % to 7 %; below this, it is the clock that varies.
_LEAST_SPREAD = 0.002
_MOST_Z = 6.0
# A single time that is further out is a pause: not learned.
_PAUSE_Z = 4.0
_FAST = (2.0, 12.0)
_SLOW = (0.75, 30.0)
# How far the usual may follow in one step, in spreads.
_FOLLOW = 1 / 200
_LEAST_EFFECT = 0.015
_EFFECT_DEVIATIONS = 3.0
_VERIFY = 3
_CLEAR = 8
# The median deviation of a normal distribution in standard deviations.
_DEVIATIONS = 1.4826


@dataclass(frozen=True, slots=True)
class Pace:
    """What is known of the length of a job's steps.

    Attributes
    ----------
    steps
        Steps heard of.
    usual, spread
        Healthy logarithm of the step time and its standard deviation, robustly; NaN until learned.
    times
        Healthy logarithms of late.
    fast, slow
        The CUSUMs, in spreads.
    rising
        Times since one of them left zero.
    lately
        Logarithms of the last three steps, newest last.
    slowed
        Whether the alarm stands.
    clear
        Times in a row, while it stands, that were not slow.
    onset
        When the step before the first slow one ended, Unix seconds.
    ended
        When the last step ended.
    """

    steps: float = 0.0
    usual: float = math.nan
    spread: float = math.nan
    times: tuple[float, ...] = ()
    learned: float = 0.0
    fast: float = 0.0
    slow: float = 0.0
    rising: int = 0
    lately: tuple[float, ...] = ()
    slowed: bool = False
    clear: int = 0
    onset: float = math.nan
    ended: float = math.nan

    @property
    def is_calm(self) -> bool:
        """Whether nothing speaks against learning from this job now."""
        return not self.slowed and self.fast < _FAST[1] / 2 and self.slow < _SLOW[1] / 2

    @property
    def least_effect(self) -> float:
        """Relative slowdown that is worth telling in this job."""
        return max(_EFFECT_DEVIATIONS * self.spread / _DEVIATIONS, _LEAST_EFFECT)

    @property
    def effect(self) -> float:
        """Relative slowdown of the last steps, NaN until anything was learned."""
        if math.isnan(self.usual) or len(self.lately) < _VERIFY:
            return math.nan
        return math.expm1(float(np.median(self.lately)) - self.usual)

    @property
    def score(self) -> float:
        """1 where the slowdown is just worth telling."""
        return 0.0 if math.isnan(self.effect) else max(self.effect, 0.0) / self.least_effect


def after_step(pace: Pace, log_seconds: float, steps: float, time: float, *, learn: bool) -> Pace:
    """Return *pace* after a step (or the mean of several) that ended at *time*.

    *learn* says whether it counts as healthy as far as others can tell.
    """
    pace = replace(
        pace,
        steps=pace.steps + steps,
        lately=(*pace.lately, log_seconds)[-_VERIFY:],
    )
    if not math.isnan(pace.usual):
        pace = _judged(pace, log_seconds, learn=learn)
    elif learn and pace.steps > _SKIPPED_STEPS:
        pace = _learned(pace, log_seconds, steps)
    return replace(pace, ended=time)


def _learned(pace: Pace, log_seconds: float, steps: float) -> Pace:
    pace = replace(pace, times=(*pace.times, log_seconds)[-_KEPT:], learned=pace.learned + steps)
    if pace.learned < _LEARNED_STEPS or len(pace.times) < _LEARNED_TIMES:
        return pace
    return replace(pace, usual=float(np.median(pace.times)), spread=_spread(pace.times))


def _spread(times: tuple[float, ...]) -> float:
    array = np.array(times)
    deviation = float(np.median(np.abs(array - np.median(array))))
    return max(_DEVIATIONS * deviation, _LEAST_SPREAD)


def _judged(pace: Pace, log_seconds: float, *, learn: bool) -> Pace:
    z = min(max((log_seconds - pace.usual) / pace.spread, -_MOST_Z), _MOST_Z)
    before, quiet = pace, pace.fast == 0.0 and pace.slow == 0.0
    fast, slow = max(pace.fast + z - _FAST[0], 0.0), max(pace.slow + z - _SLOW[0], 0.0)
    fast, slow = min(fast, 2 * _FAST[1]), min(slow, 2 * _SLOW[1])
    rises = fast > 0.0 or slow > 0.0
    pace = replace(
        pace,
        fast=fast,
        slow=slow,
        rising=pace.rising + 1 if rises else 0,
        onset=(pace.ended if rises else math.nan) if quiet else pace.onset,
    )
    pace = _alarmed(pace)
    if learn and before.is_calm and pace.is_calm and abs(z) <= _PAUSE_Z:
        pace = _followed(pace, log_seconds, z)
    return pace


def _alarmed(pace: Pace) -> Pace:
    due = pace.fast >= _FAST[1] or pace.slow >= _SLOW[1]
    if not pace.slowed:
        told = due and pace.rising >= _VERIFY and pace.effect >= pace.least_effect
        return replace(pace, slowed=told, clear=0)
    clear = pace.clear + 1 if pace.effect < pace.least_effect / 2 else 0
    if clear < _CLEAR:
        return replace(pace, clear=clear)
    return replace(pace, slowed=False, clear=0, fast=0.0, slow=0.0, rising=0, onset=math.nan)


def _followed(pace: Pace, log_seconds: float, z: float) -> Pace:
    times = (*pace.times, log_seconds)[-_KEPT:]
    step = _FOLLOW * min(max(z, -1.0), 1.0) * pace.spread
    return replace(pace, times=times, usual=pace.usual + step, spread=_spread(times))
