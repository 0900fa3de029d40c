# SPDX-License-Identifier: Apache-2.0
"""Where a job sends nothing: silences that belong to its rhythm, and pauses, which do not."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np

from railwatch_agent.steps.occupancy import moves

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from railwatch_agent.steps.occupancy import Levels

# A silence is a pause if it is longer than so many periods, and than this.
_PAUSE_PERIODS: Final = 2.5
_PAUSE_SECONDS: Final = 3.0
# While no period is known: so much longer than the third longest silence.
_PAUSE_FACTOR: Final = 3.0


@dataclass(frozen=True, slots=True)
class Silences:
    """What follows the last pause, how long nothing has moved by now, and gaps since that pause.

    All in cells. The usual gap is the third longest: a first step or one hiccup may take longer.
    """

    since_pause: int
    trailing: int
    longest: int = 0
    usual: int = 0


def find_silences(
    cells: NDArray[np.float64], burst: Levels, period: float | None, cell_seconds: float
) -> Silences:
    """Return where nothing moved; *period* is in cells. What is unknown is no silence."""
    moving = np.flatnonzero(moves(cells, burst) | np.isnan(cells))
    if not len(moving):
        return Silences(0, len(cells))
    gaps = np.diff(moving, prepend=-1) - 1
    shortest = _PAUSE_SECONDS / cell_seconds
    if period is None:
        shortest = max(shortest, _PAUSE_FACTOR * _third_longest(gaps))
    else:
        shortest = max(shortest, _PAUSE_PERIODS * period)
    pauses = np.flatnonzero(gaps > shortest)
    first = int(pauses[-1]) if len(pauses) else 0
    return Silences(
        len(cells) - int(moving[first]) if len(pauses) else len(cells),
        len(cells) - 1 - int(moving[-1]),
        int(gaps[first + 1 :].max(initial=0)),
        _third_longest(gaps[first + 1 :]),
    )


def _third_longest(gaps: NDArray[np.int64]) -> int:
    return int(np.partition(gaps, -3)[-3]) if len(gaps) >= 3 else 0


def is_pause(silent: int, period: float | None, cell_seconds: float) -> bool:
    """Whether so many silent cells at the end are one already."""
    longest = _PAUSE_SECONDS / cell_seconds
    return silent > max(longest, _PAUSE_PERIODS * period if period else 5 * longest)
