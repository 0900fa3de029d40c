# SPDX-License-Identifier: Apache-2.0
"""Frames out of a recorded trace, as a live source would have seen them at the time.

A frame is given for the end of each window, a moment later (`Pace.grace_seconds`), and holds
nothing that was sampled after that moment. Window statistics come from the function that the
agent uses (`railwatch.windows`).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from railwatch.catalogue.rail import (
    RAIL_ADMIN_UP,
    RAIL_PRESENT,
    RAIL_RECEIVE_BYTES,
    RAIL_SPEED,
    RAIL_TRANSMIT_BYTES,
    RAIL_UP,
    RECEIVE_WINDOW,
    TRANSMIT_WINDOW,
)
from railwatch.windows import window_end_after, window_table
from railwatch_analyzer.frame import COLUMNS, POSITION, WINDOW_COLUMNS, Frame, column
from railwatch_analyzer.sources.base import EXPECTED_SECONDS, stale_after_seconds
from railwatch_analyzer.sources.recording import read_recording

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from numpy.typing import NDArray

    from railwatch.catalogue.metric import MetricSpec
    from railwatch_analyzer.sources.recording import Recording

_LEAST_WINDOW_SECONDS = 5.0
# A window shorter than this many samples' spacing would be a guess.
_LEAST_SPACINGS = 4
# An interval of more than this many spacings is a gap: its mean rate hides bursts.
_GAP_SPACINGS = 3.0
# How much of each series' beginning decides the pace, and how long that may take.
_PACE_SAMPLES = 9
_PACE_SECONDS = 60.0
# The contract's longest spacing, taken where the first minute does not tell.
_LONGEST_SPACING_SECONDS = 15.0
# So many cells are held in memory at a time, 8 bytes each.
_CHUNK_CELLS = 4_000_000

_SPEED = column(RAIL_SPEED)
# What the mere presence of a sample says where the file has no such column.
_IMPLIED = (column(RAIL_PRESENT), column(RAIL_ADMIN_UP), column(RAIL_UP))
_DIRECTIONS: tuple[tuple[str, Mapping[str, MetricSpec]], ...] = (
    (column(RAIL_TRANSMIT_BYTES), TRANSMIT_WINDOW),
    (column(RAIL_RECEIVE_BYTES), RECEIVE_WINDOW),
)
# Computed here even if the file holds them, so that every window of a replay is the same window.
_COMPUTED = frozenset(column(spec) for _, family in _DIRECTIONS for spec in family.values())


@dataclass(frozen=True, slots=True)
class Pace:
    """How often a trace was sampled and what windows that carries.

    `decided_at` (Unix seconds) is the newest sample that was looked at to tell; no frame is
    given for a time before it, as nobody could have known its window then.
    """

    spacing_seconds: float
    decided_at: float

    @property
    def window_seconds(self) -> float:
        """The least multiple of 5 s that spans four spacings."""
        steps = math.ceil(_LEAST_SPACINGS * self.spacing_seconds / _LEAST_WINDOW_SECONDS)
        return max(steps, 1) * _LEAST_WINDOW_SECONDS

    @property
    def grace_seconds(self) -> float:
        """How long after the end of a window its last interval may still be closed."""
        return min(2.0 * self.spacing_seconds, self.window_seconds / 2.0)


def trace_pace(recording: Recording) -> Pace:
    """Tell the pace of a trace from its beginning only.

    That is the moment at which half of the series seen so far have nine samples, or a minute
    after the first sample if that is earlier; the median of all spacings until then counts.
    """
    times, bounds = recording.times, recording.bounds
    begins = times[bounds[:-1]]
    latest = float(begins.min()) + _PACE_SECONDS
    ninth = bounds[:-1] + _PACE_SAMPLES - 1
    settled = np.sort(times[ninth[ninth < bounds[1:]]])
    seen = np.searchsorted(np.sort(begins), settled, side="right")
    enough = settled[2 * np.arange(1, len(settled) + 1) >= seen]
    decided_at = min(float(enough[0]), latest) if len(enough) else latest

    spacings = np.diff(times)
    spacings[bounds[1:-1] - 1] = np.nan
    early = spacings[(times[1:] <= decided_at) & (spacings > 0)]
    spacing = float(np.median(early)) if len(early) else _LONGEST_SPACING_SECONDS
    return Pace(spacing, decided_at)


def read_trace(path: Path, *, speed_bytes_per_second: float | None = None) -> Iterator[Frame]:
    """Read the trace in *path* and return an iterator over its frames, oldest first.

    *speed_bytes_per_second* stands for the line rate of every rail if the file has none.

    Raises
    ------
    SourceError
        At the call, not later, if the file cannot be read.
    """
    return recording_frames(read_recording(path), speed_bytes_per_second=speed_bytes_per_second)


def recording_frames(
    recording: Recording,
    *,
    speed_bytes_per_second: float | None = None,
    pace: Pace | None = None,
) -> Iterator[Frame]:
    """Return the frames of a *recording* in memory; *pace* is told from its beginning by default.

    A part of a recording has the pace of the whole, or its windows would be other ones.
    """
    implied = dict.fromkeys(_IMPLIED, 1.0)
    if speed_bytes_per_second is not None:
        implied[_SPEED] = speed_bytes_per_second
    return _frames(recording, implied, trace_pace(recording) if pace is None else pace)


def _frames(recording: Recording, implied: Mapping[str, float], pace: Pace) -> Iterator[Frame]:
    window, grace = pace.window_seconds, pace.grace_seconds
    first = window_end_after(float(recording.times.min()), window)
    first += window * max(math.ceil((pace.decided_at - grace - first) / window), 0)
    count = math.floor((float(recording.times.max()) - first) / window) + 1
    ends = first + window * np.arange(count, dtype=np.float64)
    step = max(_CHUNK_CELLS // (len(recording.links) * len(COLUMNS)), 1)
    for begin in range(0, len(ends), step):
        yield from _Chunk(recording, implied, pace, ends[begin : begin + step]).frames()


class _Chunk:
    """Consecutive windows of all links, filled link by link and given out window by window."""

    def __init__(
        self,
        recording: Recording,
        implied: Mapping[str, float],
        pace: Pace,
        ends: NDArray[np.float64],
    ) -> None:
        self._recording = recording
        self._implied = {k: v for k, v in implied.items() if k not in recording.columns}
        self._copied = [name for name in recording.columns if name not in _COMPUTED]
        self._pace = pace
        self._ends = ends
        self._times = ends + pace.grace_seconds
        self._patience = stale_after_seconds(pace.spacing_seconds)
        shape = (len(ends), len(recording.links))
        self._values = np.full((*shape, len(COLUMNS)), np.nan)
        self._newest = np.full(shape, -1, dtype=np.intp)
        self._expected = np.zeros(shape, dtype=np.bool_)

    def frames(self) -> Iterator[Frame]:
        """Yield the frame of each window."""
        for number in range(len(self._recording.links)):
            self._fill(number)
        for window in range(len(self._ends)):
            yield self._frame(window)

    def _fill(self, number: int) -> None:
        """Fill the cells of one link in every window."""
        low, high = self._recording.bounds[number : number + 2]
        times = self._recording.times[low:high]
        newest = np.searchsorted(times, self._times, side="right") - 1
        age = np.where(newest >= 0, self._times - times[newest], np.inf)
        self._expected[:, number] = age <= EXPECTED_SECONDS
        fresh = age <= self._patience
        self._newest[:, number] = np.where(fresh, low + newest, -1)
        cells = self._values[:, number]
        for name, value in self._implied.items():
            cells[:, POSITION[name]] = value
        for name in self._copied:
            series = self._recording.columns[name][low:high]
            cells[:, POSITION[name]] = self._newest_known(times, series)
        self._fill_windows(cells, low, high)

    def _newest_known(
        self, times: NDArray[np.float64], series: NDArray[np.float64]
    ) -> NDArray[np.float64]:
        """Newest value of *series* at each frame's time, NaN if there is none or it is stale."""
        times, series = _known(times, series)
        if not len(times):
            return np.full(len(self._times), np.nan)
        newest = np.searchsorted(times, self._times, side="right") - 1
        fresh = (newest >= 0) & (self._times - times[newest] <= self._patience)
        return np.where(fresh, series[newest], np.nan)

    def _fill_windows(self, cells: NDArray[np.float64], low: int, high: int) -> None:
        edges = np.append(self._ends[0] - self._pace.window_seconds, self._ends)
        for counter, family in _DIRECTIONS:
            if counter not in self._recording.columns:
                continue
            known = _known(
                self._recording.times[low:high], self._recording.columns[counter][low:high]
            )
            begin = max(int(np.searchsorted(known[0], edges[0], side="right")) - 1, 0)
            end = int(np.searchsorted(known[0], self._times[-1], side="right"))
            times, series = known[0][begin:end], known[1][begin:end]
            table = window_table(
                times,
                series,
                edges,
                cells[:, POSITION[_SPEED]],
                self._times,
                longest_interval=_GAP_SPACINGS * self._pace.spacing_seconds,
            )
            for statistic, spec in family.items():
                cells[:, POSITION[column(spec)]] = getattr(table, statistic)

    def _frame(self, window: int) -> Frame:
        recording = self._recording
        kept = np.flatnonzero(self._newest[window] >= 0)
        rows = self._newest[window, kept]
        values = self._values[window, kept]
        # A window that nothing is known of has no end.
        has_window = ~np.isnan(values[:, _WINDOW_POSITIONS]).all(axis=1)
        links = tuple(recording.links[i] for i in kept)
        expected = {recording.links[i].node for i in np.flatnonzero(self._expected[window])}
        return Frame(
            time=float(self._times[window]),
            links=links,
            values=values,
            sampled_at=recording.times[rows],
            window_end=np.where(has_window, self._ends[window], np.nan),
            window_seconds=self._pace.window_seconds,
            interval_seconds=self._pace.window_seconds,
            job_id=tuple(recording.job_id.names[i] for i in recording.job_id.codes[rows]),
            switch=tuple(recording.switch.names[i] for i in recording.switch.codes[rows]),
            missed=tuple(sorted(expected - {link.node for link in links})),
        )


_WINDOW_POSITIONS = [POSITION[name] for name in WINDOW_COLUMNS]


def _known(
    times: NDArray[np.float64], series: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Leave out samples without a value; a gap in a series is only a longer interval."""
    known = ~np.isnan(series)
    return (times, series) if known.all() else (times[known], series[known])
