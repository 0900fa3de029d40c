# SPDX-License-Identifier: Apache-2.0
"""Which collectors there are, and what each is made of: for the agent, and for its doctor.

All but those of windows and steps, which read nothing but the tapes.
"""

from __future__ import annotations

import time
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from railwatch_agent.collectors.ethtool import EthtoolCollector
from railwatch_agent.collectors.host import HostCollector
from railwatch_agent.collectors.infiniband import InfinibandCollector
from railwatch_agent.collectors.neighbor import NeighborCollector
from railwatch_agent.collectors.netdev import NetdevCollector
from railwatch_agent.collectors.pcie import PcieCollector
from railwatch_agent.collectors.tcp import TcpCollector
from railwatch_agent.sources.addresses import AddressReader
from railwatch_agent.sources.host import HostSource
from railwatch_agent.sources.lldp import LldpReader
from railwatch_agent.sources.topology import TopologyFile

if TYPE_CHECKING:
    from collections.abc import Callable

    from railwatch_agent.collectors.base import Collector
    from railwatch_agent.inventory import Rail
    from railwatch_agent.settings import AgentSettings, TopologySettings


def rail_collectors(
    settings: Callable[[], AgentSettings], rails: Callable[[], tuple[Rail, ...]]
) -> dict[str, Callable[[int], Collector]]:
    """Return by name what makes the collector of the rail of a number.

    There is one a rail, so that a driver that hangs hides its own rail only. *settings* answers
    with those in force.
    """
    sysfs = Path(settings().paths.sysfs)
    return {
        NetdevCollector.name: partial(NetdevCollector, rails=rails, sysfs=sysfs),
        InfinibandCollector.name: partial(
            InfinibandCollector,
            rails=rails,
            sysfs=sysfs,
            allowed=lambda: settings().rdma.counters,
        ),
        EthtoolCollector.name: partial(
            EthtoolCollector, rails=rails, settings=lambda: settings().ethtool
        ),
        PcieCollector.name: partial(PcieCollector, rails=rails, sysfs=sysfs),
    }


def node_collectors(
    settings: Callable[[], AgentSettings], rails: Callable[[], tuple[Rail, ...]]
) -> dict[str, Callable[[], Collector]]:
    """Return by name what makes the collectors of which there is one a node.

    *settings* answers with those in force.
    """
    procfs = Path(settings().paths.procfs)
    return {
        TcpCollector.name: lambda: TcpCollector(
            RailAddresses(rails, AddressReader()), monotonic=time.monotonic
        ),
        HostCollector.name: lambda: HostCollector(HostSource(procfs)),
        NeighborCollector.name: lambda: NeighborCollector(
            rails, ways=WaysToNeighbors(lambda: settings().topology)
        ),
    }


class WaysToNeighbors:
    """The topology file and lldpd, as *settings* name them at the moment; for one thread."""

    def __init__(self, settings: Callable[[], TopologySettings]) -> None:
        self._settings = settings
        self._known: TopologySettings | None = None
        self._ways: tuple[TopologyFile | None, LldpReader | None] = (None, None)

    def __call__(self) -> tuple[TopologyFile | None, LldpReader | None]:
        """Return them, None where one is not to be asked."""
        named = self._settings()
        if named != self._known:
            self._ways = (
                None if named.file is None else TopologyFile(Path(named.file)),
                LldpReader(Path(named.lldp_socket)) if named.lldp_socket else None,
            )
            self._known = named
        return self._ways


class RailAddresses:
    """The rails' labels by their IP addresses."""

    def __init__(self, rails: Callable[[], tuple[Rail, ...]], reader: AddressReader) -> None:
        self._rails = rails
        self._reader = reader

    def __call__(self) -> dict[str, tuple[str, str]]:
        """Return the labels as of now; raises SourceError."""
        addresses = self._reader.read()
        return {
            address: rail.labels
            for rail in self._rails()
            if rail.ifindex is not None
            for address in addresses.get(rail.ifindex, ())
        }
