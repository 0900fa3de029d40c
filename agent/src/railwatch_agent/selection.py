# SPDX-License-Identifier: Apache-2.0
"""Which ports of a node count as rails, and by which rule.

Pure: what the machine has goes in, what is selected comes out. Never a rail: virtual functions,
subfunctions and representors, whose bytes pass the port that they share; a bond, whose members are
the rails; and a port that can do RDMA and whose link was never up, such as the unused planes of an
adapter or a second port without a cable. Configuration overrides all of that.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

from railwatch_agent.sources.infiniband import LinkLayer, RdmaPort, whole_ports
from railwatch_agent.sources.sysfs import INFINIBAND_TYPE, LOOPBACK_TYPE, Netdev

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Sequence


class Rule(StrEnum):
    """Why a port is a rail; an earlier rule that applies leaves the later ones out."""

    CONFIGURED = "configured"
    RDMA = "rdma"
    DEFAULT_ROUTE = "default_route"
    PHYSICAL = "physical"


class Kind(StrEnum):
    """What a rail speaks; values of the label `kind`. EFA's protocol goes over Ethernet."""

    INFINIBAND = "infiniband"
    ROCE = "roce"
    ETHERNET = "ethernet"


@dataclass(frozen=True, slots=True)
class Port:
    """A port of the machine: its network device, its RDMA port, or both.

    `is_capable` is true if it can do RDMA, `was_up` unless RDMA knows that its link never was.
    """

    netdev: Netdev | None
    rdma: RdmaPort | None
    is_capable: bool
    was_up: bool = True

    @property
    def is_part(self) -> bool:
        """Whether it shares a port with another one."""
        return self.netdev.is_part if self.netdev is not None else False

    @property
    def facts(self) -> Netdev | RdmaPort:
        """What knows its place in the machine."""
        found = self.netdev or self.rdma
        if found is None:
            raise ValueError("a port is a network device, an RDMA port, or both")
        return found


def join(
    netdevs: Sequence[Netdev], rdma: Iterable[RdmaPort], up: Collection[RdmaPort]
) -> tuple[Port, ...]:
    """Return the ports of a machine: each network device with its RDMA port, and what has none.

    *up* are the RDMA ports whose links have been up.
    """
    of_netdev: dict[str, RdmaPort] = {}
    alone: list[RdmaPort] = []
    for port in whole_ports(rdma):
        netdev = _netdev_of(port, netdevs)
        if netdev is None or netdev.name in of_netdev:
            alone.append(port)
        else:
            of_netdev[netdev.name] = port
    # A bond of RDMA ports has one RDMA device, on the function of its first member.
    bonds = {n.bond for n in netdevs if n.bond is not None and n.rdma}
    joined = [(netdev, of_netdev.get(netdev.name)) for netdev in netdevs]
    return (
        *(
            Port(n, r, is_capable=bool(n.rdma) or n.bond in bonds, was_up=r is None or r in up)
            for n, r in joined
        ),
        *(Port(None, r, is_capable=True, was_up=r in up) for r in alone),
    )


def _netdev_of(port: RdmaPort, netdevs: Sequence[Netdev]) -> Netdev | None:
    """The network device of a port: which it names, or which has its place on the function."""
    same = [n for n in netdevs if port.device in n.rdma and not n.is_part]
    for netdev in same:
        if netdev.name == port.netdev or netdev.port == port.number - 1:
            return netdev
    return same[0] if len(same) == 1 and port.number == 1 else None


def binding_of(port: Port) -> str:
    """What a rail's number is bound to: its place in the machine if it has one, else its name.

    Two ports of one PCI function are told apart by their number, which a network device has as
    `dev_port`, from 0. So a port has the same place with and without its RDMA driver.
    """
    netdev, rdma = port.netdev, port.rdma
    if netdev is None:
        place, at = (port.facts.pci_address or _name(port)), 0
    else:
        place, at = (netdev.pci_address or netdev.device_name or netdev.name), netdev.port
        if place == netdev.name:
            return place
    if rdma is not None and rdma.number > 1:
        at = rdma.number - 1
    return place if at == 0 else f"{place}/{at}"


def _name(port: Port) -> str:
    return port.rdma.device if port.rdma is not None else ""


def kind_of(port: Port) -> Kind:
    """What the port speaks."""
    layers = {LinkLayer.INFINIBAND: Kind.INFINIBAND, LinkLayer.ETHERNET: Kind.ROCE}
    if port.rdma is not None:
        return layers.get(port.rdma.link_layer, Kind.ETHERNET)
    if port.netdev is not None and port.netdev.link_type == INFINIBAND_TYPE:
        return Kind.INFINIBAND
    return Kind.ROCE if port.is_capable else Kind.ETHERNET


def find(ports: Sequence[Port], device: str) -> Port | None:
    """Return the port that configuration calls *device*: a netdev, RDMA device or PCI address.

    The second port of an RDMA device is `DEVICE/2`, that of a PCI function `ADDRESS/1`.
    """
    for port in ports:
        if port.netdev is not None and device == port.netdev.name:
            return port
    whole = [port for port in ports if not port.is_part]
    places = [port for port in whole if device == binding_of(port)]
    named = [port for port in whole if device in _names(port)]
    return next(iter([*places, *named]), None)


def _names(port: Port) -> set[str | None]:
    names = {port.facts.pci_address}
    if port.rdma is not None:
        names |= {port.rdma.device} if port.rdma.number == 1 else set()
        names.add(f"{port.rdma.device}/{port.rdma.number}")
    elif port.netdev is not None:
        names |= {*port.netdev.rdma}
    return names - {None}


def discover(
    ports: Sequence[Port], default_route: str | None, used: Collection[str] = ()
) -> tuple[Rule | None, list[Port]]:
    """Return the first rule that selects something, and what it selects.

    RDMA selects all capable ports as soon as one of them is, or was (*used*: their places), up: so
    that numbers follow the hardware, which is the same on all nodes, and not the cables.
    """
    chosen = {
        rule: [p for p in ports if exclusion(p, rule, default_route) is None]
        for rule in (Rule.RDMA, Rule.DEFAULT_ROUTE, Rule.PHYSICAL)
    }
    if not any(p.was_up or binding_of(p) in used for p in chosen[Rule.RDMA]):
        del chosen[Rule.RDMA]
    for rule, found in chosen.items():
        if found:
            return rule, found
    return None, []


def exclusion(port: Port, rule: Rule, default_route: str | None) -> str | None:
    """Return why a rule of discovery does not select *port*, None if it does."""
    netdev = port.netdev
    if rule is Rule.DEFAULT_ROUTE:
        is_routed = netdev is not None and netdev.name == default_route
        return None if is_routed else "not the interface of the default route"
    if netdev is not None and netdev.part is not None:
        return f"{netdev.part}: what it carries passes the port that it shares"
    if _is_loopback(port):
        return "loopback"
    if rule is Rule.RDMA:
        return None if port.is_capable else "cannot do RDMA, as others can"
    return None if _is_physical(port) else "no hardware of its own, or administratively down"


def _is_loopback(port: Port) -> bool:
    return port.netdev is not None and port.netdev.link_type == LOOPBACK_TYPE


def _is_physical(port: Port) -> bool:
    netdev = port.netdev
    return netdev is not None and netdev.device_name is not None and netdev.is_admin_up
