# SPDX-License-Identifier: Apache-2.0
"""What the faults of the moment leave of the capacities that a job uses."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from railwatch_analyzer.simulation.faults import (
    BitErrors,
    BusyHost,
    Congestion,
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
    is_down,
)
from railwatch_analyzer.simulation.jobs import FOREVER

if TYPE_CHECKING:
    from collections.abc import Iterable

    from numpy.typing import NDArray

    from railwatch_analyzer.simulation.faults import Fault
    from railwatch_analyzer.simulation.jobs import Job
    from railwatch_analyzer.simulation.model import Simulation

# RS(544,514) FEC on PAM4 corrects up to this ratio (IEEE 802.3, clause 91 and 119).
_FEC_LIMIT = 2.4e-4
# Share of packets that are lost at the limit; ten times as many for each further 17 %.
_LOST_AT_LIMIT = 1e-4
_DECADES_PER_LOG = 15.0


@dataclass(slots=True)
class Conditions:
    """Capacities in bytes per second; links count rail * nodes + node within the job.

    Attributes
    ----------
    send, port, host
        Shape (links,): what the NIC puts on the wire, what its switch port puts on the wire to
        it, and what its host takes off it.
    storm
        Shape (links,), share of time for which the NIC pauses its switch port for no reason.
    sent_loss, received_loss
        Shape (links,), share of the packets that the NIC sends, or is sent, that are lost.
    errors
        Shape (links,), ratio of wrong bits that faults add on the way to the NIC.
    up
        Shape (links,).
    slowness, late, busy
        Shape (nodes,): factor on compute time, seconds by which input is late, share of the
        host's processors that something else takes.
    rivals
        Competing jobs on the uplinks.
    """

    send: NDArray[np.float64]
    port: NDArray[np.float64]
    host: NDArray[np.float64]
    storm: NDArray[np.float64]
    sent_loss: NDArray[np.float64]
    received_loss: NDArray[np.float64]
    errors: NDArray[np.float64]
    up: NDArray[np.bool_]
    slowness: NDArray[np.float64]
    late: NDArray[np.float64]
    busy: NDArray[np.float64]
    rivals: tuple[Congestion, ...] = ()


def conditions(simulation: Simulation, job: Job, seconds: float) -> Conditions:
    """Return what *job* finds at *seconds* since the simulation began."""
    nodes, rails = len(job.nodes), simulation.topology.rails
    now = _healthy(nodes, nodes * rails, simulation.topology.line_rate)
    for fault in simulation.faults:
        if not fault.holds_at(seconds):
            continue
        if isinstance(fault, SwitchFault):
            _switch(now, fault, simulation, job)
        elif fault.node not in job.nodes:
            continue
        elif isinstance(fault, LinkFault):
            _link(now, fault, fault.rail * nodes + job.nodes.index(fault.node), seconds)
        else:
            _node(now, fault, job.nodes.index(fault.node))
    now.send[~now.up] = 0.0
    now.port[~now.up] = 0.0
    return now


def edges_of(fault: Fault, begin: float, end: float) -> Iterable[float]:
    """Yield the moments from *begin* on at which *fault* begins, pauses, goes on or ends.

    Of a link that flaps, no further than *end*: it may do so for ever.
    """
    moments = [fault.start, fault.stop]
    if isinstance(fault, Flap):
        first = max(np.floor((begin - fault.start) / fault.period_seconds), 0.0)
        last = max(np.ceil((min(end, fault.stop) - fault.start) / fault.period_seconds), 0.0)
        downs = fault.start + np.arange(first, last) * fault.period_seconds
        moments += [*downs.tolist(), *(downs + fault.down_seconds).tolist()]
    return (moment for moment in moments if begin <= moment < FOREVER)


def _healthy(nodes: int, links: int, line_rate: float) -> Conditions:
    full, nothing = np.full(links, line_rate), np.zeros(links)
    return Conditions(
        send=full,
        port=full.copy(),
        host=full.copy(),
        storm=nothing,
        sent_loss=nothing.copy(),
        received_loss=nothing.copy(),
        errors=nothing.copy(),
        up=np.ones(links, dtype=np.bool_),
        slowness=np.ones(nodes),
        late=np.zeros(nodes),
        busy=np.zeros(nodes),
    )


def _link(now: Conditions, fault: LinkFault, at: int, seconds: float) -> None:
    match fault:
        case TransmitCap(share=share):
            now.send[at] *= share
        case ReceiveCap(share=share):
            now.port[at] *= share
        case Downtrain(share=share, pcie=pcie):
            now.send[at] *= share
            (now.host if pcie else now.port)[at] *= share
        case SlowReceiver(share=share):
            now.host[at] *= share
        case PauseStorm(share=share):
            now.storm[at] = max(now.storm[at], share)
        case Loss(share=share):
            now.sent_loss[at] = max(now.sent_loss[at], share)
        case BitErrors(ratio=ratio):
            now.errors[at] += ratio
            now.received_loss[at] = max(now.received_loss[at], uncorrected(ratio))
        case LinkDown() | Flap():
            now.up[at] &= not is_down(fault, np.array(seconds))
        case _:
            pass


def _node(now: Conditions, fault: Fault, at: int) -> None:
    match fault:
        case SlowGpu(factor=factor):
            now.slowness[at] *= factor
        case LateInput(seconds=seconds):
            now.late[at] += seconds
        case BusyHost(share=share):
            now.busy[at] = max(now.busy[at], share)
        case _:
            pass


def _switch(now: Conditions, fault: SwitchFault, simulation: Simulation, job: Job) -> None:
    topology = simulation.topology
    if isinstance(fault, Congestion):
        now.rivals = (*now.rivals, fault)
    elif isinstance(fault, SlowSwitch):
        for rail in range(topology.rails):
            for place, node in enumerate(job.nodes):
                if topology.switches[topology.row(node, rail)] == fault.switch:
                    now.port[rail * len(job.nodes) + place] *= fault.share


def uncorrected(ratio: float) -> float:
    """Return the share of packets that FEC cannot save at this *ratio* of wrong bits."""
    decades = _DECADES_PER_LOG * np.log10(ratio / _FEC_LIMIT)
    lost = _LOST_AT_LIMIT * 10.0 ** min(decades, 3.0)
    return 0.0 if lost < 1e-12 else float(min(lost, 0.1))
