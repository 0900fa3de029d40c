# SPDX-License-Identifier: Apache-2.0
"""Frames of a simulated fleet: what a source would see of its agents, window by window."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from railwatch.catalogue.rail import (
    RAIL_ADMIN_UP,
    RAIL_FAULTS,
    RAIL_PRESENT,
    RAIL_QUEUE_DROPS,
    RAIL_QUEUE_OCCUPIED,
    RAIL_RECEIVE_BYTES,
    RAIL_SPEED,
    RAIL_TRANSMIT_BYTES,
    RAIL_UP,
    RECEIVE_WINDOW,
    TRANSMIT_WINDOW,
)
from railwatch.windows import window_table
from railwatch_analyzer.frame import COLUMNS, POSITION, Frame, column
from railwatch_analyzer.simulation.faults import Downtrain
from railwatch_analyzer.simulation.samples import Sampler, Samples

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from railwatch_analyzer.simulation.model import Simulation

# Links whose windows are computed at once; more would fall out of the processor's cache.
_BATCH = 256


def frames(simulation: Simulation, *, start: float, window_seconds: float = 5.0) -> Iterator[Frame]:
    """Yield the frame of each complete window, for ever.

    *start* is the Unix time at which the simulation begins. Windows align to the wall clock, so
    the first may begin a little later.
    """
    sampler, tick = Sampler(simulation), simulation.tick_seconds
    begin = round(math.ceil(start / window_seconds) * window_seconds - start, 6)
    held = sampler.take(_tick_by(begin, tick) + 1)
    while True:
        end = round(begin + window_seconds, 6)
        more = sampler.take(_tick_by(end, tick) - _tick_by(begin, tick))
        # The two samples around the window's beginning are its as well.
        held = _joined(_last(held, 2), more)
        yield _frame(simulation, held, start=start, begin=begin, end=end)
        begin = end


def _frame(
    simulation: Simulation, samples: Samples, *, start: float, begin: float, end: float
) -> Frame:
    """Return what is known once the first sample at or after *end* was taken."""
    links, switches = simulation.topology.links, simulation.topology.switches
    rows, order = len(links), sorted(range(len(links)), key=links.__getitem__)
    now = float(samples.times[-1])
    job_ids = _job_ids(simulation, now)
    return Frame(
        time=start + now,
        links=tuple(links[row] for row in order),
        values=_values(simulation, samples, begin, end)[order],
        sampled_at=np.full(rows, start + now),
        window_end=np.full(rows, start + end),
        window_seconds=end - begin,
        interval_seconds=end - begin,
        job_id=tuple(job_ids[row] for row in order),
        switch=tuple(switches[row] for row in order),
    )


def _values(
    simulation: Simulation, samples: Samples, begin: float, end: float
) -> NDArray[np.float64]:
    """Fill the columns of a frame, shape (links, len(COLUMNS)), rows as in the topology."""
    line_rate = simulation.topology.line_rate
    inside = (samples.times >= begin) & (samples.times < end)
    up = samples.up[:, -1]
    filled = {
        column(RAIL_PRESENT): np.ones(up.size),
        column(RAIL_ADMIN_UP): np.ones(up.size),
        column(RAIL_UP): up * 1.0,
        # The kernel knows no speed of a link that is down.
        column(RAIL_SPEED): np.where(up, _speeds(simulation, float(samples.times[-1])), np.nan),
        column(RAIL_QUEUE_OCCUPIED): samples.queued[:, inside].mean(axis=1),
        column(RAIL_TRANSMIT_BYTES): samples.transmit[:, -1],
        column(RAIL_RECEIVE_BYTES): samples.receive[:, -1],
        column(RAIL_QUEUE_DROPS): np.zeros(up.size),
        **{column(RAIL_FAULTS, kind): count[:, -1] for kind, count in samples.faults.items()},
        **{name: count[:, -1] for name, count in samples.more.items() if name in POSITION},
    }
    for family, counter in ((TRANSMIT_WINDOW, samples.transmit), (RECEIVE_WINDOW, samples.receive)):
        statistics = _window(samples.times, counter, begin, end, line_rate)
        filled |= {column(spec): statistics[name] for name, spec in family.items()}
    values = np.full((up.size, len(COLUMNS)), np.nan)
    for name, numbers in filled.items():
        values[:, POSITION[name]] = numbers
    return values


def _window(
    times: NDArray[np.float64],
    counters: NDArray[np.float64],
    begin: float,
    end: float,
    line_rate: float,
) -> dict[str, NDArray[np.float64]]:
    """Statistics of one window of many links; *counters* has shape (links, ticks).

    `window_table` takes consecutive windows of one link. So links are laid one after another on
    one axis of time, and every other window is a link's; those between are thrown away.
    """
    parts = []
    for first in range(0, len(counters), _BATCH):
        batch = counters[first : first + _BATCH]
        places = 2.0 * math.ceil(times[-1] - times[0] + 1.0) * np.arange(len(batch))
        table = window_table(
            (places[:, None] + (times - begin)).ravel(),
            batch.ravel(),
            (places[:, None] + np.array([0.0, end - begin])).ravel(),
            np.full(2 * len(batch) - 1, line_rate),
        )
        parts.append([table.max[::2], table.top_decile[::2], table.std[::2], table.duty[::2]])
    joined = np.concatenate(parts, axis=1)
    return dict(zip(("max", "top_decile", "std", "duty"), joined, strict=True))


def _speeds(simulation: Simulation, seconds: float) -> NDArray[np.float64]:
    """Line rate of each link as its driver tells it; of a slow PCIe link it knows nothing."""
    topology = simulation.topology
    speeds = np.full(topology.nodes * topology.rails, topology.line_rate)
    for fault in simulation.faults:
        if isinstance(fault, Downtrain) and not fault.pcie and fault.holds_at(seconds):
            speeds[topology.row(fault.node, fault.rail)] *= fault.share
    return speeds


def _job_ids(simulation: Simulation, seconds: float) -> list[str]:
    """The job that owns each row at *seconds*, empty if none does."""
    topology = simulation.topology
    owners = {
        node: job.job_id for job in simulation.jobs if job.runs_at(seconds) for node in job.nodes
    }
    return [owners.get(node, "") for node in topology.names for _ in range(topology.rails)]


def _tick_by(seconds: float, tick_seconds: float) -> int:
    """Number of the first tick at or after *seconds*."""
    return math.ceil(seconds / tick_seconds - 1e-6)


def _last(samples: Samples, ticks: int) -> Samples:
    return Samples(
        samples.times[-ticks:],
        samples.transmit[:, -ticks:],
        samples.receive[:, -ticks:],
        samples.queued[:, -ticks:],
        samples.up[:, -ticks:],
        {kind: count[:, -ticks:] for kind, count in samples.faults.items()},
        {name: count[:, -ticks:] for name, count in samples.more.items()},
    )


def _joined(one: Samples, other: Samples) -> Samples:
    return Samples(
        np.concatenate((one.times, other.times)),
        np.concatenate((one.transmit, other.transmit), axis=1),
        np.concatenate((one.receive, other.receive), axis=1),
        np.concatenate((one.queued, other.queued), axis=1),
        np.concatenate((one.up, other.up), axis=1),
        {
            kind: np.concatenate((count, other.faults[kind]), axis=1)
            for kind, count in one.faults.items()
        },
        {
            name: np.concatenate((count, other.more[name]), axis=1)
            for name, count in one.more.items()
        },
    )
