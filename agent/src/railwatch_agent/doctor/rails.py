# SPDX-License-Identifier: Apache-2.0
"""Which devices are rails and by which rule, and which are none and why not."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from railwatch_agent.doctor.findings import Finding, Section, Status
from railwatch_agent.inventory import Machine, read_machine, take_stock
from railwatch_agent.numbering import BookFile
from railwatch_agent.selection import Rule, exclusion
from railwatch_agent.sources.access import has_interface
from railwatch_agent.sources.errors import SourceError
from railwatch_agent.sources.infiniband import RdmaPort, read_ports, whole_ports
from railwatch_agent.sources.route import default_route_interface

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from railwatch_agent.inventory import Rail
    from railwatch_agent.selection import Port
    from railwatch_agent.settings import AgentSettings

_TO_INCLUDE: Final = "name all rails in [[rails]], this one among them"


@dataclass(frozen=True, slots=True)
class Stock:
    """What the inventory makes of this machine, and the RDMA ports that it makes nothing of."""

    machine: Machine
    rails: tuple[Rail, ...] = ()
    parts: tuple[RdmaPort, ...] = ()


def look_for_rails(settings: AgentSettings) -> Stock:
    """Take stock as the agent does, and change nothing; raises SourceError."""
    sysfs = Path(settings.paths.sysfs)
    book = BookFile(Path(settings.paths.state)).peek()
    try:
        route = default_route_interface(Path(settings.paths.procfs))
    except (SourceError, ValueError):
        # As the agent: without a route there is one rule less. The check of procfs tells.
        route = None
    machine = read_machine(sysfs, book, settings.rails, route)
    _, rails = take_stock(book, machine, settings.rails)
    ports = read_ports(sysfs)
    whole = whole_ports(ports)
    return Stock(machine, rails, tuple(port for port in ports if port not in whole))


def rail_findings(rails: Sequence[Rail]) -> Iterator[Finding]:
    """Yield what each rail is."""
    if not rails:
        yield Finding(
            Section.RAILS,
            "rails",
            Status.MISSING,
            "no device is configured, capable of RDMA, or routed",
            "load the NIC's driver, or name the devices in [[rails]]",
        )
    for rail in rails:
        if rail.is_present:
            yield Finding(Section.RAILS, rail.device, Status.OK, _facts(rail), rail=rail.number)
            continue
        yield Finding(
            Section.RAILS,
            rail.device,
            Status.ABSENT,
            f"known from before and gone; {_facts(rail)}",
            "see the kernel's log and the PCI bus",
            rail.number,
        )


def _facts(rail: Rail) -> str:
    numa = None if rail.numa_node is None else f"NUMA node {rail.numa_node}"
    known = (rail.kind, rail.driver, rail.pci_address, rail.netdev, numa)
    return f"{', '.join(fact for fact in known if fact)}; by rule {rail.selected_by}"


def namespace_findings(rails: Sequence[Rail]) -> Iterator[Finding]:
    """Yield whether sysfs, which shows the rails, and the agent's sockets are of one namespace."""
    devices = [(rail.ifindex, rail.netdev) for rail in rails if rail.ifindex is not None]
    if not devices:
        return
    what = "network namespace"
    if any(has_interface(index, name) for index, name in devices):
        yield Finding(Section.SOURCES, what, Status.OK, "sysfs and sockets are of the same one")
        return
    detail = "sysfs is of another one: sockets tell no queues, TCP or driver statistics of it"
    change = "run in the host's, as a pod with hostNetwork"
    yield Finding(Section.SOURCES, what, Status.MISSING, detail, change)


def left_out_findings(stock: Stock) -> Iterator[Finding]:
    """Yield the devices that are no rails, each with the rule that leaves it out."""
    rules = [Rule(rail.selected_by) for rail in stock.rails]
    for port in stock.machine.ports:
        if not any(_is_of(port, rail) for rail in stock.rails):
            name, reason = _name(port), _reason(port, rules, stock.machine.default_route)
            yield Finding(Section.LEFT_OUT, name, Status.OFF, reason, _TO_INCLUDE)
    for part in stock.parts:
        name = f"{part.device}/{part.number}"
        reason = part.part or "of several RDMA devices on one PCI function the first one counts"
        yield Finding(Section.LEFT_OUT, name, Status.OFF, reason)


def _reason(port: Port, rules: Sequence[Rule], default_route: str | None) -> str:
    if Rule.CONFIGURED in rules:
        return "[[rails]] does not name it"
    # Without a rail the last rule has been tried too.
    rule = rules[0] if rules else Rule.PHYSICAL
    return exclusion(port, rule, default_route) or "its link was never up"


def _name(port: Port) -> str:
    if port.netdev is not None:
        return port.netdev.name
    return "" if port.rdma is None else f"{port.rdma.device}/{port.rdma.number}"


def _is_of(port: Port, rail: Rail) -> bool:
    if port.netdev is not None and rail.ifindex is not None:
        return port.netdev.ifindex == rail.ifindex
    return port.rdma is not None and port.rdma == rail.rdma
