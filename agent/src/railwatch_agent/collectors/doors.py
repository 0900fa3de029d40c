# SPDX-License-Identifier: Apache-2.0
"""The questions that the ethtool collector asks, each of a device by its interface index."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Protocol

from railwatch_agent.sources.dcb import PfcReader
from railwatch_agent.sources.ethtool import StatisticsReader
from railwatch_agent.sources.ethtool_netlink import EthtoolNetlink
from railwatch_agent.sources.fec import FEC, parse_fec
from railwatch_agent.sources.link import (
    LINK_INFO,
    LINK_MODES,
    LINK_STATE,
    PAUSE,
    parse_modes,
    parse_pause,
    parse_port,
    parse_state,
)
from railwatch_agent.sources.module import ControlMemory, ModuleReader, NetlinkMemory

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from railwatch_agent.sources.fec import Fec
    from railwatch_agent.sources.link import LinkModes, LinkState, PauseSettings
    from railwatch_agent.sources.optics import Module


class Statistics(Protocol):
    """Some statistics of a device by name; raises SourceError."""

    def read(self, ifindex: int) -> Mapping[str, int] | None:
        """Return those that it keeps, None if it keeps none at all."""
        ...


@dataclass(frozen=True, slots=True)
class Doors:
    """Each answers None if there is no such thing, and raises SourceError.

    `statistics` makes a reader of the statistics of these names.
    """

    statistics: Callable[[frozenset[str]], Statistics]
    fec: Callable[[int], Fec | None]
    link_state: Callable[[int], LinkState | None]
    link_modes: Callable[[int], LinkModes | None]
    port: Callable[[int], str | None]
    pause: Callable[[int], PauseSettings | None]
    pfc: Callable[[int], tuple[int, ...] | None]
    module: Callable[[int], Module | None]


def kernel_doors() -> Doors:
    """Return the doors to this machine's kernel, for one thread."""
    netlink = EthtoolNetlink()
    return Doors(
        statistics=StatisticsReader,
        fec=partial(netlink.ask, FEC, parse_fec),
        link_state=partial(netlink.ask, LINK_STATE, parse_state),
        link_modes=partial(netlink.ask, LINK_MODES, parse_modes),
        port=partial(netlink.ask, LINK_INFO, parse_port),
        pause=partial(netlink.ask, PAUSE, parse_pause),
        pfc=PfcReader().read,
        module=ModuleReader(NetlinkMemory(netlink), ControlMemory()).read,
    )
