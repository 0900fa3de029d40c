# SPDX-License-Identifier: Apache-2.0
"""Counters become rates here and nowhere else: deltas over the time that really passed.

A counter that fell has been reset: what happened in between is unknown, neither negative nor
2**64. Everything is float64, because float32 steps by 67 MB at 10**15.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray


def delta(before: float, after: float) -> float | None:
    """Return what a counter grew by, or None if it was reset in between."""
    return after - before if after >= before else None


def deltas(before: NDArray[np.float64], after: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return elementwise growth of counters, NaN where unknown (reset, or a side is NaN)."""
    grown = np.asarray(after, dtype=np.float64) - np.asarray(before, dtype=np.float64)
    return np.where(grown >= 0, grown, np.nan)


def interval_rates(
    times: NDArray[np.float64], counter: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the seconds and the rate of each interval between consecutive samples.

    Parameters
    ----------
    times
        Shape (n,), seconds, as the samples were taken.
    counter
        Shape (n,), cumulative.

    Returns
    -------
    seconds, rates
        Shape (max(n - 1, 0),) each. A rate is NaN where the counter was reset, where a sample is
        NaN, and where time did not advance (a repeated sample is not a new one).
    """
    seconds = np.diff(np.asarray(times, dtype=np.float64))
    grown = deltas(counter[:-1], counter[1:])
    known = seconds > 0
    return seconds, np.where(known, grown, np.nan) / np.where(known, seconds, 1.0)
