# SPDX-License-Identifier: Apache-2.0
"""What the time of steps was spent on: computing, moving bytes, neither."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

# Silence after the last bytes is waiting for input, until as much as this of a step was computed:
# parameters are updated before it.
_UPDATE: Final = 0.1


@dataclass(frozen=True, slots=True)
class Split:
    """Cells of time, one value a step; compute, exposed, stalled and idle add up to the step."""

    compute: NDArray[np.float64]
    communication: NDArray[np.float64]
    exposed: NDArray[np.float64]
    stalled: NDArray[np.float64]
    idle: NDArray[np.float64]


def added_up(
    cells: NDArray[np.float64], begins: NDArray[np.float64], ends: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Return the sum of *cells* from each of *begins* to its end, parts of cells included."""
    total = np.concatenate(((0.0,), np.cumsum(cells)))
    edges = np.arange(len(total), dtype=np.float64)
    return np.asarray(np.interp(ends, edges, total) - np.interp(begins, edges, total))


def split_steps(
    sending: NDArray[np.float64],
    computing: NDArray[np.float64],
    begins: NDArray[np.float64],
    ends: NDArray[np.float64],
) -> Split:
    """Return the parts of the steps between *begins* and *ends*, in cells; NaN where unknown."""
    exposed = np.minimum(sending, 1 - computing)
    neither = 1 - computing - exposed
    lengths = ends - begins
    compute = added_up(computing, begins, ends)
    bare = added_up(exposed, begins, ends)
    idle = added_up(neither * _is_before_work(sending, computing, begins, ends), begins, ends)
    stalled = np.maximum(lengths - compute - bare - idle, 0.0)
    return Split(compute, added_up(sending, begins, ends), bare, stalled, idle)


def _is_before_work(
    sending: NDArray[np.float64],
    computing: NDArray[np.float64],
    begins: NDArray[np.float64],
    ends: NDArray[np.float64],
) -> NDArray[np.bool_]:
    """Return the cells before which a step has hardly computed, nor sent, since it began."""
    cells = np.arange(len(sending))
    step = np.clip(np.searchsorted(begins, cells + 0.5) - 1, 0, len(begins) - 1)
    edges = np.arange(len(sending) + 1, dtype=np.float64)
    little = _UPDATE * (ends - begins)[step]
    before = np.ones(len(sending), dtype=bool)
    for work in (computing, sending):
        total = np.concatenate(((0.0,), np.cumsum(work)))
        before &= total[:-1] - np.interp(begins, edges, total)[step] <= little
    return before
