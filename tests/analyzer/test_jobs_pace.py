# SPDX-License-Identifier: Apache-2.0
"""A job becomes slow against its own past: steps and ramps are found, pauses are not learned."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np
import pytest

from railwatch_analyzer.jobs.pace import Pace, after_step

if TYPE_CHECKING:
    from collections.abc import Iterable

LEARNED = 120


def _times(noise: float, count: int = LEARNED, seed: int = 0) -> list[float]:
    return list(45.8 * np.exp(noise * np.random.default_rng(seed).normal(size=count)))


def _after(times: Iterable[float], pace: Pace | None = None) -> Pace:
    pace = pace or Pace()
    for number, seconds in enumerate(times):
        pace = after_step(pace, math.log(seconds), 1.0, float(number), learn=True)
    return pace


def _steps_until_slow(times: Iterable[float], pace: Pace) -> int | None:
    for number, seconds in enumerate(times, start=1):
        pace = after_step(pace, math.log(seconds), 1.0, float(number), learn=True)
        if pace.slowed:
            return number
    return None


@pytest.mark.parametrize("noise", [0.0014, 0.01, 0.03, 0.07])
def test_a_healthy_job_is_never_slow_whatever_it_varies_by(noise: float) -> None:
    for seed in range(5):
        assert _steps_until_slow(_times(noise, 1000, seed), Pace()) is None


@pytest.mark.parametrize("factor", [1.02, 1.05, 1.2, 2.0])
def test_a_steady_job_that_slows_is_found_within_five_steps(factor: float) -> None:
    learned = _after(_times(0.0014))

    slow = [factor * seconds for seconds in _times(0.0014, 10, seed=1)]

    assert (_steps_until_slow(slow, learned) or 99) <= 5


def test_a_slow_ramp_is_found_although_no_step_stands_out() -> None:
    learned = _after(_times(0.002))

    ramp = [s * (1 + 0.0003 * n) for n, s in enumerate(_times(0.002, 200, seed=1))]

    found = _steps_until_slow(ramp, learned)
    assert found is not None
    assert 1 + 0.0003 * found < 1.03


def test_the_threshold_grows_with_the_jobs_own_variation() -> None:
    noisy = _after(_times(0.07))

    slow = [1.05 * seconds for seconds in _times(0.07, 100, seed=1)]

    assert _steps_until_slow(slow, noisy) is None
    assert noisy.least_effect > 0.1


@pytest.mark.parametrize("every", [1000, 50, 5])
def test_checkpoints_raise_nothing_and_are_not_learned(every: int) -> None:
    times = _times(0.0014, 400)
    times = [t + 32.9 * (n % every == every - 1) for n, t in enumerate(times)]

    assert _steps_until_slow(times, Pace()) is None
    assert _after(times).spread < 0.003


def test_two_pauses_in_a_row_are_no_slowdown() -> None:
    assert _steps_until_slow([80.0, 80.0, *_times(0.0014, 50)], _after(_times(0.0014))) is None


def test_the_first_steps_of_a_job_may_be_slow() -> None:
    pace = _after([120.0] * 5 + [60.0] * 5 + _times(0.0014, 60))

    assert math.exp(pace.usual) == pytest.approx(45.8, rel=0.01)


def test_the_alarm_ends_when_the_job_is_as_fast_as_ever() -> None:
    slow = _after([50.0] * 10, _after(_times(0.0014)))
    assert slow.slowed

    after = _after(_times(0.0014, 30, seed=2), slow)

    assert not after.slowed
    assert math.exp(after.usual) == pytest.approx(45.8, rel=0.002)


def test_a_slow_job_is_not_learned_as_usual() -> None:
    slow = _after([50.0] * 500, _after(_times(0.0014)))

    assert slow.slowed
    assert slow.effect == pytest.approx(50.0 / 45.8 - 1, rel=0.05)


def test_the_onset_is_the_end_of_the_last_usual_step() -> None:
    learned = _after(_times(0.0014))
    pace = after_step(learned, math.log(45.8), 1.0, 1000.0, learn=True)

    for number in range(1, 6):
        pace = after_step(pace, math.log(48.0), 1.0, 1000.0 + 48.0 * number, learn=True)

    assert pace.slowed
    assert pace.onset == 1000.0
