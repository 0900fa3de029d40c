# SPDX-License-Identifier: Apache-2.0
"""The uplinks of leaf switches: shared by the flows that cross them, and by those of other jobs."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from railwatch_analyzer.simulation.fabric import dcqcn
from railwatch_analyzer.simulation.fabric.sharing import max_min

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from railwatch_analyzer.simulation.fabric.conditions import Conditions
    from railwatch_analyzer.simulation.fabric.trail import Demand
    from railwatch_analyzer.simulation.fabric.wiring import Wiring

XOFF_BYTES = 2e6
# Flows that fit into their share meet the queue that those which do not have made.
_MARKED_IN_OTHERS_QUEUE = 0.05


class Uplinks:
    """Queues of the crossing flows; what does not cross passes untouched."""

    def __init__(self, wiring: Wiring, demand: Demand, line_rate: float) -> None:
        self._wiring, self._demand, self._line_rate = wiring, demand, line_rate
        shape = demand.feed.shape
        self.queue: NDArray[np.float64] = np.zeros(shape)
        """Bytes of each flow that wait, shape (batch, flows)."""
        self.marked: NDArray[np.float64] = np.zeros(shape)
        """Share of each flow's packets that is marked now, shape (batch, flows)."""

    def forward(
        self,
        now: Conditions,
        leaving: NDArray[np.float64],
        seconds: float,
        tick_seconds: float,
    ) -> NDArray[np.float64]:
        """Return what each flow would hand to its receiver's leaf in a tick."""
        wanted = np.where(self._wiring.crossing, self.queue + leaving, 0.0)
        padded = np.concatenate((wanted, np.zeros((len(wanted), 1))), axis=1)
        own = padded[:, self._wiring.uplinks]
        everyone = np.concatenate((own, self._rivals(now, seconds, tick_seconds)), axis=2)
        capacity = self._line_rate * tick_seconds
        shares = max_min(everyone, np.full(everyone.shape[:2], capacity))
        got = np.zeros_like(padded)
        got[:, self._wiring.uplinks] = shares[:, :, : own.shape[2]]
        over = everyone.sum(axis=2) > capacity * 1.001
        marked = np.zeros_like(padded)
        marked[:, self._wiring.uplinks] = (over * _MARKED_IN_OTHERS_QUEUE)[:, :, None]
        self.marked = np.maximum(marked[:, :-1], dcqcn.marked_share(self.queue))
        return np.where(self._wiring.crossing, got[:, :-1], leaving)

    def room(
        self,
        leaving: NDArray[np.float64],
        handed_on: NDArray[np.float64],
        let: NDArray[np.float64],
    ) -> NDArray[np.float64]:
        """Return the share of *leaving* for which there is room on each flow's first switch."""
        room = XOFF_BYTES + handed_on - self.queue
        share = np.clip(room / np.maximum(leaving, 1.0), 0.0, 1.0)
        return np.where(self._wiring.crossing, share, let)

    def pass_on(
        self, entering: NDArray[np.float64], handed_on: NDArray[np.float64]
    ) -> NDArray[np.float64]:
        """Queue what *entering* flows bring; return what reaches their receivers' leaves."""
        passed = np.minimum(handed_on, self.queue + entering)
        self.queue = np.where(self._wiring.crossing, self.queue + entering - passed, 0.0)
        return np.where(self._wiring.crossing, passed, entering)

    def _rivals(self, now: Conditions, seconds: float, tick_seconds: float) -> NDArray[np.float64]:
        """Bytes that flows of other jobs want of each uplink, shape (batch, uplinks, flows)."""
        batch, switches = len(self.queue), self._wiring.uplink_switches
        wants = [np.zeros((batch, len(switches), 0))]
        for rival in now.rivals:
            here = np.array([switch == rival.switch for switch in switches])
            phase = np.mod(self._demand.rival_phase + seconds / rival.period_seconds, 1.0)
            each = rival.share * self._line_rate * tick_seconds / rival.flows
            want = (phase < rival.duty)[:, None] * here * each
            wants.append(np.repeat(want[:, :, None], rival.flows, axis=2))
        return np.concatenate(wants, axis=2)
