# SPDX-License-Identifier: Apache-2.0
"""The tape: fixed rings of timed fast samples, and the only seam between sampling and its readers.

A row is what was read at one moment of several rails. Its writer appends it to a deque, which is
one step of the interpreter and waits for nobody; whoever reads first sorts the rows into a ring for
each rail, under a lock that only readers take.
"""

from __future__ import annotations

import threading
from collections import Counter, deque
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray


Row: TypeAlias = "tuple[float, tuple[int, ...], Sequence[float]]"
"""A time, the rails that were read, and the values of each, one rail's after the other's."""


@dataclass(frozen=True, slots=True)
class Slice:
    """Consecutive samples of one rail, oldest first; NaN where a value is unknown.

    `times` are seconds of CLOCK_MONOTONIC, each taken when its sample was read.
    """

    times: NDArray[np.float64]
    receive_bytes: NDArray[np.float64]
    transmit_bytes: NDArray[np.float64]

    def __len__(self) -> int:
        return len(self.times)

    def until(self, time: float) -> Slice:
        """Return the samples up to *time*."""
        end = int(np.searchsorted(self.times, time, side="right"))
        return Slice(self.times[:end], self.receive_bytes[:end], self.transmit_bytes[:end])


class Ring:
    """The newest *capacity* columns of numbers, the first of each its time; for one thread."""

    # float64 holds every byte up to 2**53; past that (two days at 400 Gbit/s) a counter is known to
    # 2 or 4 bytes, which no rate can tell.
    def __init__(self, rows: int, capacity: int) -> None:
        self._cells = np.zeros((rows, capacity))
        self._capacity = capacity
        self._written = 0

    def extend(self, block: NDArray[np.float64]) -> None:
        """Add the columns of *block*, shape (rows, n); their times do not go back."""
        block = block[:, -self._capacity :]
        at = np.arange(self._written, self._written + block.shape[1]) % self._capacity
        self._cells[:, at] = block
        self._written += block.shape[1]

    def newest(self) -> list[float] | None:
        """Return the newest column."""
        if self._written == 0:
            return None
        column: list[float] = self._cells[:, (self._written - 1) % self._capacity].tolist()
        return column

    def since(self, time: float) -> NDArray[np.float64]:
        """Return a copy of the columns of *time* or later, oldest first."""
        head = self._written % self._capacity
        newer = self._cells[:, :head]
        first = int(np.searchsorted(newer[0], time))
        if first > 0 or self._written < self._capacity:
            return newer[:, first:].copy()
        older = self._cells[:, head:]
        first = int(np.searchsorted(older[0], time))
        return np.concatenate((older[:, first:], newer), axis=1)


class Channel:
    """Rows of one kind, *width* values a rail: one thread writes them, any thread reads them."""

    def __init__(self, width: int, capacity: int) -> None:
        self._width = width
        self._capacity = capacity
        # Bounded, should nobody read for long.
        self._pending: deque[Row] = deque(maxlen=capacity)
        self.append = self._pending.append
        """Add what was read at a time, which does not go back; one step, which never waits."""
        self._rings: dict[int, Ring] = {}
        self._counts: Counter[int] = Counter()
        self._lock = threading.Lock()

    def newest(self, rail: int) -> list[float] | None:
        """Return the newest sample of *rail*, its time first."""
        with self._lock:
            self._sort()
            ring = self._rings.get(rail)
            return None if ring is None else ring.newest()

    def since(self, rail: int, time: float) -> NDArray[np.float64]:
        """Return the samples of *rail* of *time* or later: shape (1 + width, n), times first."""
        with self._lock:
            self._sort()
            ring = self._rings.get(rail)
            return np.empty((1 + self._width, 0)) if ring is None else ring.since(time)

    def count(self, rail: int) -> int:
        """Return how many samples of *rail* there have been, gaps left out."""
        with self._lock:
            self._sort()
            return self._counts[rail]

    def _sort(self) -> None:
        """Put what is pending into the rings, rows of the same rails together."""
        times: list[float] = []
        rows: list[Sequence[float]] = []
        rails: tuple[int, ...] = ()
        # Only what is there now: the writer goes on meanwhile.
        for _ in range(len(self._pending)):
            time, of, values = self._pending.popleft()
            if of != rails and rows:
                self._extend(times, rails, rows)
                times, rows = [], []
            rails = of
            times.append(time)
            rows.append(values)
        if rows:
            self._extend(times, rails, rows)

    def _extend(
        self, times: list[float], rails: tuple[int, ...], rows: list[Sequence[float]]
    ) -> None:
        values = np.array(rows, dtype=np.float64).reshape(len(rows), len(rails), self._width)
        for at, rail in enumerate(rails):
            ring = self._rings.get(rail)
            if ring is None:
                ring = self._rings[rail] = Ring(1 + self._width, self._capacity)
            ring.extend(np.vstack((times, values[:, at].T)))
            self._counts[rail] += int(np.isfinite(values[:, at, 0]).sum())


class Track:
    """The bytes of one rail, as the readers of a tape see them."""

    def __init__(self, channel: Channel, rail: int) -> None:
        self._channel = channel
        self._rail = rail

    def append(self, time: float, receive: float, transmit: float) -> None:
        """Add a sample of this rail alone."""
        self._channel.append((time, (self._rail,), (receive, transmit)))

    def append_gap(self, time: float) -> None:
        """Say that what was counted before *time* and after has nothing to do with each other."""
        self.append(time, np.nan, np.nan)

    def newest(self) -> list[float] | None:
        """Return the newest sample: time, bytes received, bytes sent."""
        return self._channel.newest(self._rail)

    def slice(self, since: float) -> Slice:
        """Return copies of the samples taken at *since* or later."""
        return Slice(*self._channel.since(self._rail, since))


class Tape:
    """What fast sampling reads of each rail, *capacity* samples of it.

    `bytes` holds bytes received and sent, `queues` bytes that waited in front of the rail.
    """

    def __init__(self, capacity: int) -> None:
        if capacity < 2:
            raise ValueError(f"capacity must be at least 2, got {capacity!r}")
        self.bytes = Channel(2, capacity)
        self.queues = Channel(1, capacity)

    def track(self, rail: int) -> Track:
        """Return the bytes of *rail*, none if nothing was written yet."""
        return Track(self.bytes, rail)
