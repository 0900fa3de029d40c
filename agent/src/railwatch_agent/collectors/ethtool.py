# SPDX-License-Identifier: Apache-2.0
"""What a rail's driver tells beyond the kernel's common counters: its own, settings, the module.

Reading takes the driver milliseconds under a lock that all of the network's configuration shares,
so it is done seldom, and more seldom where it is slow.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Protocol

from railwatch_agent.collectors.doors import kernel_doors
from railwatch_agent.collectors.driver_counters import DriverCounters
from railwatch_agent.collectors.link_settings import SETTINGS_SECONDS, LinkSettings
from railwatch_agent.collectors.module import ModuleReadings
from railwatch_agent.collectors.pacing import Attempts, Pacer
from railwatch_agent.selection import Kind
from railwatch_agent.settings import EthtoolSettings

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from railwatch.catalogue.metric import ReadFailure, Sample
    from railwatch_agent.collectors.doors import Doors
    from railwatch_agent.inventory import Rail


class Part(Protocol):
    """Some of what is told of one device."""

    def samples(self, rail: Rail, attempts: Attempts) -> Iterator[Sample]:
        """Yield what is known; what fails is left to *attempts*."""
        ...


class EthtoolCollector:
    """Collects the rail of one number.

    Parameters
    ----------
    rails
        Answers with the inventory as it is now.
    settings
        Answers with those in force; where they change, the device is opened anew.
    doors
        Those to the kernel by default.
    """

    name = "ethtool"
    interval_seconds = 5.0

    def __init__(
        self,
        number: int,
        *,
        rails: Callable[[], tuple[Rail, ...]],
        settings: Callable[[], EthtoolSettings] = EthtoolSettings,
        doors: Doors | None = None,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._number = number
        self._rails = rails
        self._settings = settings
        self._doors = kernel_doors() if doors is None else doors
        self._monotonic = monotonic
        self._device: tuple[int, str, str | None, str, EthtoolSettings] | None = None
        self._parts: tuple[Part, ...] = ()

    def collect(self) -> Iterator[Sample | ReadFailure]:
        """Yield what the driver says; a rail whose device is gone has nothing to say."""
        rail = next((rail for rail in self._rails() if rail.number == self._number), None)
        if rail is None or rail.ifindex is None:
            self._device, self._parts = None, ()
            return
        settings = self._settings()
        device = (rail.ifindex, rail.netdev, rail.driver, rail.kind, settings)
        if self._device != device:
            self._device, self._parts = device, self._open(rail, rail.ifindex, settings)
        attempts = Attempts()
        for part in self._parts:
            yield from part.samples(rail, attempts)
        yield from attempts.failures()

    def _open(self, rail: Rail, ifindex: int, settings: EthtoolSettings) -> tuple[Part, ...]:
        doors = self._doors
        pacer = Pacer(rail.netdev, ifindex, self.interval_seconds, self._monotonic)
        # Priorities, and ethtool's FEC, are Ethernet's.
        is_ethernet = rail.kind != Kind.INFINIBAND
        fec = pacer.reading("FEC counters", doors.fec) if is_ethernet else None
        pfc = pacer.reading("PFC settings", doors.pfc, SETTINGS_SECONDS) if is_ethernet else None
        parts: list[Part] = [
            DriverCounters(doors, pacer, rail=rail, settings=settings, fec=fec),
            LinkSettings(doors, pacer, fec=fec, pfc=pfc),
        ]
        if settings.module:
            parts.append(ModuleReadings(doors, pacer))
        return tuple(parts)
