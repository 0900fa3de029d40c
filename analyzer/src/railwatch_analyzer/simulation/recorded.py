# SPDX-License-Identifier: Apache-2.0
"""A simulated fleet as a RAILS.parquet would have recorded it: polled, refreshed, with gaps."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from railwatch_analyzer.simulation.model import Stream, stream
from railwatch_analyzer.simulation.samples import Sampler

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from railwatch_analyzer.simulation.habits import Habits
    from railwatch_analyzer.simulation.model import Simulation

# Ticks that are simulated at a time; all their counters are held at once.
_PORTION = 500
# In the order of `Movements.counters`.
_COUNTERS = ("transmit_bytes_total", "receive_bytes_total")


@dataclass(frozen=True, slots=True)
class Movements:
    """What every NIC has moved.

    `times` are seconds, shape (ticks,); `counters` bytes sent and received, (2, links, ticks).
    """

    times: NDArray[np.float64]
    counters: NDArray[np.float64]


def movements(simulation: Simulation, seconds: float) -> Movements:
    """Return what moves in the first *seconds* of *simulation*."""
    sampler, left = Sampler(simulation), int(seconds / simulation.tick_seconds) + 1
    times, counters = [], []
    while left > 0:
        samples = sampler.take(min(left, _PORTION))
        times.append(samples.times)
        counters.append(np.stack((samples.transmit, samples.receive)))
        left -= _PORTION
    return Movements(np.concatenate(times), np.concatenate(counters, axis=2))


def recording(
    simulation: Simulation, moved: Movements, habits: Habits, *, start: float
) -> pd.DataFrame:
    """Return *moved* as the contract's long table, as one who polls the switches records it.

    *start* is when the simulation began, Unix seconds.
    """
    switches = np.array(simulation.topology.switches)
    seconds = float(moved.times[-1])
    parts = []
    for number, switch in enumerate(dict.fromkeys(simulation.topology.switches)):
        draw = stream(simulation, Stream.POLL, number)
        polls = _polls(draw, habits, seconds)
        grid = _refreshes(draw, habits, seconds)
        for row in np.flatnonzero(switches == switch).tolist():
            seen = polls[draw.random(polls.size) >= habits.missed_share]
            fresh = _fresh(grid + draw.random() * habits.sweep_seconds, seen)
            port = {"timestamp_ms": np.round((start + seen) * 1e3).astype(np.int64)}
            for name, counter in zip(_COUNTERS, moved.counters[:, row], strict=True):
                port[name] = np.interp(fresh, moved.times, counter)
            parts.append(pd.DataFrame(port).assign(**_identity(simulation, row)))
    return pd.concat(parts, ignore_index=True)


def _identity(simulation: Simulation, row: int) -> dict[str, str]:
    link, switch = simulation.topology.links[row], simulation.topology.switches[row]
    jobs = [job.job_id for job in simulation.jobs if link.node in job.nodes]
    return {
        "instance": link.node,
        "rail": link.rail,
        "device": link.device,
        "job_id": jobs[0] if jobs else "",
        "switch": switch,
    }


def _polls(draw: np.random.Generator, habits: Habits, seconds: float) -> NDArray[np.float64]:
    """When a switch is polled."""
    shares, spacings = zip(*habits.poll_quantiles, strict=True)
    spacing = np.interp(draw.random(int(seconds / spacings[0]) + 2), shares, spacings)
    times = draw.random() * spacing[0] + np.cumsum(spacing)
    return np.asarray(times[times < seconds])


def _refreshes(draw: np.random.Generator, habits: Habits, seconds: float) -> NDArray[np.float64]:
    """When a switch begins to refresh its counters; empty if they are always fresh."""
    if not habits.refresh_seconds:
        return np.zeros(0)
    count = int(seconds / habits.refresh_seconds) + 4
    grid = (np.arange(count) - 2.0 + draw.random()) * habits.refresh_seconds
    return np.sort(grid + draw.normal(0.0, habits.refresh_jitter_seconds, count))


def _fresh(refreshes: NDArray[np.float64], polls: NDArray[np.float64]) -> NDArray[np.float64]:
    """From when what each of *polls* reads is."""
    if not refreshes.size:
        return polls
    newest = np.searchsorted(refreshes, polls, side="right") - 1
    return np.asarray(np.maximum(refreshes[np.maximum(newest, 0)], 0.0))
