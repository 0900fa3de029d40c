# SPDX-License-Identifier: Apache-2.0
"""What happens to packets: occupied queues, retransmits, packets out of sequence, lost links.

The levels of a healthy node and the signs of a cap and of loss are those measured in a cluster
out of network namespaces (TCP); a healthy node is never at zero.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from railwatch.catalogue.rail import Fault as Kind
from railwatch_analyzer.simulation.faults import Flap, LinkDown, Loss, TransmitCap, downs
from railwatch_analyzer.simulation.model import Fidelity, Stream, stream

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from railwatch_analyzer.simulation.model import Simulation
    from railwatch_analyzer.simulation.nics import Nics
    from railwatch_analyzer.simulation.traffic import Traffic

_PACKET_BYTES = 4096.0
# Packets that overtake each lost one, as the receiver counts them.
_OUT_OF_SEQUENCE_PER_LOSS = 3.0
# A capped NIC that is sending finds its queue occupied nearly always.
_CAPPED_QUEUE = 0.95


class Events:
    """Draws what happens in each tick from how much was moved in it.

    The signs of caps and loss are drawn only for the paced model: from flows they emerge.
    """

    def __init__(self, simulation: Simulation, nics: Nics) -> None:
        self._simulation = simulation
        paced = simulation.fidelity is Fidelity.PACED
        self._faults = simulation.faults if paced else ()
        self._nics = nics
        purposes = (Stream.QUEUE, Stream.RETRANSMIT, Stream.OUT_OF_SEQUENCE)
        self._draws = {purpose: stream(simulation, purpose) for purpose in purposes}
        self._losses = [
            (fault, stream(simulation, Stream.LOSS, number))
            for number, fault in enumerate(self._faults)
            if isinstance(fault, Loss)
        ]
        links = nics.rate.size
        self._counted = {kind: np.zeros(links) for kind in (Kind.RETRANSMIT, Kind.OUT_OF_SEQUENCE)}

    def observe(
        self, times: NDArray[np.float64], growth: NDArray[np.float64], jobs: Sequence[Traffic]
    ) -> tuple[NDArray[np.bool_], dict[Kind, NDArray[np.float64]]]:
        """Return whether queues are occupied, and cumulative events by kind; (links, ticks) each.

        *growth* has shape (2, links, ticks): bytes sent and received for jobs in each tick.
        """
        load = self._load(times, growth, jobs)
        queued = self._queued(times, load[0], growth[0], jobs)
        events = self._spurious(load)
        for fault, draw in self._losses:
            self._lose(fault, draw, times, growth[0], events, jobs)
        for kind, before in self._counted.items():
            events[kind][:, 0] += before
            np.cumsum(events[kind], axis=1, out=events[kind])
            self._counted[kind] = events[kind][:, -1].copy()
        events[Kind.LINK_DOWNED] = self._downs(times)
        nothing = np.broadcast_to(0.0, load[0].shape)
        return queued, {kind: events.get(kind, nothing) for kind in Kind}

    def _load(
        self, times: NDArray[np.float64], growth: NDArray[np.float64], jobs: Sequence[Traffic]
    ) -> NDArray[np.float64]:
        """What is moved in each tick as a multiple of the healthy job's mean, as *growth*."""
        load = np.zeros_like(growth)
        for traffic in jobs:
            job, rows = traffic.job, traffic.rows.ravel()
            mean_bytes = job.bytes_per_step / job.step_seconds * self._simulation.tick_seconds
            load[:, rows] += growth[:, rows] * (_runs(traffic, times) / mean_bytes)
        return load

    def _queued(
        self,
        times: NDArray[np.float64],
        load: NDArray[np.float64],
        sent: NDArray[np.float64],
        jobs: Sequence[Traffic],
    ) -> NDArray[np.bool_]:
        """Whether each tick finds the queue occupied.

        Occupied in proportion to what is sent, so victims of someone else's cap are occupied
        less: they send the same in a longer step. A cap that the NIC cannot see (the receiver's)
        is no different for it.
        """
        chance = load * self._nics.queue_occupied[:, None]
        topology = self._simulation.topology
        for fault in self._faults:
            if isinstance(fault, TransmitCap):
                row = topology.row(fault.node, fault.rail)
                cap = fault.share * topology.line_rate
                throttled = fault.holds_at(times) & (_wanted(row, times, jobs) > cap)
                sending = np.minimum(sent[row] / (cap * self._simulation.tick_seconds), 1.0)
                chance[row] = np.where(throttled, _CAPPED_QUEUE * sending, chance[row])
        return np.asarray(self._uniform(Stream.QUEUE, chance.shape) < chance)

    def _spurious(self, load: NDArray[np.float64]) -> dict[Kind, NDArray[np.float64]]:
        """Events of healthy links, at most one a tick, in proportion to the bytes moved."""
        tick, shape = self._simulation.tick_seconds, load[0].shape
        again = load[0] * (self._nics.retransmits * tick)[:, None]
        apart = load[1] * (self._nics.out_of_sequence * tick)[:, None]
        return {
            Kind.RETRANSMIT: (self._uniform(Stream.RETRANSMIT, shape) < again) * 1.0,
            Kind.OUT_OF_SEQUENCE: (self._uniform(Stream.OUT_OF_SEQUENCE, shape) < apart) * 1.0,
        }

    def _lose(
        self,
        fault: Loss,
        draw: np.random.Generator,
        times: NDArray[np.float64],
        sent: NDArray[np.float64],
        events: dict[Kind, NDArray[np.float64]],
        jobs: Sequence[Traffic],
    ) -> None:
        """Add to *events* what the sender and its ring successor see of lost packets."""
        row = self._simulation.topology.row(fault.node, fault.rail)
        lost = fault.share / _PACKET_BYTES * np.maximum(sent[row], 0.0) * fault.holds_at(times)
        expected = lost[:, None] * np.array([1.0, _OUT_OF_SEQUENCE_PER_LOSS])
        retransmits, out_of_sequence = draw.poisson(expected).T
        events[Kind.RETRANSMIT][row] += retransmits
        for traffic in jobs:
            ring = traffic.rows[fault.rail]
            if row in ring:
                successor = np.roll(ring, -1)[ring == row]
                events[Kind.OUT_OF_SEQUENCE][successor] += out_of_sequence * _runs(traffic, times)

    def _downs(self, times: NDArray[np.float64]) -> NDArray[np.float64]:
        total = np.zeros((self._nics.rate.size, times.size))
        for fault in self._simulation.faults:
            if isinstance(fault, LinkDown | Flap):
                total[self._simulation.topology.row(fault.node, fault.rail)] += downs(fault, times)
        return total

    def _uniform(self, purpose: Stream, shape: tuple[int, ...]) -> NDArray[np.float32]:
        # Drawn tick by tick, so that the portions in which ticks are asked for do not matter.
        ticks_first = self._draws[purpose].random(shape[::-1], dtype=np.float32)
        return np.asarray(ticks_first.T)


def _runs(traffic: Traffic, times: NDArray[np.float64]) -> NDArray[np.bool_]:
    return (times >= traffic.job.start) & (times < traffic.job.end)


def _wanted(row: int, times: NDArray[np.float64], jobs: Sequence[Traffic]) -> NDArray[np.float64]:
    """Rate at which the NIC in *row* would send for its job while that communicates."""
    wanted = np.zeros(times.size)
    for traffic in jobs:
        if row in traffic.rows:
            wanted += traffic.job.burst_rate * _runs(traffic, times)
    return wanted
