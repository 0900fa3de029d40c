# SPDX-License-Identifier: Apache-2.0
"""What the edges of a job's rings can carry at a moment, given the faults that hold then.

Edge e of a rail runs from node e of the job to node e + 1; the last runs to the first.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from railwatch_analyzer.simulation.faults import (
    Flap,
    LinkDown,
    LinkFault,
    Loss,
    ReceiveCap,
    SlowGpu,
    SwitchFault,
    TransmitCap,
    outage_end,
)

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from railwatch_analyzer.simulation.faults import Fault
    from railwatch_analyzer.simulation.jobs import Job
    from railwatch_analyzer.simulation.model import Simulation

# 1 % loss cost 3 % of a step in the namespace lab (TCP), which is 8 % of its communication.
# Go-back-N without selective repeat suffers far more; that is for a flow-level model.
_SLOWDOWN_PER_LOSS = 8.0


@dataclass(frozen=True, slots=True)
class Edges:
    """The edges of one job's rings, and the faults that concern them."""

    nodes: tuple[str, ...]
    line_rate: float
    faults: tuple[Fault, ...]

    def node_factors(self, start: float) -> NDArray[np.float64]:
        """Factor on each node's compute time in a step that begins at *start*, shape (nodes,)."""
        factors = np.ones(len(self.nodes))
        for fault in self.faults:
            if isinstance(fault, SlowGpu) and fault.holds_at(start):
                factors[self.nodes.index(fault.node)] *= fault.factor
        return factors

    def limit(
        self, begin: NDArray[np.float64], wanted: NDArray[np.float64], noise: NDArray[np.float64]
    ) -> NDArray[np.float64]:
        """Return the rate of each edge in a chunk that begins at *begin*, bytes per second.

        *begin* has shape (rails,), the others (rails, edges). A cap is noisy too: constant rates
        alone would give it away.
        """
        rates = wanted * noise
        for fault in self.faults:
            if not isinstance(fault, LinkFault) or not fault.holds_at(begin[fault.rail]):
                continue
            edge = self._edge(fault)
            if isinstance(fault, TransmitCap | ReceiveCap):
                cap = fault.share * self.line_rate * noise[fault.rail, edge]
                rates[fault.rail, edge] = min(rates[fault.rail, edge], cap)
            elif isinstance(fault, Loss):
                rates[fault.rail, edge] /= 1.0 + _SLOWDOWN_PER_LOSS * fault.share
        return np.minimum(rates, self.line_rate)

    def wait_for_links(
        self, start: NDArray[np.float64], seconds: NDArray[np.float64]
    ) -> NDArray[np.float64]:
        """Put off what an outage would interrupt until the link is back; shapes (rails, edges)."""
        begin = start.copy()
        for fault in self.faults:
            if not isinstance(fault, LinkDown | Flap):
                continue
            node = self.nodes.index(fault.node)
            for edge in (node, node - 1):
                at = float(begin[fault.rail, edge])
                over = outage_end(fault, at, at + float(seconds[fault.rail, edge]))
                if over is not None:
                    begin[fault.rail, edge] = over
        return begin

    def _edge(self, fault: LinkFault) -> int:
        node = self.nodes.index(fault.node)
        return node - 1 if isinstance(fault, ReceiveCap) else node


def edges(simulation: Simulation, job: Job) -> Edges:
    """Return the edges of *job* with the faults of its own nodes."""
    mine = tuple(
        fault
        for fault in simulation.faults
        if not isinstance(fault, SwitchFault) and fault.node in job.nodes
    )
    return Edges(job.nodes, simulation.topology.line_rate, mine)
