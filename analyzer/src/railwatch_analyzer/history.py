# SPDX-License-Identifier: Apache-2.0
"""Gathers what links report about one window until all have, so that peers are compared over it.

Agents publish a window when it has ended; a source meets some of them a moment before and some a
moment after. Judging at once would compare one link's window with another's previous one.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from railwatch.rates import deltas
from railwatch_analyzer.features import FEATURES, SOURCES, Kind
from railwatch_analyzer.frame import COUNTER_COLUMNS, POSITION, WINDOW_COLUMNS

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from railwatch_analyzer.frame import Frame

# How long after a window's end the last report is waited for, as a share of the window; in any
# case until the source was asked once more, as reports may take longer than that to get here.
_PATIENCE = 0.5
# The spacing that a source measures is never quite the configured one: a scrape that takes so much
# longer than a window, as a share of it, still sees every window.
_SPACING_TOLERANCE = 0.1
_COUNTERS = [POSITION[name] for name in COUNTER_COLUMNS]
_SOURCE_POSITIONS = [POSITION[name] for name in SOURCES]
_EVENTS = np.array([feature.kind is Kind.EVENTS for feature in FEATURES])
_BYTES = [POSITION["transmit_bytes_total"], POSITION["receive_bytes_total"]]


@dataclass(frozen=True, slots=True)
class Window:
    """One window of the whole fleet, complete or as complete as it will get.

    Attributes
    ----------
    end
        Unix seconds.
    values
        Shape (links, features), in the features' units (bytes/s, ratio, events/s); NaN is unknown.
    bytes_rate
        Shape (links, 2), transmitted and received bytes per second since the previous window.
    seconds
        From one window to the next.
    """

    end: float
    values: NDArray[np.float64]
    bytes_rate: NDArray[np.float64]
    seconds: float = 5.0


@dataclass(frozen=True, slots=True)
class Collecting:
    """What has been reported of the window that is being waited for.

    `epoch_seconds` is the length over which reports belong together, `end` where the one that is
    being waited for ends. `reported` is each row's newest window end; `cells` the rows as read
    then; `counted` and `counted_at` the counters at the previous window and when they were read.
    """

    epoch_seconds: float
    end: float
    reported: NDArray[np.float64]
    cells: NDArray[np.float64]
    sampled_at: NDArray[np.float64]
    fresh: NDArray[np.bool_]
    took_part: NDArray[np.bool_]
    counted: NDArray[np.float64]
    counted_at: NDArray[np.float64]


def nothing_collected(links: int) -> Collecting:
    """Return the state before the first report of *links* links."""
    unknown = np.full(links, np.nan)
    no = np.zeros(links, dtype=bool)
    cells = np.full((links, len(POSITION)), np.nan)
    return Collecting(np.nan, np.nan, unknown, cells, unknown, no, no, cells[:, _COUNTERS], unknown)


def collect(collecting: Collecting, frame: Frame) -> tuple[Collecting, list[Window]]:
    """Return what is collected after *frame* (rows aligned) and the windows that this completed."""
    epoch = _epoch_seconds(frame)
    if epoch != collecting.epoch_seconds:
        # The pace was not known yet or has changed: what was begun would mix unequal times.
        nobody = np.zeros_like(collecting.fresh)
        collecting = replace(collecting, epoch_seconds=epoch, end=np.nan, fresh=nobody)
    ends = _epoch_ends(frame.window_end, epoch)
    known = np.isfinite(frame.values[:, [POSITION[name] for name in WINDOW_COLUMNS]]).any(axis=1)
    known &= np.isfinite(frame.window_end)
    # Two windows of one epoch count once, or the time of the fleet would run ahead.
    fresh = known & ~(ends <= _epoch_ends(collecting.reported, epoch))
    windows = []
    newest = float(np.max(ends[fresh], initial=-np.inf))
    if collecting.fresh.any() and newest > collecting.end:
        collecting, window = _close(collecting)
        windows.append(window)
    too_late = _comes_too_late(collecting, fresh, newest)
    if too_late:
        collecting = _pass_over(collecting, frame, fresh)
    waited = collecting.fresh.any()
    if fresh.any() and not too_late:
        collecting = _take(collecting, frame, ends, fresh)
    overdue = waited and frame.time >= collecting.end + _PATIENCE * epoch
    if overdue or _is_complete(collecting):
        collecting, window = _close(collecting)
        windows.append(window)
    return collecting, windows


def _epoch_seconds(frame: Frame) -> float:
    """Length over which reports belong together: a window, or a scrape if that is longer."""
    windows = np.ceil(frame.interval_seconds / frame.window_seconds - _SPACING_TOLERANCE)
    return float(max(windows, 1.0) * frame.window_seconds)


def _epoch_ends(window_end: NDArray[np.float64], epoch: float) -> NDArray[np.float64]:
    return np.asarray(np.ceil(window_end / epoch - 1e-6) * epoch)


def _comes_too_late(collecting: Collecting, fresh: NDArray[np.bool_], newest: float) -> bool:
    """Whether all that is *fresh* belongs to the window that was judged without it.

    Who took part in that one reports the next, even where its clock is behind.
    """
    judged = not collecting.fresh.any() and newest <= collecting.end
    return bool(judged and not (fresh & collecting.took_part).any())


def _pass_over(collecting: Collecting, frame: Frame, fresh: NDArray[np.bool_]) -> Collecting:
    """Note who came too late, and wait for them next time: their scrapes may always be behind."""
    return replace(
        collecting,
        reported=np.where(fresh, frame.window_end, collecting.reported),
        took_part=collecting.took_part | fresh,
    )


def _take(
    collecting: Collecting, frame: Frame, ends: NDArray[np.float64], fresh: NDArray[np.bool_]
) -> Collecting:
    end = float(np.max(ends[fresh]))
    if collecting.fresh.any():
        end = max(end, collecting.end)
    elif end <= collecting.end:
        # Another clock was ahead; the windows of the fleet go on all the same.
        end = collecting.end + _epoch_seconds(frame)
    return replace(
        collecting,
        end=end,
        reported=np.where(fresh, frame.window_end, collecting.reported),
        cells=np.where(fresh[:, None], frame.values, collecting.cells),
        sampled_at=np.where(fresh, frame.sampled_at, collecting.sampled_at),
        fresh=collecting.fresh | fresh,
    )


def _is_complete(collecting: Collecting) -> bool:
    """Whether all who are expected have reported; in the first window nobody knows who that is."""
    awaited = collecting.took_part & ~collecting.fresh
    return bool(collecting.fresh.any() and collecting.took_part.any() and not awaited.any())


def _close(collecting: Collecting) -> tuple[Collecting, Window]:
    cells = np.where(collecting.fresh[:, None], collecting.cells, np.nan)
    counters = cells[:, _COUNTERS]
    seconds = collecting.sampled_at - collecting.counted_at
    rates = np.full(cells.shape, np.nan)
    rates[:, _COUNTERS] = _rates(collecting.counted, counters, seconds)
    values = np.where(_EVENTS, rates[:, _SOURCE_POSITIONS], cells[:, _SOURCE_POSITIONS])
    after = replace(
        collecting,
        fresh=np.zeros_like(collecting.fresh),
        took_part=collecting.fresh,
        # A counter that was not read this time is unknown until it was read twice again.
        counted=np.where(collecting.fresh[:, None], counters, collecting.counted),
        counted_at=np.where(collecting.fresh, collecting.sampled_at, collecting.counted_at),
    )
    return after, Window(collecting.end, values, rates[:, _BYTES], collecting.epoch_seconds)


def _rates(
    before: NDArray[np.float64], after: NDArray[np.float64], seconds: NDArray[np.float64]
) -> NDArray[np.float64]:
    return deltas(before, after) / np.where(seconds > 0, seconds, np.nan)[:, None]
