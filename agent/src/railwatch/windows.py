# SPDX-License-Identifier: Apache-2.0
"""What a window of fast samples says about a rail: peak, top decile, spread and duty.

Pure, and the same on a node as on a recorded trace. Samples may be irregular, so every statistic
weighs a rate by the time it lasted.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from railwatch.rates import interval_rates

if TYPE_CHECKING:
    from collections.abc import Sequence

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


class Counted(NamedTuple):
    """A counter and its times, as for `window_statistics`, and its line rate, None if unknown."""

    times: NDArray[np.float64]
    counter: NDArray[np.float64]
    line_rate: float | None


@dataclass(frozen=True, slots=True)
class WindowTable:
    """`WindowStatistics` of consecutive windows, shape (windows,) each.

    NaN where too little is known; `duty` also where line rate is not. `coverage` is never NaN.
    """

    max: NDArray[np.float64]
    top_decile: NDArray[np.float64]
    mean: NDArray[np.float64]
    std: NDArray[np.float64]
    duty: NDArray[np.float64]
    coverage: NDArray[np.float64]


def window_end_after(wall_seconds: float, window_seconds: float) -> float:
    """End of the tumbling window that holds *wall_seconds*; windows align to the wall clock."""
    return (math.floor(wall_seconds / window_seconds) + 1.0) * window_seconds


def window_statistics(
    times: NDArray[np.float64],
    counter: NDArray[np.float64],
    start: float,
    end: float,
    line_rate: float | None,
    *,
    longest_interval: float = math.inf,
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
    longest_interval
        As for `window_table`.
    """
    counters = [Counted(times, counter, line_rate)]
    return statistics_of_counters(counters, start, end, longest_interval=longest_interval)[0]


def statistics_of_counters(
    counters: Sequence[Counted], start: float, end: float, *, longest_interval: float = math.inf
) -> list[WindowStatistics | None]:
    """Return `window_statistics` of each of *counters*; of many at once for little more."""
    if not counters:
        return []
    edges = np.array([start, end])
    pieces = _joined([_cut(of.times, of.counter, edges, None, longest_interval) for of in counters])
    rates = np.array([np.nan if of.line_rate is None else of.line_rate for of in counters])
    table = _table(pieces, np.full(len(counters), end - start), rates)
    return [
        None if math.isnan(table.mean[at]) else _row(table, at, of.line_rate)
        for at, of in enumerate(counters)
    ]


def _row(table: WindowTable, at: int, line_rate: float | None) -> WindowStatistics:
    return WindowStatistics(
        max=float(table.max[at]),
        top_decile=float(table.top_decile[at]),
        mean=float(table.mean[at]),
        std=float(table.std[at]),
        duty=None if line_rate is None else float(table.duty[at]),
        coverage=float(table.coverage[at]),
    )


def window_table(
    times: NDArray[np.float64],
    counter: NDArray[np.float64],
    edges: NDArray[np.float64],
    line_rates: NDArray[np.float64],
    known_by: NDArray[np.float64] | None = None,
    longest_interval: float = math.inf,
) -> WindowTable:
    """Return the statistics of the windows between consecutive *edges*, all at once.

    Parameters
    ----------
    times, counter
        As for `window_statistics`.
    edges
        Shape (windows + 1,), seconds, ascending.
    line_rates
        Shape (windows,), bytes per second, NaN if unknown.
    known_by
        Shape (windows,), seconds: a window uses no sample taken after this, so that a recorded
        trace tells no more than was known at the time. By default all samples are used.
    longest_interval
        Seconds. The rate over a longer interval is an average that hides the bursts within, so
        it counts as unknown: a gap would otherwise look like a link that has become slower.
    """
    pieces = _cut(times, counter, edges, known_by, longest_interval)
    return _table(pieces, np.diff(edges), line_rates)


def _table(
    pieces: _Pieces, lengths: NDArray[np.float64], line_rates: NDArray[np.float64]
) -> WindowTable:
    """Return the statistics of windows of these *lengths*, seconds."""
    total = pieces.sums(pieces.weights)
    coverage = total / lengths
    total[coverage < LEAST_COVERAGE] = np.nan
    mean = pieces.sums(pieces.weights * pieces.rates) / total
    variance = pieces.sums(pieces.weights * (pieces.rates - mean[pieces.window]) ** 2) / total
    busy = pieces.rates > BUSY_SHARE * line_rates[pieces.window]
    highest, top_decile = _tops(pieces, total)
    return WindowTable(
        max=highest,
        top_decile=top_decile,
        mean=mean,
        std=np.sqrt(variance),
        duty=np.where(np.isnan(line_rates), np.nan, pieces.sums(pieces.weights * busy) / total),
        coverage=coverage,
    )


@dataclass(frozen=True, slots=True)
class _Pieces:
    """Stretches of time that lie in one window and between two samples, in order of window."""

    windows: int
    window: NDArray[np.intp]
    weights: NDArray[np.float64]
    rates: NDArray[np.float64]

    def sums(self, values: NDArray[np.float64]) -> NDArray[np.float64]:
        """Sum of *values*, one a piece, in each window."""
        sums = np.bincount(self.window, weights=values, minlength=self.windows)
        # Without any piece bincount answers in integers.
        return sums.astype(np.float64)


def _joined(parts: Sequence[_Pieces]) -> _Pieces:
    """Return the pieces of several counters, whose windows follow each other."""
    firsts = np.cumsum([0, *(part.windows for part in parts)])
    return _Pieces(
        int(firsts[-1]),
        np.concatenate([part.window + first for part, first in zip(parts, firsts, strict=False)]),
        np.concatenate([part.weights for part in parts]),
        np.concatenate([part.rates for part in parts]),
    )


def _cut(
    times: NDArray[np.float64],
    counter: NDArray[np.float64],
    edges: NDArray[np.float64],
    known_by: NDArray[np.float64] | None,
    longest_interval: float,
) -> _Pieces:
    """Cut the known intervals between samples at the edges of the windows."""
    seconds, rates = interval_rates(times, counter)
    rates = np.where(seconds <= longest_interval, rates, np.nan)
    within = times[(times > edges[0]) & (times < edges[-1])]
    cuts = np.sort(np.concatenate((edges, within)))
    begin, weights = cuts[:-1], np.diff(cuts)
    interval = np.searchsorted(times, begin, side="right") - 1
    window = np.searchsorted(edges, begin, side="right") - 1
    known = (weights > 0) & (interval >= 0) & (interval < len(rates))
    interval, window, weights = interval[known], window[known], weights[known]
    known = np.isfinite(rates[interval])
    if known_by is not None:
        known &= times[interval + 1] <= known_by[window]
    return _Pieces(len(edges) - 1, window[known], weights[known], rates[interval[known]])


def _tops(
    pieces: _Pieces, total: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Highest rate of each window, and the mean over the tenth of time with the highest rates.

    *total* is the known time of each window, NaN where that is too little.
    """
    highest = np.full(pieces.windows, np.nan)
    order = np.lexsort((-pieces.rates, pieces.window))
    window, weights, rates = pieces.window[order], pieces.weights[order], pieces.rates[order]
    present, first = np.unique(window, return_index=True)
    highest[present] = rates[first]
    highest[np.isnan(total)] = np.nan
    before = np.cumsum(weights) - weights
    before -= np.repeat(before[first], np.diff(np.append(first, len(window))))
    wanted = _TOP_DECILE * total
    used = np.clip(wanted[window] - before, 0.0, weights)
    return highest, pieces.sums(used * rates) / wanted
