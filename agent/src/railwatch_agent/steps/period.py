# SPDX-License-Identifier: Apache-2.0
"""The length of a step, from the rhythm of the bytes sent: autocorrelation with a harmonic guard.

A true period has a peak as high as any other, and none as high before it: micro-batches inside a
step repeat too, but less well than the steps; twice the step repeats no better. So the first peak
that nearly reaches the best one is the step. Peaks near its multiples, as far as they hold, say how
long it is to much less than a cell.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np

from railwatch.catalogue.step import Unresolved

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

LEAST_PERIODS: Final = 4
# Two peaks that differ by less than so many standard deviations of chance are as good.
_DIFFERENCE: Final = 2.0
# Below this, what repeats explains too little of the traffic.
LEAST_HEIGHT: Final = 0.3
_PLAIN_HEIGHT: Final = 0.5
# Few cells have peaks by chance: of so many times their standard deviation.
_CHANCE: Final = 8.0
# How much longer the cells of coarser levels are, and cells a step that make them worth while.
_COARSER: Final = (2, 4, 8, 16)
_MANY_CELLS: Final = 16
# Share of the best peak that makes an earlier one as good.
_AS_GOOD: Final = 0.88
# With fewer samples a step its shape cannot be told from its harmonics.
LEAST_SAMPLES: Final = 3.8
# A peak is looked for within this share of the period around where it is expected.
_NEARBY: Final = 0.2
# Peaks at multiples say more of the length as long as they keep this share of the first's height.
_HOLDS: Final = 0.6
# What is unknown is left out, but not if it is most of it.
_MOST_UNKNOWN: Final = 0.5


@dataclass(frozen=True, slots=True)
class Period:
    """The length of a step, the height of its peak, and over how many periods peaks held."""

    seconds: float
    confidence: float
    multiples: int


@dataclass(frozen=True, slots=True)
class Stretch:
    """Bytes in cells of *cell_seconds*, from samples that came every *sample_seconds*."""

    cells: NDArray[np.float64]
    cell_seconds: float
    sample_seconds: float

    @property
    def seconds(self) -> float:
        """How long it is."""
        return len(self.cells) * self.cell_seconds

    def coarser(self, times: int) -> Stretch:
        """Return it in cells so many times as long; a part of one at its beginning is left out."""
        count = len(self.cells) // times
        cells = self.cells[len(self.cells) - count * times :].reshape(count, times).sum(axis=1)
        return Stretch(cells, times * self.cell_seconds, self.sample_seconds)

    def newest(self, seconds: float) -> Stretch:
        """Return the end of it."""
        length = max(round(seconds / self.cell_seconds), 1)
        return Stretch(self.cells[-length:], self.cell_seconds, self.sample_seconds)


def find_period(stretch: Stretch) -> Period | Unresolved:
    """Return the period of a stretch, or why there is none."""
    seconds = _first_guess(stretch)
    if seconds is None:
        return Unresolved.NOISE
    return find_period_near(stretch, seconds)


def _first_guess(stretch: Stretch) -> float | None:
    """Return about how long a step is.

    A step of many cells is looked for in coarser ones: what is narrow may meet itself in no cell a
    step later, as steps differ or are no whole number of cells, but in one two steps later.
    """
    guess = None
    height = 0.0
    for level in _levels(stretch):
        heights = autocorrelation(level.cells, len(level.cells) // 2)
        lag = None if heights is None else _first_good_peak(heights, len(level.cells))
        if heights is not None and lag is not None:
            guess, height = lag * level.cell_seconds, float(heights[lag])
            if lag <= _MANY_CELLS:
                break
        elif guess is not None:
            # What coarser cells do not show has to be plain in the finer ones.
            return guess if height >= _PLAIN_HEIGHT else None
    return guess


def find_period_near(stretch: Stretch, guess_seconds: float) -> Period | Unresolved:
    """Return the period of a stretch next to one that is known, or why there is none."""
    if stretch.seconds < LEAST_PERIODS * guess_seconds:
        return Unresolved.WARM_UP
    found: Period | Unresolved = Unresolved.NOISE
    for level in _levels(stretch):
        lag = round(guess_seconds / level.cell_seconds)
        heights = autocorrelation(level.cells, len(level.cells) // 2)
        if heights is not None and (level is stretch or lag >= LEAST_SAMPLES):
            found = _refined(heights, lag, level)
        if found is not Unresolved.NOISE:
            break
    return found


def _levels(stretch: Stretch) -> Iterator[Stretch]:
    yield stretch
    for times in _COARSER:
        yield stretch.coarser(times)


def autocorrelation(cells: NDArray[np.float64], longest: int) -> NDArray[np.float64] | None:
    """Return the autocorrelation at lags up to *longest*; None of what does not vary.

    Smoothed over three cells, so that a period which is no whole number of cells has a peak as high
    as its multiples have.
    """
    known = np.isfinite(cells)
    count = np.count_nonzero(known)
    if longest < 3 or count < _MOST_UNKNOWN * len(cells):
        return None
    size = _quick_size(len(cells) + longest + 2)
    varying = np.where(known, cells, 0.0)
    varying[known] -= varying.sum() / count
    power = np.abs(np.fft.rfft(varying, size)) ** 2
    power *= np.cos(np.linspace(0.0, np.pi / 2, len(power))) ** 4
    products = np.fft.irfft(power, size)[: longest + 1]
    if count == len(cells):
        pairs = np.arange(count, count - longest - 1, -1.0)
    else:
        both = np.fft.irfft(np.abs(np.fft.rfft(known * 1.0, size)) ** 2, size)[: longest + 1]
        pairs = np.maximum(both, 1.0)
    if not products[0] > 0:
        return None
    heights: NDArray[np.float64] = products / pairs
    heights /= heights[0]
    return heights


def _quick_size(least: int) -> int:
    """Return a size not much above *least* whose transform is quick: of small factors."""
    power = 1 << max(least.bit_length() - 3, 0)
    return -(-least // power) * power


def _first_good_peak(heights: NDArray[np.float64], count: int) -> int | None:
    """Return the lag of the first peak that nearly reaches the best one, of *count* cells."""
    below = np.flatnonzero(heights < 0)
    if not len(below):
        return None
    inner = heights[below[0] : -1]
    is_peak = (inner[1:] >= heights[below[0] + 2 :]) & (inner[1:] > inner[:-1])
    lags = np.flatnonzero(is_peak) + below[0] + 1
    if not len(lags):
        return None
    tops = heights[lags]
    # A parabola through three points: how high the peak is between cells.
    before, after = heights[lags - 1], heights[lags + 1]
    bend = np.maximum(2 * tops - before - after, 1e-12)
    tops = tops + (after - before) ** 2 / (8 * bend)
    best = tops.max()
    if best < max(LEAST_HEIGHT, _CHANCE / math.sqrt(count)):
        return None
    as_good = min(_AS_GOOD, 1 - _DIFFERENCE / (math.sqrt(count) * best))
    return int(lags[np.argmax(tops >= as_good * best)])


def _refined(heights: NDArray[np.float64], lag: int, stretch: Stretch) -> Period | Unresolved:
    peak = _peak_near(heights, lag)
    if peak is None or peak[1] < LEAST_HEIGHT:
        return Unresolved.NOISE
    cells, height = peak
    multiples, reach = 1, 2
    while (nearby := _peak_near(heights, cells * reach, cells)) is not None:
        if nearby[1] < _HOLDS * height:
            break
        cells, multiples = nearby[0] / reach, reach
        reach *= 2
    seconds = cells * stretch.cell_seconds
    if seconds < LEAST_SAMPLES * stretch.sample_seconds:
        return Unresolved.SAMPLING
    return Period(seconds, min(height, 1.0), multiples)


def _peak_near(
    heights: NDArray[np.float64], lag: float, period: float | None = None
) -> tuple[float, float] | None:
    """Return where the highest peak near *lag* is, between cells, and how high."""
    reach = max(_NEARBY * (period or lag), 1.0)
    low, high = round(lag - reach), round(lag + reach) + 1
    if low < 1 or high >= len(heights):
        return None
    top = low + int(np.argmax(heights[low:high]))
    before, at, after = heights[top - 1 : top + 2].tolist()
    bend = before - 2 * at + after
    if bend >= 0:
        return None
    offset = min(max((before - after) / (2 * bend), -0.5), 0.5)
    return top + offset, at - (before - after) * offset / 4
