# SPDX-License-Identifier: Apache-2.0
"""What a window of fast samples says about a rail: peak, top decile, spread and duty.

Pure, and the same on a node as on a recorded trace. Samples may be irregular, so every statistic
weighs a rate by the time it lasted.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from railwatch.rates import interval_rates

if TYPE_CHECKING:
    from numpy.typing import NDArray

# A rail is busy in a sample that moves more than this share of its line rate.
BUSY_SHARE = 0.05
# Below this share of known time a window says nothing.
LEAST_COVERAGE = 0.5
_TOP_DECILE = 0.1


@dataclass(frozen=True, slots=True)
class WindowStatistics:
    """One direction of one rail over one window; rates in bytes per second.

    `duty` is the share of time above `BUSY_SHARE` of line rate, None while that is unknown.
    `coverage` is the share of the window for which a rate is known.
    """

    max: float
    top_decile: float
    mean: float
    std: float
    duty: float | None
    coverage: float


def window_end_after(wall_seconds: float, window_seconds: float) -> float:
    """End of the tumbling window that holds *wall_seconds*; windows align to the wall clock."""
    return (math.floor(wall_seconds / window_seconds) + 1.0) * window_seconds


def window_statistics(
    times: NDArray[np.float64],
    counter: NDArray[np.float64],
    start: float,
    end: float,
    line_rate: float | None,
) -> WindowStatistics | None:
    """Return the statistics of the samples in [*start*, *end*], or None with too little known.

    Parameters
    ----------
    times
        Shape (n,), seconds on the same clock as *start* and *end*, ascending. The last sample
        before *start* and the first after *end* belong to it: their intervals are cut at the edge.
    counter
        Shape (n,), cumulative bytes.
    start, end
        Edges of the window, seconds.
    line_rate
        Bytes per second, or None if unknown.
    """
    seconds, rates = interval_rates(times, counter)
    inside = np.minimum(times[1:], end) - np.maximum(times[:-1], start)
    known = (inside > 0) & (seconds > 0) & np.isfinite(rates)
    weights, rates = inside[known], rates[known]
    total = float(weights.sum())
    coverage = total / (end - start)
    if coverage < LEAST_COVERAGE:
        return None
    mean = float(np.dot(weights, rates)) / total
    variance = float(np.dot(weights, (rates - mean) ** 2)) / total
    duty = None if line_rate is None else _share_above(weights, rates, BUSY_SHARE * line_rate)
    return WindowStatistics(
        max=float(rates.max()),
        top_decile=_mean_of_top(weights, rates, _TOP_DECILE),
        mean=mean,
        std=variance**0.5,
        duty=duty,
        coverage=coverage,
    )


def _share_above(
    weights: NDArray[np.float64], rates: NDArray[np.float64], threshold: float
) -> float:
    return float(weights[rates > threshold].sum() / weights.sum())


def _mean_of_top(weights: NDArray[np.float64], rates: NDArray[np.float64], share: float) -> float:
    """Mean rate over the *share* of time in which the rate was highest."""
    order = np.argsort(rates)[::-1]
    wanted = share * weights.sum()
    before = np.cumsum(weights[order]) - weights[order]
    used = np.clip(wanted - before, 0.0, weights[order])
    return float(np.dot(used, rates[order]) / wanted)
