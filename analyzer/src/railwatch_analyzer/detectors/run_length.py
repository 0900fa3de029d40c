# SPDX-License-Identifier: Apache-2.0
"""How large a sum chance makes: limits of the CUSUM by block bootstrap, with a fitted tail.

Healthy stretches of a link and a time are drawn again and again and put one behind the other; the
largest sums of many such runs have a tail, to which a generalised Pareto distribution is fitted by
probability-weighted moments (Hosking and Wallis, 1987) to reach the rare levels that no run shows.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from railwatch_analyzer.detectors.cusum import ALLOWANCE, HORIZONS

if TYPE_CHECKING:
    from numpy.typing import NDArray

# Until there is enough to reckon with. From a fleet of 340 NICs, doubled.
ASSUMED: NDArray[np.float64] = np.array([8.0, 20.0])
# What was learned may not lower a limit further than this, nor raise it beyond finding anything.
_LEAST: NDArray[np.float64] = np.array([5.0, 10.0])
_MOST: NDArray[np.float64] = np.array([15.0, 40.0])
# One sum beyond its limit in so many days of a link: a budget, not a promise.
_DAYS_PER_ALARM = 3_000.0
_DAY = 86_400.0
_RUNS = 1_500
_BLOCK = 12
_BLOCKS = 20
_LEAST_WINDOWS = 2 * _BLOCK
_LEAST_CELLS = 2_000
_TAIL = 0.15
_HEAVIEST = 0.1


def calibrated(
    healthy: NDArray[np.floating], window_seconds: float, before: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Return the limit of each horizon.

    Parameters
    ----------
    healthy
        Shape (windows, links, streams): shortfalls of healthy links, NaN where nothing was said.
    window_seconds
        What a window lasts.
    before
        The limits until now, kept where there is too little to reckon with.
    """
    if len(healthy) < _LEAST_WINDOWS or np.isfinite(healthy).sum() < _LEAST_CELLS:
        return before
    largest = _largest_sums(healthy)
    # The streams of a link are drawn together: the larger sum counts once.
    share = _BLOCK * _BLOCKS * window_seconds / (_DAYS_PER_ALARM * _DAY)
    limits = [_exceeded_with(largest[:, horizon], share) for horizon in range(len(HORIZONS))]
    return np.asarray(np.clip(limits, _LEAST, _MOST))


def _largest_sums(healthy: NDArray[np.floating]) -> NDArray[np.float64]:
    """Largest sum of each bootstrapped run, at each horizon; shape (runs, horizons)."""
    draw = np.random.default_rng(0)
    windows, links, streams = healthy.shape
    # A block needs a link that spoke in it; blocks of silence would lengthen a run for nothing.
    spoke = np.isfinite(healthy[:, :, 0])
    begins = windows - _BLOCK + 1
    count = np.cumsum(np.concatenate([np.zeros((1, links)), spoke]), axis=0)
    whole = np.argwhere(count[_BLOCK:] - count[:begins] >= _BLOCK * 0.75)
    if not len(whole):
        return np.zeros((_RUNS, len(HORIZONS)))
    sums = np.zeros((_RUNS, streams, len(HORIZONS)))
    largest = np.zeros((_RUNS, len(HORIZONS)))
    for _ in range(_BLOCKS):
        start, link = whole[draw.integers(len(whole), size=_RUNS)].T
        for step in range(_BLOCK):
            added = np.nan_to_num(healthy[start + step, link].astype(np.float64), nan=0.0)
            sums = np.maximum(sums + added[:, :, None] - ALLOWANCE, 0.0)
            largest = np.maximum(largest, sums.max(axis=1))
    return largest


def _exceeded_with(largest: NDArray[np.float64], share: float) -> float:
    """Level that a run exceeds with probability *share*, by the tail of *largest*."""
    ordered = np.sort(largest)
    size = max(int(_TAIL * len(ordered)), 2)
    threshold = float(ordered[-size])
    excess = ordered[-size:] - threshold
    mean = float(excess.mean())
    if mean <= 0.0:
        return threshold
    ranks = (np.arange(size) + 0.65) / size
    weighted = float((excess * (1.0 - ranks)).mean())
    if mean <= 2.0 * weighted:
        shape, scale = 0.0, mean
    else:
        shape = 2.0 - mean / (mean - 2.0 * weighted)
        scale = 2.0 * mean * weighted / (mean - 2.0 * weighted)
    rare = share / _TAIL
    # A bounded tail would promise that chance ends where these few runs did. And steps are
    # bounded, so that sums have an exponential tail: a heavier one is an accident of few runs.
    shape = min(shape, _HEAVIEST)
    if shape <= 1e-6:
        return threshold + mean * math.log(1.0 / rare)
    return threshold + scale / shape * (math.pow(rare, -shape) - 1.0)
