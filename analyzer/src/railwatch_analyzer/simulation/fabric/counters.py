# SPDX-License-Identifier: Apache-2.0
"""What drivers count of what the flow-level model went through, by the names of the catalogue.

Events that come one by one (losses) are drawn around what the model expects; what comes in
thousands is rounded down.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from railwatch.catalogue.rail import (
    RAIL_CONGESTION,
    RAIL_CREDIT_WAIT,
    RAIL_FEC_CORRECTED_BITS,
    RAIL_PAUSE_SECONDS,
    RAIL_RECEIVED_BITS,
    Congestion,
    Direction,
)
from railwatch.catalogue.rail import Fault as Kind
from railwatch_analyzer.frame import column
from railwatch_analyzer.simulation.fabric.conditions import uncorrected
from railwatch_analyzer.simulation.fabric.dcqcn import PACKET_BYTES
from railwatch_analyzer.simulation.fabric.trail import Signal
from railwatch_analyzer.simulation.faults import BitErrors, PauseStorm
from railwatch_analyzer.simulation.model import Stream, stream
from railwatch_analyzer.simulation.topology import Layer

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from railwatch_analyzer.simulation.fabric.traffic import FlowTraffic
    from railwatch_analyzer.simulation.faults import LinkFault, TimedFault
    from railwatch_analyzer.simulation.model import Simulation

# A tick of port_xmit_wait on one family of adapters; others differ.
_CREDIT_TICK_SECONDS = 22e-9
_BITS = 8.0
_DRAWN = ((Kind.RETRANSMIT, Signal.RETRANSMIT), (Kind.OUT_OF_SEQUENCE, Signal.OUT_OF_SEQUENCE))


class FlowCounters:
    """Reads the counters of all links, portion by portion."""

    def __init__(self, simulation: Simulation) -> None:
        self._simulation = simulation
        self._links = simulation.topology.nodes * simulation.topology.rails
        bounds = simulation.noise.bit_error_ratio
        share = stream(simulation, Stream.COUNT, 0).random(self._links)
        # Error ratios of cables lie decades apart.
        self._errors = bounds[0] * (bounds[1] / max(bounds[0], 1e-30)) ** share
        self._draws = {
            kind: stream(simulation, Stream.COUNT, 1, n) for n, (kind, _) in enumerate(_DRAWN)
        }
        self._broken = stream(simulation, Stream.COUNT, 2)
        self._before = self._totals(np.zeros(1), ())
        self._drawn = {kind: np.zeros(self._links) for kind in (*self._draws, Kind.SYMBOL_ERROR)}

    def read(
        self, times: NDArray[np.float64], jobs: Sequence[FlowTraffic]
    ) -> tuple[NDArray[np.bool_], dict[Kind, NDArray[np.float64]], dict[str, NDArray[np.float64]]]:
        """Return whether queues were occupied, events by kind, and other counters by column.

        Shape (links, ticks) each; cumulative but for the first, and without what is spurious.
        """
        totals = self._totals(times, jobs)
        growth = np.diff(totals, axis=2, prepend=self._before)
        self._before = totals[:, :, -1:]
        queued = growth[Signal.QUEUED] > 0.5 * self._simulation.tick_seconds
        events = {
            kind: self._add(kind, self._draws[kind].poisson(growth[signal].T).T)
            for kind, signal in _DRAWN
        }
        events[Kind.ACK_TIMEOUT] = np.floor(totals[Signal.TIMEOUT])
        broken = self._broken.poisson(self._beyond_repair(times, growth[Signal.RECEIVED]).T).T
        events[Kind.SYMBOL_ERROR] = self._add(Kind.SYMBOL_ERROR, broken)
        events[Kind.FEC_UNCORRECTED] = events[Kind.SYMBOL_ERROR].copy()
        return queued, events, self._others(times, totals)

    def _totals(
        self, times: NDArray[np.float64], jobs: Sequence[FlowTraffic]
    ) -> NDArray[np.float64]:
        totals = np.zeros((len(Signal), self._links, times.size))
        for traffic in jobs:
            totals[:, traffic.rows.ravel()] += traffic.counted(times)
        return totals

    def _others(
        self, times: NDArray[np.float64], totals: NDArray[np.float64]
    ) -> dict[str, NDArray[np.float64]]:
        bits = np.floor(self._simulation.topology.line_rate * _BITS * times)
        others = {
            column(RAIL_RECEIVED_BITS): np.broadcast_to(bits, totals[0].shape).copy(),
            column(RAIL_FEC_CORRECTED_BITS): self._corrected(times),
        }
        if self._simulation.topology.layer is Layer.INFINIBAND:
            waits = np.floor(totals[Signal.PAUSED] / _CREDIT_TICK_SECONDS)
            return others | {column(RAIL_CREDIT_WAIT): waits}
        marked, sent, handled = (
            np.floor(totals[signal])
            for signal in (Signal.MARKED, Signal.CNP_SENT, Signal.CNP_HANDLED)
        )
        pausing = totals[Signal.PAUSING] + self._storms(times)
        return others | {
            column(RAIL_CONGESTION, Congestion.ECN_MARKED): marked,
            column(RAIL_CONGESTION, Congestion.CNP_SENT): sent,
            column(RAIL_CONGESTION, Congestion.CNP_HANDLED): handled,
            column(RAIL_PAUSE_SECONDS, Direction.RECEIVE): totals[Signal.PAUSED],
            column(RAIL_PAUSE_SECONDS, Direction.TRANSMIT): pausing,
        }

    def _corrected(self, times: NDArray[np.float64]) -> NDArray[np.float64]:
        wrong = self._errors[:, None] * times
        for fault in self._simulation.faults:
            if isinstance(fault, BitErrors):
                wrong[self._row(fault)] += fault.ratio * _held(fault, times)
        return np.floor(wrong * (self._simulation.topology.line_rate * _BITS))

    def _storms(self, times: NDArray[np.float64]) -> NDArray[np.float64]:
        seconds = np.zeros((self._links, times.size))
        for fault in self._simulation.faults:
            if isinstance(fault, PauseStorm):
                seconds[self._row(fault)] += fault.share * _held(fault, times)
        return seconds

    def _beyond_repair(
        self, times: NDArray[np.float64], received: NDArray[np.float64]
    ) -> NDArray[np.float64]:
        """Packets of each tick that FEC gave up on."""
        packets = np.zeros_like(received)
        for fault in self._simulation.faults:
            if isinstance(fault, BitErrors):
                row, lost = self._row(fault), uncorrected(fault.ratio)
                packets[row] += received[row] * (lost / PACKET_BYTES) * fault.holds_at(times)
        return np.maximum(packets, 0.0)

    def _add(self, kind: Kind, events: NDArray[np.int64]) -> NDArray[np.float64]:
        cumulative = np.cumsum(events, axis=1) + self._drawn[kind][:, None]
        self._drawn[kind] = cumulative[:, -1].copy()
        return np.asarray(cumulative, dtype=np.float64)

    def _row(self, fault: LinkFault) -> int:
        return self._simulation.topology.row(fault.node, fault.rail)


def _held(fault: TimedFault, times: NDArray[np.float64]) -> NDArray[np.float64]:
    """How long *fault* has been there by each of *times*."""
    return np.clip(times, fault.start, fault.stop) - fault.start
