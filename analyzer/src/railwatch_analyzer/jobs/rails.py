# SPDX-License-Identifier: Apache-2.0
"""What the rails of each job do: how full they are, how congested, and which of them are bad."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from railwatch.catalogue.rail import (
    RAIL_CONGESTION,
    RAIL_FAULTS,
    RAIL_PAUSE_SECONDS,
    RAIL_SPEED,
    TRANSMIT_WINDOW,
    Congestion,
    Direction,
    Fault,
)
from railwatch.rates import deltas
from railwatch_analyzer.frame import POSITION, Frame, Link, column
from railwatch_analyzer.rows import moved_array, places

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from numpy.typing import NDArray

_BURST = column(TRANSMIT_WINDOW["top_decile"])
_SPEED = column(RAIL_SPEED)
# Told to slow down or to stop, marked on the way here, or sent again: what congestion does to a
# sender and to a receiver. A pause that this host asks for is its own fault.
_MARKS = tuple(POSITION[column(RAIL_CONGESTION, kind)] for kind in Congestion)
_PAUSES = (POSITION[column(RAIL_PAUSE_SECONDS, Direction.RECEIVE)],)
_LOSSES = tuple(POSITION[column(RAIL_FAULTS, k)] for k in (Fault.RETRANSMIT, Fault.ACK_TIMEOUT))
_COUNTERS = (*_MARKS, *_PAUSES, *_LOSSES)


@dataclass(frozen=True, slots=True)
class RailsSeen:
    """The rails of a job in a round, medians over them; NaN is unknown.

    Attributes
    ----------
    utilization
        Burst rate against line rate: the mean of the busiest tenth of fast samples.
    marks, losses
        Congestion marks and retransmissions, events per second and rail (a mean).
    paused
        Share of time told to stop sending (a mean).
    line_rate
        Bytes per second that a rail carries.
    count
        Rails that the job has.
    bad
        Those that the link view holds something against.
    """

    utilization: float = math.nan
    marks: float = math.nan
    losses: float = math.nan
    paused: float = math.nan
    line_rate: float = math.nan
    count: int = 0
    bad: tuple[Link, ...] = ()


NO_RAILS = RailsSeen()


@dataclass(frozen=True, slots=True)
class RailCounters:
    """What the rails had counted when they were last read; rows are those of `links`.

    `values` has a column for each counter that tells of congestion.
    """

    links: tuple[Link, ...]
    sampled_at: NDArray[np.float64]
    values: NDArray[np.float64]


def no_counters() -> RailCounters:
    """Return the counters of nobody."""
    return RailCounters((), np.empty(0), np.empty((0, len(_COUNTERS))))


def look_at_rails(
    before: RailCounters, frame: Frame, owners: Mapping[str, str], bad: frozenset[Link]
) -> tuple[RailCounters, dict[str, RailsSeen]]:
    """Return the counters of *frame* and what the rails of each job did since *before*.

    *owners* gives the job of a node that runs one only; a rail that has a job of its own keeps it.
    """
    after = RailCounters(frame.links, frame.sampled_at, frame.values[:, _COUNTERS])
    rows: dict[str, list[int]] = {}
    for row, (link, own) in enumerate(zip(frame.links, frame.job_id, strict=True)):
        job_id = own or owners.get(link.node, "")
        if job_id:
            rows.setdefault(job_id, []).append(row)
    rates = _rates(before, after)
    return after, {job: _seen(frame, rates, mine, bad) for job, mine in rows.items()}


def _rates(before: RailCounters, after: RailCounters) -> NDArray[np.float64]:
    """Growth per second of each counter, NaN where unknown; shape (links, counters)."""
    at, values = before.sampled_at, before.values
    if before.links != after.links:
        rows = places(after.links, before.links)
        at = moved_array(at, np.full(len(rows), np.nan), rows)
        values = moved_array(values, np.full((len(rows), len(_COUNTERS)), np.nan), rows)
    seconds = after.sampled_at - at
    passed = np.where(seconds > 0, seconds, np.nan)
    return np.asarray(deltas(values, after.values) / passed[:, None])


def _seen(
    frame: Frame, rates: NDArray[np.float64], rows: list[int], bad: Iterable[Link]
) -> RailsSeen:
    mine = np.array(rows)
    speed = frame[_SPEED][mine]
    marks, paused, losses = np.split(rates[mine], [len(_MARKS), len(_MARKS) + len(_PAUSES)], axis=1)
    held = frozenset(bad)
    return RailsSeen(
        utilization=_middle(frame[_BURST][mine] / speed),
        marks=_total(marks),
        losses=_total(losses),
        paused=_total(paused),
        line_rate=_middle(speed),
        count=len(rows),
        bad=tuple(frame.links[row] for row in rows if frame.links[row] in held),
    )


def _middle(values: NDArray[np.float64]) -> float:
    known = values[np.isfinite(values)]
    return float(np.median(known)) if known.size else math.nan


def _total(rates: NDArray[np.float64]) -> float:
    """Mean over rails of the sum over the kinds that are known; NaN where none is."""
    known = np.isfinite(rates).any(axis=1)
    if not known.any():
        return math.nan
    return float(np.nansum(rates[known], axis=1).mean())
