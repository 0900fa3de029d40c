# SPDX-License-Identifier: Apache-2.0
"""Where the bytes of a rail are counted: by its network device, its RDMA port, or both.

On InfiniBand the port counts all, IP over it included. On Ethernet mlx5, bnxt_re, ionic and irdma
count RDMA apart from what the network device counts, so that a rail's bytes are the sum. Of a
driver that is not known the network device is taken alone: too little is better than twice. A rail
with one component shows the kernel's own value, and a reset as a fall; a sum begins at the sum of
the kernel's values and goes on when one of them is reset.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from railwatch_agent.sources.files import CounterFile
from railwatch_agent.sources.infiniband import PortCounter, counter_path, port_directory
from railwatch_agent.sources.rdma_drivers import counts_whole_link, table_of
from railwatch_agent.sources.summed import CounterPart, SummedCounter
from railwatch_agent.sources.sysfs import netdev_directory

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from railwatch_agent.inventory import Rail


class ByteCounters(NamedTuple):
    """What reads the bytes of a rail."""

    receive: SummedCounter
    transmit: SummedCounter


def byte_counters(
    rail: Rail, sysfs: Path, *, on_jump: Callable[[], None] = lambda: None
) -> ByteCounters:
    """Return what reads the bytes of *rail*; *on_jump* is that of `SummedCounter`."""
    receive, transmit = _parts(rail, sysfs)
    return ByteCounters(
        SummedCounter(receive, on_jump=on_jump), SummedCounter(transmit, on_jump=on_jump)
    )


def _parts(rail: Rail, sysfs: Path) -> tuple[list[CounterPart], list[CounterPart]]:
    statistics = netdev_directory(sysfs, rail.netdev) / "statistics"
    netdev = (statistics / "rx_bytes", statistics / "tx_bytes")
    port = rail.rdma
    has_netdev = rail.ifindex is not None
    is_whole = port is not None and counts_whole_link(port, has_netdev=has_netdev)
    if port is None or (not is_whole and not table_of(port).is_apart):
        return [CounterPart(CounterFile(netdev[0]))], [CounterPart(CounterFile(netdev[1]))]
    files = table_of(port).bytes
    directory = port_directory(sysfs, port)

    def parts(names: Sequence[str], beside: Path) -> list[CounterPart]:
        paths = (counter_path(directory, name) or directory / name for name in names)
        # All of them together must be there on a port that counts the whole link.
        is_optional = not is_whole or len(names) > 1
        found = [CounterPart(PortCounter(p), files.scale, is_optional) for p in paths]
        return found if is_whole else [*found, CounterPart(CounterFile(beside))]

    return parts(files.receive, netdev[0]), parts(files.transmit, netdev[1])
