# SPDX-License-Identifier: Apache-2.0
"""How much of each cell the rails move bytes, and how much of it the GPUs compute: shares 0 to 1.

Cells are as long as a sample, and what begins or ends within one fills a part of it; to count such
cells whole would make every burst a cell longer than it is.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

# Rates below this share of a burst's are others' traffic and acknowledgements.
_QUIET: Final = 0.06
# A floor that is always there is background, if it is a small part of a burst.
_MOST_BACKGROUND: Final = 0.25
# A signal that varies by less than this share of its top says that the GPUs compute throughout.
_FLAT: Final = 0.2
# What a share of busy multiprocessors falls to while a collective waits, as a share of its top.
_WAITING: Final = 0.1
# What is within a tenth of either level is at it.
_CLEAR: Final = 1.25
_TOP_PERCENT: Final = 95.0
_BOTTOM_PERCENT: Final = 2.0


@dataclass(frozen=True, slots=True)
class Levels:
    """What the signal says while the GPUs wait and while they compute."""

    waiting: float
    busy: float

    @property
    def is_flat(self) -> bool:
        """Whether the GPUs never seem to wait."""
        return self.busy - self.waiting <= _FLAT * self.busy


def burst_of(cells: NDArray[np.float64]) -> Levels | None:
    """Return the bytes of a cell in silence and in a burst; None where nothing moves at all.

    Computing is not meant here: `busy` is a burst, `waiting` what is there all the time.
    """
    known = cells[np.isfinite(cells)]
    if not len(known):
        return None
    low, high = np.percentile(known, (_BOTTOM_PERCENT, _TOP_PERCENT)).tolist()
    high = max(high, float(known.max()) / 4)
    if high <= 0:
        return None
    return Levels(low if low < _MOST_BACKGROUND * high else 0.0, high)


def moves(cells: NDArray[np.float64], burst: Levels) -> NDArray[np.bool_]:
    """Return the cells in which more moves than the background."""
    return np.asarray(cells - burst.waiting > _QUIET * (burst.busy - burst.waiting))


def sending(cells: NDArray[np.float64], burst: Levels) -> NDArray[np.float64]:
    """Return the share of each cell in which bytes move; 0 where that is unknown."""
    is_moving = moves(cells, burst)
    rate = np.where(is_moving, cells - burst.waiting, 0.0)
    before = np.concatenate(((0.0,), rate[:-1]))
    after = np.concatenate((rate[1:], (0.0,)))
    # The first and the last cell of a burst are as full as the next inner one is fast.
    inner = np.maximum(before, after)
    is_edge = (before == 0) | (after == 0)
    full = np.where(inner == 0, burst.busy - burst.waiting, inner)
    part = np.minimum(rate / np.maximum(full, 1.0), 1.0)
    return np.where(is_edge, part, is_moving * 1.0)


def levels_of(
    activity: NDArray[np.float64], moving: NDArray[np.bool_], *, is_share: bool
) -> Levels | None:
    """Return the levels of a signal, None of one that is nowhere known.

    A share of busy multiprocessors is near 0 while GPUs wait. Watts have a floor, and a collective
    that waits or moves bytes draws more: what is usual in those cells that are *moving* and do not
    compute is waiting, and so is what is below that, as before the job and in its pauses.
    """
    is_known = np.isfinite(activity)
    known = activity[is_known]
    if not len(known):
        return None
    low, high = np.percentile(known, (_BOTTOM_PERCENT, _TOP_PERCENT)).tolist()
    if is_share:
        return Levels(min(low, _WAITING * high), high)
    communicating = activity[is_known & moving]
    exposed = communicating[communicating < (low + high) / 2]
    # Of hidden communication only slopes are left.
    if len(exposed) * 100.0 > _BOTTOM_PERCENT * len(communicating):
        low = max(low, float(np.median(exposed)))
    return Levels(low, high)


def computing(
    activity: NDArray[np.float64], levels: Levels, blur_cells: float
) -> NDArray[np.float64]:
    """Return the share of each cell in which GPUs compute; NaN where the signal is unknown.

    A signal that averages over *blur_cells* turns an edge into a slope of that length, whose middle
    is where the edge was: the slope is made steep again around there.
    """
    if levels.is_flat:
        return np.where(np.isfinite(activity), 1.0, np.nan)
    share = (activity - levels.waiting) / (levels.busy - levels.waiting)
    steepness = _CLEAR * max(blur_cells, 1.0)
    steep: NDArray[np.float64] = np.clip(0.5 + (share - 0.5) * steepness, 0.0, 1.0)
    return steep
