# SPDX-License-Identifier: Apache-2.0
"""What the demonstration says of its simulation: told to the audience, not to railwatch."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from railwatch_analyzer.simulation.faults import LinkDown, TransmitCap
from railwatch_analyzer.terminal.wording import rate

if TYPE_CHECKING:
    from railwatch_analyzer.demonstration.scenario import Scenario


@dataclass(frozen=True, slots=True)
class Announcement:
    """One sentence and the second of the simulation at which it is true."""

    seconds: float
    text: str
    is_fault: bool = False


def announcements(plan: Scenario) -> list[Announcement]:
    """Return all there is to say of *plan*, in the order of time."""
    topology = plan.simulation.topology
    fleet = (
        f"{topology.nodes} nodes, {topology.rails} rails each at {rate(topology.line_rate)}; "
        + ", ".join(f"{job.job_id} on {len(job.nodes)} nodes" for job in plan.simulation.jobs)
    )
    said = [Announcement(0.0, fleet), Announcement(0.0, "all links are healthy")]
    for fault in plan.faults:
        said.append(Announcement(fault.start, f"fault: {begins(fault)}", is_fault=True))
        said.append(Announcement(fault.stop, f"repair: {_ends(fault)}"))
    return sorted(said, key=lambda announcement: announcement.seconds)


def begins(fault: TransmitCap | LinkDown) -> str:
    """Return what a fault does."""
    where = f"{fault.node} rail {fault.rail}"
    if isinstance(fault, LinkDown):
        return f"the link of {where} goes down"
    return f"{where} transmits at {100 * fault.share:.0f} % of line rate at most"


def injected(fault: TransmitCap | LinkDown) -> str:
    """Return what a fault was, afterwards."""
    where = f"{fault.node} rail {fault.rail}"
    if isinstance(fault, LinkDown):
        return f"{where} was down"
    return f"{where} transmitted at {100 * fault.share:.0f} % of line rate at most"


def _ends(fault: TransmitCap | LinkDown) -> str:
    where = f"{fault.node} rail {fault.rail}"
    return f"{where} is up again" if isinstance(fault, LinkDown) else f"{where} is whole again"
