# SPDX-License-Identifier: Apache-2.0
"""Which flow goes from which NIC to which, and which flows share an uplink of a leaf switch.

A flow has the place of the NIC that sends it: ring * links + rail * nodes + node. The first ring
goes from each node of the job to the next, the second, where there is one, the other way round.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from railwatch_analyzer.simulation.model import Stream, stream

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from railwatch_analyzer.simulation.jobs import Job
    from railwatch_analyzer.simulation.model import Simulation


@dataclass(frozen=True, slots=True)
class Wiring:
    """The flows of one job.

    Attributes
    ----------
    rings, rails, nodes
        Their numbers; links = rails * nodes.
    receiver
        Shape (flows,), the link into which a flow goes.
    before, after
        Shape (flows,), the flow of the same ring that arrives at a flow's sender, and the one
        that leaves its receiver.
    rows
        Shape (rails, nodes), row of each link in the topology.
    crossing
        Shape (flows,), whether a flow goes over uplinks to another leaf.
    uplinks
        Shape (uplinks, most flows), the flows of each uplink that any takes; padded with `flows`.
    uplink_switches
        The leaf of each of `uplinks`.
    """

    rings: int
    rails: int
    nodes: int
    receiver: NDArray[np.intp]
    before: NDArray[np.intp]
    after: NDArray[np.intp]
    rows: NDArray[np.intp]
    crossing: NDArray[np.bool_]
    uplinks: NDArray[np.intp]
    uplink_switches: tuple[str, ...]

    @property
    def links(self) -> int:
        """How many NICs the job has."""
        return self.rails * self.nodes

    @property
    def flows(self) -> int:
        """How many flows there are."""
        return self.rings * self.links

    def sent(self, flows: NDArray[np.float64]) -> NDArray[np.float64]:
        """Add up (batch, flows) by the link that sends, (batch, links)."""
        if self.rings == 1:
            return flows
        return np.asarray(self.by_ring(flows).sum(axis=1))

    def received(self, flows: NDArray[np.float64]) -> NDArray[np.float64]:
        """Add up (batch, flows) by the link that receives, (batch, links)."""
        return self.sent(flows.take(self.before, axis=1))

    def by_ring(self, flows: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return (batch, flows) as (batch, rings, links), by the link that sends."""
        return flows.reshape(-1, self.rings, self.links)

    def of_senders(self, links: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return what (batch, links) is for the sender of each flow."""
        return links if self.rings == 1 else np.tile(links, self.rings)

    def of_receivers(self, links: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return what (batch, links) is for the receiver of each flow."""
        return links.take(self.receiver, axis=1)


def wiring(simulation: Simulation, job: Job, number: int) -> Wiring:
    """Return the flows of *job*, which has *number*."""
    topology = simulation.topology
    places = {name: place for place, name in enumerate(topology.names)}
    nodes = np.array([places[node] for node in job.nodes])
    rows = nodes[None, :] * topology.rails + np.arange(topology.rails)[:, None]
    links = np.arange(rows.size).reshape(rows.shape)
    receiver = np.concatenate([np.roll(links, -1, axis=1), np.roll(links, 1, axis=1)][: job.rings])
    receiver = receiver.ravel()
    ring = np.repeat(np.arange(job.rings), links.size) * links.size
    after = ring + receiver
    before = np.empty_like(after)
    before[after] = np.arange(after.size)
    switches = np.array(topology.switches)[rows].ravel()
    leaving = np.tile(switches, job.rings)
    crossing = leaving != switches[receiver]
    hashed = stream(simulation, Stream.UPLINK, number).integers(topology.uplinks, size=after.size)
    uplinks, uplink_switches = _uplinks(leaving, hashed, crossing)
    return Wiring(
        rings=job.rings,
        rails=topology.rails,
        nodes=nodes.size,
        receiver=receiver,
        before=before,
        after=after,
        rows=rows,
        crossing=crossing,
        uplinks=uplinks,
        uplink_switches=uplink_switches,
    )


def _uplinks(
    leaving: NDArray[np.str_], hashed: NDArray[np.int64], crossing: NDArray[np.bool_]
) -> tuple[NDArray[np.intp], tuple[str, ...]]:
    """Group the crossing flows by the leaf and the uplink that they leave by."""
    groups: dict[tuple[str, int], list[int]] = {}
    for flow in np.flatnonzero(crossing).tolist():
        groups.setdefault((str(leaving[flow]), int(hashed[flow])), []).append(flow)
    most = max(map(len, groups.values()), default=0)
    padded = np.full((len(groups), most), crossing.size, dtype=np.intp)
    for place, members in enumerate(groups.values()):
        padded[place, : len(members)] = members
    return padded, tuple(switch for switch, _ in groups)
