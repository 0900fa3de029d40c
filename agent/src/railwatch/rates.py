# SPDX-License-Identifier: Apache-2.0
"""Counters become rates here and nowhere else: deltas over the time that really passed.

A counter that fell has been reset: what happened in between is unknown, neither negative nor
2**64. Everything is float64, because float32 steps by 67 MB at 10**15.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

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


def unwrapped(before: int | None, reading: int, bits: int) -> int:
    """Return what a counter of so many bits would say had it more; *before* was returned last.

    A fall is a wrap if the counter then grew by less than half its range, else it is a reset and a
    fall of the answer too. A wrap can only be told of a counter that is read at least twice in the
    time in which it could wrap.

    >>> unwrapped(2**32 - 10, 5, bits=32) - 2**32
    5
    >>> unwrapped(7000, 5, bits=32)
    5
    """
    if before is None:
        return reading
    grown = (reading - before) % (1 << bits)
    return before + grown if grown < 1 << bits - 1 else reading


class Accumulator:
    """The total of a counter that several components make up, each of which may be reset alone.

    As long as only one component was ever known, the total is what it says, and a reset of it is a
    fall. From the second on it is a sum: it begins at the sum of what the components say, grows
    with each of them, and goes on when one is reset or is unknown for a while. A component that
    comes later adds what it grows by from then on, or its whole past would be a burst; so does one
    that was reset, as what it counted in between is unknown.
    """

    __slots__ = ("_is_sum", "_latest", "_total")

    def __init__(self) -> None:
        self._latest: list[float | None] = []
        self._total: float = 0
        self._is_sum = False

    def update(self, values: Sequence[float | None]) -> float:
        """Return the total after *values*, a component each, None where unknown.

        Positions stay; more may follow at the end. Integers stay integers.
        """
        latest = self._latest
        if len(latest) < len(values):
            latest.extend([None] * (len(values) - len(latest)))
        if not self._is_sum and not self._begins_sum(values):
            return self._total
        for at, value in enumerate(values):
            if value is not None:
                before = latest[at]
                if before is not None and value > before:
                    self._total += value - before
                latest[at] = value
        return self._total

    def _begins_sum(self, values: Sequence[float | None]) -> bool:
        """Whether *values* make more than one component known; else follow the one there is."""
        latest = self._latest
        known = {at: value for at, value in enumerate(values) if value is not None}
        seen = {at for at, value in enumerate(latest) if value is not None}
        if len(known.keys() | seen) > 1:
            self._is_sum = True
            if not seen:
                self._total = sum(known.values())
            return True
        for at, value in known.items():
            latest[at] = self._total = value
        return False
