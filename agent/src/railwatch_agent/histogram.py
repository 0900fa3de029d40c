# SPDX-License-Identifier: Apache-2.0
"""A histogram that one thread fills and others read."""

from __future__ import annotations

import threading
from bisect import bisect_left
from collections import deque
from itertools import accumulate
from typing import TYPE_CHECKING

import numpy as np

from railwatch.catalogue.metric import Distribution

if TYPE_CHECKING:
    from numpy.typing import NDArray

_MOST_NOTED = 10_000


class Histogram:
    """Counts of values up to and including each of *edges*, and of those above."""

    def __init__(self, edges: tuple[float, ...]) -> None:
        self._edges = edges
        self._counts = [0] * (len(edges) + 1)
        self._sum = 0.0
        # Bounded, should nobody look for long; without edges there is nothing to look at.
        self._noted: deque[float] = deque(maxlen=_MOST_NOTED if edges else 0)
        self._lock = threading.Lock()
        self.note = self._noted.append
        """Have one value counted at the next `distribution`; one step, which waits for nobody."""

    def observe(self, value: float) -> None:
        """Count one value."""
        self._counts[bisect_left(self._edges, value)] += 1
        self._sum += value

    def observe_all(self, values: NDArray[np.float64]) -> None:
        """Count each of *values*."""
        found = np.searchsorted(np.asarray(self._edges), values, side="left")
        for index, count in enumerate(np.bincount(found, minlength=len(self._counts))):
            self._counts[index] += int(count)
        self._sum += float(values.sum())

    def distribution(self) -> Distribution:
        """Return the state as it is exposed: cumulative counts; for any thread."""
        with self._lock:
            for _ in range(len(self._noted)):
                self.observe(self._noted.popleft())
        *buckets, count = accumulate(self._counts)
        return Distribution(tuple(buckets), count, self._sum)
