"""Residuals of burst shapes against peers, of a recording without faults."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from railwatch_analyzer.frame import POSITION, WINDOW_COLUMNS
from railwatch_analyzer.peers import group_names, group_numbers, peer_medians
from railwatch_analyzer.sources.trace import read_trace

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

COLUMNS = tuple(name for name in WINDOW_COLUMNS if "bytes_per_second" in name)
# The trace's NICs, bytes per second; a group below this share of it pauses.
LINE_RATE = 25e9
_BUSY_SHARE = 0.02
_PEERS = 4


@dataclass(frozen=True, slots=True)
class Windows:
    """Residuals (log ratios), shape (rows, COLUMNS); each row's NIC and when its window was seen.

    `pauses` are the lengths of times in which a whole job stood still, seconds; `job_seconds` is
    how long jobs were looked at in all.
    """

    residuals: NDArray[np.float64]
    nics: NDArray[np.str_]
    times: NDArray[np.float64]
    pauses: tuple[float, ...]
    job_seconds: float


def null_windows(path: Path) -> Windows:
    """Return all windows of a recording in which a NIC's group is busy."""
    places = [POSITION[name] for name in COLUMNS]
    residuals: list[NDArray[np.float64]] = []
    nics: list[str] = []
    times: list[float] = []
    busy: dict[str, list[bool]] = {}
    window = 5.0
    for frame in read_trace(path, speed_bytes_per_second=LINE_RATE):
        window = frame.window_seconds
        rates = np.full(len(frame.links), LINE_RATE)
        groups = group_numbers(group_names(frame.links, frame.job_id, rates))
        level = np.log(np.maximum(frame.values[:, places], 1e3))
        medians, peers = peer_medians(level, groups)
        enough = np.isfinite(level).all(axis=1) & (peers.min(axis=1) >= _PEERS)
        moves = np.exp(medians[:, 0]) > _BUSY_SHARE * LINE_RATE
        known = enough & moves
        residuals.append((level - medians)[known])
        nics += [f"{frame.links[at].node}/{frame.links[at].device}" for at in np.flatnonzero(known)]
        times += [frame.time] * int(known.sum())
        for job in set(frame.job_id):
            mine = enough & (np.array(frame.job_id) == job)
            if mine.any():
                busy.setdefault(job, []).append(bool(moves[mine].mean() > 0.5))
    lengths = [length * window for one in busy.values() for length in _idle_runs(one)]
    looked = sum(len(one) for one in busy.values()) * window
    return Windows(
        np.concatenate(residuals), np.array(nics), np.array(times), tuple(lengths), looked
    )


def spread(windows: Windows) -> NDArray[np.float64]:
    """Return the robust spread of each column."""
    return np.asarray(1.4826 * np.median(np.abs(windows.residuals), axis=0))


def _idle_runs(busy: list[bool]) -> list[int]:
    """Lengths of the runs in which nothing was busy."""
    edges = np.diff(np.concatenate(([0], np.logical_not(busy).astype(int), [0])))
    return (np.flatnonzero(edges < 0) - np.flatnonzero(edges > 0)).tolist()
