# SPDX-License-Identifier: Apache-2.0
"""The tape: a fixed ring of timed fast samples, one track per rail.

It is the only seam between fast sampling and everything that looks at its samples. A track has one
writer and any number of readers, and no lock: a reader copies, then looks how far the writer has
come, and drops what may have been overwritten under its hands.
"""

from __future__ import annotations

from array import array
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray


@dataclass(frozen=True, slots=True)
class Slice:
    """Consecutive samples of one rail, oldest first; NaN where a value is unknown.

    `times` are seconds of CLOCK_MONOTONIC, each taken when its sample was read.
    """

    times: NDArray[np.float64]
    receive_bytes: NDArray[np.float64]
    transmit_bytes: NDArray[np.float64]
    queue_backlog_bytes: NDArray[np.float64]

    def __len__(self) -> int:
        return len(self.times)


class Track:
    """The newest *capacity* samples of one rail."""

    # float64 holds every byte up to 2**53; past that (two days at 400 Gbit/s) a counter is known to
    # 2 or 4 bytes, which no rate can tell.
    def __init__(self, capacity: int) -> None:
        # One slot more than is answered: the writer may be within the oldest.
        self._slots = capacity + 1
        # Written through an array, whose items are set three times as fast as numpy's.
        self._cells = array("d", bytes(8 * 4 * self._slots))
        self._columns = np.frombuffer(self._cells).reshape(4, self._slots)
        self._times = self._columns[0]
        self._written = 0

    def append(self, time: float, receive: float, transmit: float, backlog: float) -> None:
        """Add a sample; *time* does not go back. Only the one writer calls this."""
        cells, slots = self._cells, self._slots
        at = self._written % slots
        cells[at] = time
        cells[at + slots] = receive
        cells[at + 2 * slots] = transmit
        cells[at + 3 * slots] = backlog
        # Last, as readers count on it: what is not counted is not there yet.
        self._written += 1

    def append_gap(self, time: float) -> None:
        """Say that what was counted before *time* and after has nothing to do with each other."""
        self.append(time, np.nan, np.nan, np.nan)

    def latest(self) -> tuple[float, float, float, float] | None:
        """Return the newest sample: time, bytes received, bytes sent, bytes waiting."""
        written = self._written
        if written == 0:
            return None
        time, receive, transmit, backlog = self._columns[:, (written - 1) % self._slots].tolist()
        return time, receive, transmit, backlog

    def slice(self, since: float, *, after_copy: Callable[[], None] | None = None) -> Slice:
        """Return copies of the samples taken at *since* or later.

        *after_copy* is called between copying and looking again; for tests.
        """
        before = self._written
        held = min(before, self._slots)
        skipped = self._older_than(since, before, held)
        columns = self._copy((before - held + skipped) % self._slots, held - skipped)
        if after_copy is not None:
            after_copy()
        # The writer may already be within the slot that it fills next.
        overwritten = self._written + 1 - self._slots - (before - held + skipped)
        columns = columns[:, max(overwritten, 0) :]
        return Slice(*columns[:, np.searchsorted(columns[0], since) :])

    def _older_than(self, since: float, before: int, held: int) -> int:
        """How many of the oldest samples are older; less if the writer comes in between."""
        head = before % self._slots
        newest = int(np.searchsorted(self._times[:head], since))
        if newest > 0 or held < self._slots:
            return held - head + newest
        return int(np.searchsorted(self._times[head:], since))

    def _copy(self, start: int, count: int) -> NDArray[np.float64]:
        """Return *count* columns from *start* on, beginning anew at the end of the ring."""
        end = start + count
        if end <= self._slots:
            return self._columns[:, start:end].copy()
        parts = (self._columns[:, start:], self._columns[:, : end - self._slots])
        return np.concatenate(parts, axis=1)


class Tape:
    """A track for each rail number, each for *capacity* samples."""

    def __init__(self, capacity: int) -> None:
        if capacity < 2:
            raise ValueError(f"capacity must be at least 2, got {capacity!r}")
        self._capacity = capacity
        self._tracks: dict[int, Track] = {}

    def track(self, rail: int) -> Track:
        """Return the track of *rail*, empty if nothing was written yet."""
        track = self._tracks.get(rail)
        if track is None:
            # Two threads that ask at once get the same one: setdefault is one step.
            track = self._tracks.setdefault(rail, Track(self._capacity))
        return track
