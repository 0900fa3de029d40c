# SPDX-License-Identifier: Apache-2.0
"""How late the compute signal is, against the bytes: where their two silences fit best.

When its last bytes are sent a rank computes again: the least time in which neither moves is left
where the signal is moved back by its lag. It is added up over many steps, each from its own
boundary, which is the cross-correlation of the two silences folded by phase. A step that waits for
its input after the last bytes looks as if the signal were late; both together are then the lag.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

# Looked for up to this share of a step.
FURTHEST: Final = 0.2
# Steps over which the silences are added up: fewer are not enough, more say nothing more.
LEAST_STEPS: Final = 4
MOST_STEPS: Final = 60
_MOST_SHIFTS: Final = 40
# Silence that a shift may leave over the best, as a share of what the best takes away.
_NEARLY: Final = 0.1
# Of a GPU that waits for less than this share, no lag can change much.
_HARDLY_WAITS: Final = 0.04
# A silence shorter than this share of a step is no lag.
_NOTHING: Final = 0.01
# What waits for others within a step is silent too, and differs from shift to shift by chance.
_NO_MORE_THAN_NOISE: Final = 0.12


@dataclass(frozen=True, slots=True)
class Lag:
    """The lag in cells, and over how many steps it was found."""

    cells: float
    steps: int


def find_lag(
    sending: NDArray[np.float64],
    computing: NDArray[np.float64],
    boundaries: NDArray[np.float64],
    *,
    period: float,
    earliest: int = 0,
) -> Lag | None:
    """Return the lag of *computing*, in cells and at least *earliest* (negative: it is early).

    None where too few steps of it are known.
    """
    furthest = max(round(FURTHEST * period), 1)
    chosen = boundaries[-MOST_STEPS - 1 :]
    if len(chosen) <= LEAST_STEPS:
        return None
    stride = max(furthest // _MOST_SHIFTS, 1)
    # Two shifts too early tell how much silence a shift takes away.
    shifts = np.arange(earliest - 2 * stride, furthest + 1, stride)
    low = max(int(chosen[0]), -int(shifts[0]))
    high = min(int(chosen[-1]), len(computing) - furthest - 1)
    steps = (high - low) / period
    if steps < LEAST_STEPS:
        return None
    quiet, waiting = 1 - sending[low:high], 1 - computing
    known = waiting[low:high][np.isfinite(waiting[low:high])]
    if not len(known):
        return None
    if float(known.mean()) < _HARDLY_WAITS:
        return Lag(0.0, int(steps))
    silence = np.array([_silence(quiet, waiting[low + s : high + s]) for s in shifts]) / steps
    if not np.isfinite(silence).all():
        return None
    at = _first_fit(silence, stride, period)
    return Lag(0.0 if at is None else earliest + at, int(steps))


def _silence(quiet: NDArray[np.float64], waiting: NDArray[np.float64]) -> float:
    both = quiet * waiting
    known = np.isfinite(both)
    count = np.count_nonzero(known)
    if count < len(both) / 2:
        return float("nan")
    return float(both[known].sum()) * len(both) / count


def _first_fit(silence: NDArray[np.float64], stride: int, period: float) -> float | None:
    """Return after how many cells nearly all is gone that can go; None if nothing can.

    The first two values are from before that is looked for.
    """
    least = float(silence.min())
    taken = float(silence[2]) - least
    slope = float(silence[0] - silence[2]) / (2 * stride)
    near = int(np.argmax(silence[2:] <= least + _NEARLY * max(taken, 0.0))) * stride
    if taken < max(_NOTHING * period, _NO_MORE_THAN_NOISE * float(silence[2])):
        return None
    # The slope carried on to the bottom: what is left near there is rounded by noise and blur.
    return min(taken / slope, float(near + stride)) if slope > 0 else float(near)
