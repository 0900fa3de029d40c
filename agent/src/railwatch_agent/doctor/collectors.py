# SPDX-License-Identifier: Apache-2.0
"""The agent's collectors, made for one round each.

All but the window's, which has nothing to read but the tape.
"""

from __future__ import annotations

import time
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from railwatch_agent.agent import RailAddresses
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
    from railwatch_agent.settings import AgentSettings


def rail_collectors(
    settings: AgentSettings, rails: tuple[Rail, ...]
) -> dict[str, Callable[[int], Collector]]:
    """Return by name what makes the collector of the rail of a number."""
    sysfs = Path(settings.paths.sysfs)
    rdma, ethtool = settings.rdma.counters, settings.ethtool.statistics
    return {
        NetdevCollector.name: partial(NetdevCollector, rails=lambda: rails, sysfs=sysfs),
        InfinibandCollector.name: partial(
            InfinibandCollector, rails=lambda: rails, sysfs=sysfs, allowed=rdma
        ),
        EthtoolCollector.name: partial(EthtoolCollector, rails=lambda: rails, allowed=ethtool),
        PcieCollector.name: partial(PcieCollector, rails=lambda: rails, sysfs=sysfs),
    }


def node_collectors(
    settings: AgentSettings, rails: tuple[Rail, ...]
) -> dict[str, Callable[[], Collector]]:
    """Return by name what makes the collectors of which there is one a node."""
    topology = settings.topology
    return {
        TcpCollector.name: lambda: TcpCollector(
            RailAddresses(lambda: rails, AddressReader()), monotonic=time.monotonic
        ),
        HostCollector.name: lambda: HostCollector(HostSource(Path(settings.paths.procfs))),
        NeighborCollector.name: lambda: NeighborCollector(
            lambda: rails,
            file=None if topology.file is None else TopologyFile(Path(topology.file)),
            lldp=LldpReader(Path(topology.lldp_socket)) if topology.lldp_socket else None,
        ),
    }
