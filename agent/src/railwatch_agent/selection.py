# SPDX-License-Identifier: Apache-2.0
"""Which network devices of a node count as rails, and by which rule.

Pure: what the machine has goes in, what is selected comes out.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

from railwatch_agent.sources.sysfs import INFINIBAND_TYPE, LOOPBACK_TYPE

if TYPE_CHECKING:
    from collections.abc import Sequence

    from railwatch_agent.sources.sysfs import Netdev


class Rule(StrEnum):
    """Why a device is a rail; an earlier rule that applies leaves the later ones out."""

    CONFIGURED = "configured"
    RDMA = "rdma"
    DEFAULT_ROUTE = "default_route"
    PHYSICAL = "physical"


class Kind(StrEnum):
    """What a rail speaks; values of the label `kind`."""

    INFINIBAND = "infiniband"
    ROCE = "roce"
    ETHERNET = "ethernet"


@dataclass(frozen=True, slots=True)
class Candidate:
    """A device that a rule selected, and what its number is bound to."""

    netdev: Netdev
    binding: str


def binding_of(netdev: Netdev) -> str:
    """What a rail's number is bound to: its place in the machine if it has one, else its name.

    Two ports of one PCI function are told apart by `dev_port`.
    """
    place = netdev.pci_address or netdev.device_name
    if place is None:
        return netdev.name
    return place if netdev.port == 0 else f"{place}/{netdev.port}"


def kind_of(netdev: Netdev) -> Kind:
    """What the device speaks."""
    if netdev.link_type == INFINIBAND_TYPE:
        return Kind.INFINIBAND
    return Kind.ROCE if netdev.rdma else Kind.ETHERNET


def find(netdevs: Sequence[Netdev], device: str) -> Netdev | None:
    """Return the device that configuration calls *device*: a netdev, RDMA device or PCI address."""
    for netdev in netdevs:
        if device == netdev.name:
            return netdev
    for netdev in netdevs:
        if not netdev.is_part and (device in netdev.rdma or device == netdev.pci_address):
            return netdev
    return None


def discover(
    netdevs: Sequence[Netdev], default_route: str | None
) -> tuple[Rule | None, list[Candidate]]:
    """Return the first rule that selects something, and what it selects."""
    whole = [n for n in netdevs if not n.is_part and n.link_type != LOOPBACK_TYPE]
    chosen: dict[Rule, list[Netdev]] = {
        Rule.RDMA: [netdev for netdev in whole if netdev.rdma],
        Rule.DEFAULT_ROUTE: [netdev for netdev in netdevs if netdev.name == default_route],
        Rule.PHYSICAL: [n for n in whole if n.device_name is not None and n.is_admin_up],
    }
    for rule, found in chosen.items():
        if found:
            return rule, [Candidate(netdev, binding_of(netdev)) for netdev in found]
    return None, []
