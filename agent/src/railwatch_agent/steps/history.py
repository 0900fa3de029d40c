# SPDX-License-Identifier: Apache-2.0
"""Two minutes of one job on cells of equal length: bytes of all its rails, activity of its GPUs.

Cells are numbered from time 0 of CLOCK_MONOTONIC, so that a number means the same in each round.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, NamedTuple

import numpy as np

from railwatch_agent.steps.grid import bytes_of_cells, values_at

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

LOOK_BACK_SECONDS: Final = 120.0
# A rate over a longer time than this many cells, and than this, is unknown: it hides bursts.
_LONGEST_CELLS: Final = 10
_LONGEST_SECONDS: Final = 0.25
# Activity comes in blocks of a second; between two samples it does not stay unknown for long.
_LONGEST_ACTIVITY_SECONDS: Final = 0.5
# What is read again, so that the cell after the last one has a sample before it.
_OVERLAP_SECONDS: Final = 1.5


class Samples(NamedTuple):
    """Timed values of one rail or one GPU, as they are on a tape."""

    times: NDArray[np.float64]
    values: NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Signal:
    """What stands for compute: its name, how long a sample averages, whether it is a share."""

    name: str
    averaging_seconds: float
    is_share: bool


class History:
    """The newest cells of one job."""

    def __init__(self, cell_seconds: float) -> None:
        self.cell_seconds = cell_seconds
        self.begin = 0
        self.bytes: NDArray[np.float64] = np.empty(0)
        self.activity: NDArray[np.float64] = np.empty(0)
        self.sample_seconds = cell_seconds
        self.activity_seconds = 0.0
        self._reporting = 0

    @property
    def end(self) -> int:
        """Number of the cell after the last one."""
        return self.begin + len(self.bytes)

    def read_from(self, now: float) -> float:
        """Return from when on samples have to be given to `extend`."""
        look_back = now - LOOK_BACK_SECONDS
        if not len(self.bytes):
            return look_back
        return max(self.end * self.cell_seconds - _OVERLAP_SECONDS, look_back)

    def extend(
        self,
        until: float,
        rails: Sequence[Samples],
        gpus: Sequence[Samples] = (),
        averaging_seconds: float = 0.0,
    ) -> None:
        """Add the cells up to *until*, from samples that go on a little longer."""
        heard = [rail for rail in rails if len(rail.times) > 1]
        first = self._first(until, heard)
        last = math.floor(until / self.cell_seconds)
        if last <= first:
            return
        edges = self.cell_seconds * np.arange(first, last + 1, dtype=np.float64)
        cells = self._bytes(heard, edges)
        if len(heard) != self._reporting:
            # One that comes or goes makes a step in the rates that is none of the job.
            cells[0] = np.nan
            self._reporting = len(heard)
        active = _mean_activity(gpus, edges, averaging_seconds)
        if gpus:
            self.activity_seconds = min(_mean_interval(gpu) for gpu in gpus)
        most = round(LOOK_BACK_SECONDS / self.cell_seconds)
        self.bytes = np.concatenate((self.bytes, cells))[-most:]
        self.activity = np.concatenate((self.activity, active))[-most:]
        self.begin = last - len(self.bytes)

    def forget_activity(self) -> None:
        """Take what the GPUs did as unknown: another signal follows."""
        self.activity = np.full(len(self.bytes), np.nan)

    def _first(self, until: float, heard: Sequence[Samples]) -> int:
        oldest = math.floor((until - LOOK_BACK_SECONDS) / self.cell_seconds) + 1
        if len(self.bytes):
            if self.end >= oldest:
                return self.end
            # Nobody looked for longer than is kept.
            self.bytes = self.activity = np.empty(0)
        if not heard:
            return math.floor(until / self.cell_seconds)
        begun = min(float(rail.times[0]) for rail in heard)
        return max(oldest, math.ceil(begun / self.cell_seconds))

    def _bytes(self, heard: Sequence[Samples], edges: NDArray[np.float64]) -> NDArray[np.float64]:
        if not heard:
            return np.full(len(edges) - 1, np.nan)
        longest = max(_LONGEST_CELLS * self.cell_seconds, _LONGEST_SECONDS)
        heard = _merged_counters(heard)
        cells = [bytes_of_cells(*rail, edges, longest) for rail in heard]
        # A rail that is hardly ever read does not hide the others.
        known = [one for one in cells if np.count_nonzero(np.isnan(one)) < len(one) / 2]
        self.sample_seconds = min(_mean_interval(rail) for rail in heard)
        total: NDArray[np.float64] = np.sum(known or cells, axis=0)
        return total


def _merged_counters(rails: Sequence[Samples]) -> Sequence[Samples]:
    """Return one counter in place of all where all were read at the same times, and none fell.

    That is how rails are read while all is well, and eight of them cost hardly more than one then.
    """
    if any(len(rail.times) != len(rails[0].times) for rail in rails[1:]):
        return rails
    times = np.array([rail.times for rail in rails])
    counters = np.array([rail.values for rail in rails])
    # A comparison with NaN is false.
    if (times == times[0]).all() and (counters[:, 1:] >= counters[:, :-1]).all():
        return [Samples(times[0], counters.sum(axis=0))]
    return rails


def _mean_interval(samples: Samples) -> float:
    times = samples.times
    return math.inf if len(times) < 2 else float(times[-1] - times[0]) / (len(times) - 1)


def _mean_activity(
    gpus: Sequence[Samples], edges: NDArray[np.float64], averaging_seconds: float
) -> NDArray[np.float64]:
    """Return the mean of those GPUs that are known, by cell; a sample stands for its middle."""
    middle = (edges[:-1] + edges[1:]) / 2 + averaging_seconds / 2
    longest = _LONGEST_ACTIVITY_SECONDS + averaging_seconds
    found = [
        values_at(*gpu, middle, longest) for gpu in _merged_gauges(gpus, float(edges[1] - edges[0]))
    ]
    if not found:
        return np.full(len(middle), np.nan)
    known = np.isfinite(found)
    total: NDArray[np.float64] = np.where(known, found, 0.0).sum(axis=0)
    count = known.sum(axis=0)
    return np.where(count > 0, total / np.maximum(count, 1), np.nan)


def _merged_gauges(gpus: Sequence[Samples], cell_seconds: float) -> Sequence[Samples]:
    """Return the mean in place of all where all were read within the same cell, one by one."""
    if len(gpus) < 2 or any(len(gpu.times) != len(gpus[0].times) for gpu in gpus[1:]):
        return gpus
    times = np.array([gpu.times for gpu in gpus])
    values = np.array([gpu.values for gpu in gpus])
    if not np.isfinite(values).all() or (np.ptp(times, axis=0) > cell_seconds).any():
        return gpus
    return [Samples(times.mean(axis=0), values.mean(axis=0))]
