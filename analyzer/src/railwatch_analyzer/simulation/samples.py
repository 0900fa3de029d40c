# SPDX-License-Identifier: Apache-2.0
"""What a fast sampler would read off every NIC of the fleet, tick by tick."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from railwatch_analyzer.simulation.events import Events
from railwatch_analyzer.simulation.fabric.counters import FlowCounters
from railwatch_analyzer.simulation.fabric.traffic import FlowTraffic
from railwatch_analyzer.simulation.faults import (
    CounterReset,
    Flap,
    LinkDown,
    down_seconds,
    is_down,
)
from railwatch_analyzer.simulation.model import Fidelity, Stream, stream
from railwatch_analyzer.simulation.nics import nics
from railwatch_analyzer.simulation.traffic import JobTraffic

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from railwatch.catalogue.rail import Fault as Kind
    from railwatch_analyzer.simulation.model import Simulation
    from railwatch_analyzer.simulation.traffic import Traffic

# A reading is never shaken past the next one: counters must not fall.
_MOST_SHAKEN = 0.45
# A tick's rate is the difference of two readings, whose noises add up in quadrature.
_READINGS = 2**0.5


@dataclass(frozen=True, slots=True)
class Samples:
    """Consecutive ticks of all links.

    Attributes
    ----------
    times
        Shape (ticks,), seconds since the simulation began.
    transmit, receive
        Shape (links, ticks), cumulative bytes.
    queued
        Shape (links, ticks), whether bytes waited in the NIC's own queue.
    up
        Shape (links, ticks), whether the link can carry traffic.
    faults
        Cumulative events by kind, shape (links, ticks) each.
    more
        Other counters by the column of a frame, shape (links, ticks) each; flow model only.
    """

    times: NDArray[np.float64]
    transmit: NDArray[np.float64]
    receive: NDArray[np.float64]
    queued: NDArray[np.bool_]
    up: NDArray[np.bool_]
    faults: Mapping[Kind, NDArray[np.float64]]
    more: Mapping[str, NDArray[np.float64]] = field(default_factory=dict)


class Sampler:
    """Reads the fleet from its beginning on; what it reads does not depend on the portions."""

    def __init__(self, simulation: Simulation) -> None:
        self._simulation = simulation
        self._nics = nics(simulation)
        numbers = range(len(simulation.jobs))
        self._flows = [
            FlowTraffic(simulation, n, self._nics.rate) for n in numbers if _is_flow(simulation)
        ]
        self._jobs: Sequence[Traffic] = self._flows or [
            JobTraffic(simulation, n, self._nics.rate) for n in numbers
        ]
        self._counters = FlowCounters(simulation) if _is_flow(simulation) else None
        self._shake = [stream(simulation, s) for s in (Stream.TRANSMIT, Stream.RECEIVE)]
        self._events = Events(simulation, self._nics)
        self._resets = _Resets(simulation)
        self._tick = 0
        # A zeroth tick before the first, so that every tick has a growth.
        self._before = self._moved(np.zeros(1))

    def take(self, ticks: int) -> Samples:
        """Return the next *ticks* readings of everything."""
        numbers = np.arange(self._tick, self._tick + ticks)
        times = np.round(numbers * self._simulation.tick_seconds, 9)
        self._tick += ticks
        moved = self._moved(times)
        growth = np.diff(moved, axis=2, prepend=self._before)
        self._before = moved[:, :, -1:]
        queued, faults = self._events.observe(times, growth, self._jobs)
        more: dict[str, NDArray[np.float64]] = {}
        if self._counters is not None:
            emerged, events, more = self._counters.read(times, self._flows)
            queued = queued | emerged
            faults |= {kind: faults[kind] + count for kind, count in events.items()}
        self._forget(float(times[-1]))
        transmit, receive = np.floor(moved + self._beside(times))
        self._resets.apply(times, [transmit, receive, *faults.values(), *more.values()])
        return Samples(times, transmit, receive, queued, self._up(times), faults, more)

    def _forget(self, now: float) -> None:
        for traffic in self._jobs:
            traffic.forget(now - self._simulation.tick_seconds)

    def _moved(self, times: NDArray[np.float64]) -> NDArray[np.float64]:
        """Bytes that jobs have moved by *times*, shape (2, links, ticks): transmit, receive."""
        links = self._nics.rate.size
        moved = np.zeros((2, links, times.size))
        shaken = [self._shaken(draw, times, links) for draw in self._shake]
        for traffic in self._jobs:
            traffic.advance(float(times[-1]) + self._simulation.tick_seconds)
            nodes = np.arange(traffic.rows.shape[1])
            for rail, rows in enumerate(traffic.rows):
                moved[0, rows] += traffic.sent(rail, nodes, shaken[0][rows])
                moved[1, rows] += traffic.received(rail, nodes, shaken[1][rows])
        return moved

    def _shaken(
        self, draw: np.random.Generator, times: NDArray[np.float64], links: int
    ) -> NDArray[np.float64]:
        """Shake *times* a little, shape (links, ticks): rates get noise, and no byte is lost."""
        noise = draw.standard_normal((times.size, links), dtype=np.float32)
        noise *= self._simulation.noise.rate / _READINGS
        np.clip(noise, -_MOST_SHAKEN, _MOST_SHAKEN, out=noise)
        return np.asarray(times + self._simulation.tick_seconds * noise.T.astype(np.float64))

    def _beside(self, times: NDArray[np.float64]) -> NDArray[np.float64]:
        """Bytes counted before the simulation and beside jobs, shape (2, links, ticks)."""
        seconds = np.broadcast_to(times, (self._nics.rate.size, times.size)).copy()
        for fault in self._simulation.faults:
            if isinstance(fault, LinkDown | Flap):
                row = self._simulation.topology.row(fault.node, fault.rail)
                seconds[row] -= down_seconds(fault, times)
        return self._nics.counted[:, :, None] + self._nics.background[:, :, None] * seconds

    def _up(self, times: NDArray[np.float64]) -> NDArray[np.bool_]:
        up = np.ones((self._nics.rate.size, times.size), dtype=np.bool_)
        for fault in self._simulation.faults:
            if isinstance(fault, LinkDown | Flap):
                up[self._simulation.topology.row(fault.node, fault.rail)] &= ~is_down(fault, times)
        return up


def _is_flow(simulation: Simulation) -> bool:
    return simulation.fidelity is Fidelity.FLOW


class _Resets:
    """Counters that began anew: what each had counted by its last reset is taken off."""

    def __init__(self, simulation: Simulation) -> None:
        found = [fault for fault in simulation.faults if isinstance(fault, CounterReset)]
        found.sort(key=lambda fault: fault.start)
        self._resets = [(f.start, simulation.topology.row(f.node, f.rail)) for f in found]
        self._origins: dict[int, NDArray[np.float64]] = {}

    def apply(self, times: NDArray[np.float64], counters: Sequence[NDArray[np.float64]]) -> None:
        """Take off, in place, what *counters*, (links, ticks) each, had counted by then."""
        # What nothing has ever happened to is one zero seen many times.
        counters = [counter for counter in counters if counter.flags.writeable]
        raw = {row: np.array([counter[row] for counter in counters]) for _, row in self._resets}
        for number, (start, row) in enumerate(self._resets):
            first = int(np.searchsorted(times, start))
            if first == times.size:
                continue
            origins = self._origins.setdefault(number, raw[row][:, first])
            for counter, before, origin in zip(counters, raw[row], origins, strict=True):
                counter[row, first:] = before[first:] - origin
