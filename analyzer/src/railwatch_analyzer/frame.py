# SPDX-License-Identifier: Apache-2.0
"""What one round sees of the fleet: a row per link, a column per rail metric.

Column names are those of the catalogue without the prefix (`receive_bytes_total`), with the kind
appended where the metric has one (`faults_total_retransmit`). Unknown is NaN, never zero.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from railwatch.catalogue.metric import PREFIX, MetricSpec
from railwatch.catalogue.node import AGENT_WINDOW_END, AGENT_WINDOW_SECONDS
from railwatch.catalogue.rail import (
    RAIL_ADMIN_UP,
    RAIL_CONGESTION,
    RAIL_CREDIT_WAIT,
    RAIL_FAULTS,
    RAIL_FEC_CORRECTED_BITS,
    RAIL_PAUSE_SECONDS,
    RAIL_PRESENT,
    RAIL_QUEUE_DROPS,
    RAIL_QUEUE_OCCUPIED,
    RAIL_RECEIVE_BYTES,
    RAIL_RECEIVED_BITS,
    RAIL_SPEED,
    RAIL_TRANSMIT_BYTES,
    RAIL_UP,
    RECEIVE_WINDOW,
    TRANSMIT_WINDOW,
)
from railwatch_analyzer.step_frame import NO_JOBS, JobFrame, JobFrameBuilder

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

_RAIL_PREFIX = f"{PREFIX}rail_"


def column(spec: MetricSpec, kind: str | None = None) -> str:
    """Name of the column that holds *spec* (of one *kind*, where it has kinds)."""
    name = spec.name.removeprefix(_RAIL_PREFIX)
    return name if kind is None else f"{name}_{kind}"


# Families with one column a kind, and the label that says which.
KIND_LABEL: Mapping[MetricSpec, str] = {
    RAIL_FAULTS: "kind",
    RAIL_CONGESTION: "kind",
    RAIL_PAUSE_SECONDS: "direction",
}


def columns(spec: MetricSpec) -> tuple[str, ...]:
    """Names of all columns that hold *spec*."""
    if spec not in KIND_LABEL:
        return (column(spec),)
    return tuple(column(spec, kind) for kind in spec.values)


STATE_COLUMNS = tuple(column(s) for s in (RAIL_PRESENT, RAIL_ADMIN_UP, RAIL_UP, RAIL_SPEED))
WINDOW_COLUMNS = (
    *(column(spec) for spec in TRANSMIT_WINDOW.values()),
    *(column(spec) for spec in RECEIVE_WINDOW.values()),
    column(RAIL_QUEUE_OCCUPIED),
)
COUNTER_COLUMNS = (
    column(RAIL_TRANSMIT_BYTES),
    column(RAIL_RECEIVE_BYTES),
    column(RAIL_QUEUE_DROPS),
    *(
        name
        for spec in (
            RAIL_FAULTS,
            RAIL_CONGESTION,
            RAIL_PAUSE_SECONDS,
            RAIL_CREDIT_WAIT,
            RAIL_FEC_CORRECTED_BITS,
            RAIL_RECEIVED_BITS,
        )
        for name in columns(spec)
    ),
)
COLUMNS = (*STATE_COLUMNS, *WINDOW_COLUMNS, *COUNTER_COLUMNS)
POSITION: Mapping[str, int] = {name: number for number, name in enumerate(COLUMNS)}

# The metrics that a source has to fetch.
FETCHED: tuple[MetricSpec, ...] = (
    RAIL_PRESENT,
    RAIL_ADMIN_UP,
    RAIL_UP,
    RAIL_SPEED,
    *TRANSMIT_WINDOW.values(),
    *RECEIVE_WINDOW.values(),
    RAIL_QUEUE_OCCUPIED,
    RAIL_TRANSMIT_BYTES,
    RAIL_RECEIVE_BYTES,
    RAIL_QUEUE_DROPS,
    RAIL_FAULTS,
    RAIL_CONGESTION,
    RAIL_PAUSE_SECONDS,
    RAIL_CREDIT_WAIT,
    RAIL_FEC_CORRECTED_BITS,
    RAIL_RECEIVED_BITS,
    AGENT_WINDOW_SECONDS,
    AGENT_WINDOW_END,
)


@dataclass(frozen=True, slots=True, order=True)
class Link:
    """Identity of a link: one rail of one node."""

    node: str
    rail: str
    device: str


@dataclass(frozen=True, slots=True)
class Frame:
    """The newest known state of every link that a source sees.

    Attributes
    ----------
    time
        When the round looked, Unix seconds. Nothing in the frame is younger.
    links
        Row index, each link once.
    values
        Shape (len(links), len(COLUMNS)), float64 because it holds counters; NaN is unknown.
    sampled_at
        Shape (len(links),), Unix seconds at which a row's counters were read.
    window_end
        Shape (len(links),), Unix seconds at which a row's window ended; NaN if it has none.
    window_seconds
        Length of the agents' windows.
    interval_seconds
        Spacing of the samples that the source gets: a window seen at every third sample is not
        compared with the one in between.
    job_id, switch
        One text a row, empty if unknown.
    missed
        Nodes that should have been seen and were not.
    jobs
        The steps of the jobs.
    """

    time: float
    links: tuple[Link, ...]
    values: NDArray[np.float64]
    sampled_at: NDArray[np.float64]
    window_end: NDArray[np.float64]
    window_seconds: float
    interval_seconds: float
    job_id: tuple[str, ...]
    switch: tuple[str, ...]
    missed: tuple[str, ...] = ()
    jobs: JobFrame = NO_JOBS

    @property
    def seen(self) -> NDArray[np.bool_]:
        """Which rows anything is known of; shape (len(links),)."""
        return np.asarray(np.isfinite(self.values).any(axis=1))

    def __getitem__(self, name: str) -> NDArray[np.float64]:
        """The column *name*, shape (len(links),)."""
        return self.values[:, POSITION[name]]


# Clocks of nodes may be so far apart.
_CLOCKS_APART_SECONDS = 60.0

# Series that name a row, or hold for a whole node, rather than fill a cell.
JOB_INFO = f"{_RAIL_PREFIX}job_info"
NEIGHBOR_INFO = f"{_RAIL_PREFIX}neighbor_info"
_CELLS: Mapping[str, str] = {spec.name: column(spec) for spec in FETCHED}
_KINDS: Mapping[str, str] = {spec.name: label for spec, label in KIND_LABEL.items()}


@dataclass(slots=True)
class FrameBuilder:
    """Gathers series, in whatever order a source finds them, into one frame."""

    time: float
    interval_seconds: float
    _rows: dict[Link, NDArray[np.float64]] = field(default_factory=dict)
    _sampled_at: dict[Link, float] = field(default_factory=dict)
    _names: dict[tuple[str, Link], str] = field(default_factory=dict)
    _window_end: dict[str, float] = field(default_factory=dict)
    _window_seconds: dict[str, float] = field(default_factory=dict)
    _jobs: JobFrameBuilder = field(default_factory=JobFrameBuilder)

    def add(
        self, node: str, name: str, labels: Mapping[str, str], value: float, sampled_at: float
    ) -> None:
        """Take one series of *node*; one that a frame does not hold is passed over."""
        if name == AGENT_WINDOW_END.name:
            self._window_end[node] = value
        elif name == AGENT_WINDOW_SECONDS.name:
            self._window_seconds[node] = value
        elif "rail" in labels and "device" in labels:
            self._add_cell(Link(node, labels["rail"], labels["device"]), name, labels, value)
            self._see(Link(node, labels["rail"], labels["device"]), name, sampled_at)
        else:
            self._jobs.add(node, name, labels, value, sampled_at)

    def _add_cell(self, link: Link, name: str, labels: Mapping[str, str], value: float) -> None:
        if name == JOB_INFO:
            self._names["job_id", link] = labels.get("job_id", "")
            return
        if name == NEIGHBOR_INFO:
            self._names["switch", link] = labels.get("switch", "")
            return
        cell = _CELLS.get(name, "")
        if name in _KINDS:
            cell = f"{cell}_{labels.get(_KINDS[name], '')}"
        position = POSITION.get(cell)
        if position is None:
            return
        row = self._rows.get(link)
        if row is None:
            row = self._rows[link] = np.full(len(COLUMNS), np.nan)
        # What an agent cannot mean is unknown.
        row[position] = value if math.isfinite(value) else math.nan

    def _see(self, link: Link, name: str, sampled_at: float) -> None:
        if name == RAIL_TRANSMIT_BYTES.name or link not in self._sampled_at:
            self._sampled_at[link] = sampled_at

    def build(self, missed: tuple[str, ...] = ()) -> Frame:
        """Return the frame of all that was added; links in sorted order."""
        links = self._links()
        lengths = [seconds for seconds in self._window_seconds.values() if 0 < seconds < math.inf]
        window_seconds = float(np.median(lengths)) if lengths else 5.0
        return Frame(
            time=self.time,
            links=links,
            values=np.array([self._rows[link] for link in links]).reshape(-1, len(COLUMNS)),
            sampled_at=np.array([self._sampled_at[link] for link in links]),
            window_end=np.array([self._end_of_window(link.node) for link in links]),
            window_seconds=window_seconds,
            interval_seconds=self.interval_seconds,
            job_id=tuple(self._names.get(("job_id", link), "") for link in links),
            switch=tuple(self._names.get(("switch", link), "") for link in links),
            missed=missed,
            jobs=self._jobs.build(),
        )

    def _links(self) -> tuple[Link, ...]:
        """Return the links, one a rail of a node: the one that was sampled last.

        A rail that got another device is seen with both for a while; a node that says that it has
        several devices on one rail would have more votes than others about that rail.
        """
        newest: dict[tuple[str, str], Link] = {}
        for link in sorted(self._rows):
            before = newest.get((link.node, link.rail))
            if before is None or self._sampled_at[link] > self._sampled_at[before]:
                newest[link.node, link.rail] = link
        return tuple(sorted(newest.values()))

    def _end_of_window(self, node: str) -> float:
        """Return when the window of *node* ended; nobody knows one that has yet to end."""
        end = self._window_end.get(node, math.nan)
        return end if end <= self.time + _CLOCKS_APART_SECONDS else math.nan
