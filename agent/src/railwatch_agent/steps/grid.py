# SPDX-License-Identifier: Apache-2.0
"""Samples taken at uneven times, put onto cells of equal length: bytes are conserved.

NaN is unknown: a cell that touches a gap on the tape, a reset, or a time that nobody sampled.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray


def bytes_of_cells(
    times: NDArray[np.float64],
    counter: NDArray[np.float64],
    edges: NDArray[np.float64],
    longest_interval: float,
) -> NDArray[np.float64]:
    """Return what *counter* grew by in each cell between *edges*, even within a sample's interval.

    An interval longer than *longest_interval* hides what happened in it, and is unknown.
    """
    known = np.flatnonzero(np.isfinite(counter))
    if len(known) < 2:
        return np.full(len(edges) - 1, np.nan)
    at, values = times[known], counter[known]
    seconds, grown = np.diff(at), np.diff(values)
    broken = (grown < 0) | (seconds > longest_interval) | (np.diff(known) > 1)
    total = np.concatenate(((0.0,), np.cumsum(np.where(broken, 0.0, grown))))
    cells = np.diff(np.interp(edges, at, total))
    if broken.any():
        lost = np.concatenate(((0.0,), np.cumsum(np.where(broken, seconds, 0.0))))
        cells[np.diff(np.interp(edges, at, lost)) > 0] = np.nan
    cells[(edges[:-1] < at[0]) | (edges[1:] > at[-1])] = np.nan
    return cells


def values_at(
    times: NDArray[np.float64],
    values: NDArray[np.float64],
    wanted: NDArray[np.float64],
    longest_interval: float,
) -> NDArray[np.float64]:
    """Return *values* between their samples, straight from one to the next; NaN within gaps."""
    known = np.isfinite(values)
    at = times[known]
    if len(at) < 2:
        return np.full(len(wanted), np.nan)
    found = np.interp(wanted, at, values[known], left=np.nan, right=np.nan)
    after = np.clip(np.searchsorted(at, wanted), 1, len(at) - 1)
    found[at[after] - at[after - 1] > longest_interval] = np.nan
    return found


def shifted(cells: NDArray[np.float64], start: float, count: int) -> NDArray[np.float64]:
    """Return *count* cells from *start* on, which may be within one; NaN where there are none."""
    whole = math.floor(start)
    held = np.full(count + 1, np.nan)
    part = cells[max(whole, 0) : whole + count + 1]
    held[max(-whole, 0) : max(-whole, 0) + len(part)] = part
    inner = start - whole
    return held[:-1] * (1 - inner) + held[1:] * inner if inner else held[:-1]
