# SPDX-License-Identifier: Apache-2.0
"""What is true of a simulated fleet: what is to blame for what, and since when."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

from railwatch_analyzer.simulation.faults import (
    BitErrors,
    BusyHost,
    Congestion,
    CounterReset,
    Downtrain,
    Flap,
    LateInput,
    LinkDown,
    LinkFault,
    Loss,
    PauseStorm,
    ReceiveCap,
    SlowGpu,
    SlowReceiver,
    SlowSwitch,
    SwitchFault,
    TransmitCap,
)

if TYPE_CHECKING:
    from railwatch_analyzer.frame import Link
    from railwatch_analyzer.simulation.faults import Fault
    from railwatch_analyzer.simulation.model import Simulation


class Blame(StrEnum):
    """What is at fault."""

    LINK = "link"
    NODE = "node"
    SWITCH = "switch"
    NOBODY = "nobody"


@dataclass(frozen=True, slots=True)
class Truth:
    """One fault as it should be found.

    Attributes
    ----------
    fault
        What was injected.
    blame
        What is at fault. A node's fault is no link's: an alarm on a link is false then.
    cause
        One of the causes of the contract: of a link (`down, flapping, speed, bandwidth, loss,
        congestion, host`), or for a node the kind of straggler (`compute, input, unknown`).
    links
        The links that are at fault; of a switch all of its ports.
    edge
        Where an observer of the ends can tell only an edge: the other ends that may be listed
        beside `links`.
    node, switch
        Empty where there is none.
    onset, end
        Seconds since the simulation began; `end` None is for good.
    """

    fault: Fault
    blame: Blame
    cause: str
    links: tuple[Link, ...]
    edge: tuple[Link, ...]
    node: str
    switch: str
    onset: float
    end: float | None


_CAUSES: dict[type, tuple[Blame, str]] = {
    TransmitCap: (Blame.LINK, "bandwidth"),
    ReceiveCap: (Blame.LINK, "bandwidth"),
    SlowReceiver: (Blame.LINK, "host"),
    PauseStorm: (Blame.LINK, "host"),
    Loss: (Blame.LINK, "loss"),
    BitErrors: (Blame.LINK, "loss"),
    LinkDown: (Blame.LINK, "down"),
    Flap: (Blame.LINK, "flapping"),
    SlowSwitch: (Blame.SWITCH, "bandwidth"),
    Congestion: (Blame.SWITCH, "congestion"),
    SlowGpu: (Blame.NODE, "compute"),
    LateInput: (Blame.NODE, "input"),
    BusyHost: (Blame.NODE, "unknown"),
    CounterReset: (Blame.NOBODY, ""),
}


def truths(simulation: Simulation) -> tuple[Truth, ...]:
    """Return what is true of *simulation*, in the order of its faults."""
    return tuple(_truth(simulation, fault) for fault in simulation.faults)


def _truth(simulation: Simulation, fault: Fault) -> Truth:
    topology = simulation.topology
    if isinstance(fault, Downtrain):
        blame, cause = Blame.LINK, "host" if fault.pcie else "speed"
    else:
        blame, cause = _CAUSES[type(fault)]
    links: tuple[Link, ...] = ()
    edge: tuple[Link, ...] = ()
    if isinstance(fault, LinkFault):
        links = (topology.links[topology.row(fault.node, fault.rail)],)
        edge = _neighbours(simulation, fault)
    elif isinstance(fault, SwitchFault):
        links = tuple(
            link
            for link, switch in zip(topology.links, topology.switches, strict=True)
            if switch == fault.switch
        )
    return Truth(
        fault=fault,
        blame=blame,
        cause=cause,
        links=links,
        edge=edge,
        node="" if isinstance(fault, SwitchFault) else fault.node,
        switch=fault.switch if isinstance(fault, SwitchFault) else "",
        onset=fault.start,
        end=fault.end,
    )


def _neighbours(simulation: Simulation, fault: LinkFault) -> tuple[Link, ...]:
    """The other end of the edge that the fault is on, in each ring of the node's jobs."""
    if isinstance(fault, Loss | TransmitCap):
        steps: tuple[int, ...] = (1,)
    elif isinstance(fault, ReceiveCap | BitErrors | SlowReceiver | PauseStorm):
        steps = (-1,)
    else:
        steps = (-1, 1)
    topology = simulation.topology
    return tuple(
        topology.links[
            topology.row(
                job.nodes[(job.nodes.index(fault.node) + step) % len(job.nodes)], fault.rail
            )
        ]
        for job in simulation.jobs
        if fault.node in job.nodes
        for step in (*steps, *(-step for step in steps if job.rings == 2))
    )
