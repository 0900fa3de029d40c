# SPDX-License-Identifier: Apache-2.0
"""What an RDMA port counts besides bytes: packets, faults, congestion, waiting for credit.

Knowledge: `sources.rdma_drivers`, which says by driver what is in which file. One collector a rail.
A counter that cannot be read costs itself; one that the driver refuses is not
asked for again until the device has been registered anew.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from railwatch.catalogue.rail import RDMA_COUNTER
from railwatch_agent.collectors.counter_set import CounterSeries, CounterSet
from railwatch_agent.sources.infiniband import (
    PortCounter,
    counter_path,
    is_registered,
    port_directory,
)
from railwatch_agent.sources.rdma_drivers import counted_by

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence
    from pathlib import Path

    from railwatch.catalogue.metric import MetricSpec, ReadFailure, Sample
    from railwatch_agent.inventory import Rail
    from railwatch_agent.sources.files import CounterFile
    from railwatch_agent.sources.infiniband import RdmaPort


class InfinibandCollector:
    """Collects the RDMA port of the rail of one number.

    Parameters
    ----------
    rails
        Answers with the inventory as it is now.
    sysfs
        Where it is mounted.
    allowed
        Answers with the vendor counters to expose as they are, by the names of their files.
    open_counter
        Makes what reads a counter.
    """

    name = "infiniband"
    interval_seconds = 1.0

    def __init__(
        self,
        number: int,
        *,
        rails: Callable[[], tuple[Rail, ...]],
        sysfs: Path,
        allowed: Callable[[], Sequence[str]] = tuple,
        open_counter: Callable[[Path], CounterFile] = PortCounter,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._number = number
        self._rails = rails
        self._sysfs = sysfs
        self._allowed = allowed
        self._open = open_counter
        self._monotonic = monotonic
        self._key: tuple[RdmaPort, int | None] | None = None
        self._directory = ""
        self._counters = CounterSet(())
        # Apart, as the list of names may change, and sums of the others are to go on.
        self._vendor_names: Sequence[str] = ()
        self._vendor_counters = CounterSet(())

    def collect(self) -> Iterator[Sample | ReadFailure]:
        """Yield the port's counters; nothing for a rail without RDMA."""
        rail = next((rail for rail in self._rails() if rail.number == self._number), None)
        if rail is None or rail.rdma is None:
            self._key = None
            return
        if self._key != (rail.rdma, rail.ifindex):
            self._directory = str(port_directory(self._sysfs, rail.rdma))
            self._counters = self._together(self._enumerate(rail, rail.rdma))
            self._key, self._vendor_names = (rail.rdma, rail.ifindex), ()
            self._vendor_counters = CounterSet(())
        if self._vendor_names != (names := self._allowed()):
            self._vendor_counters = self._together(self._enumerate_vendor(rail.rdma, names))
            self._vendor_names = names
        if not is_registered(self._directory, rail.rdma):
            self._key = None
            return
        yield from self._counters.read()
        yield from self._vendor_counters.read()

    def _together(self, series: Iterable[CounterSeries]) -> CounterSet:
        return CounterSet(list(series), monotonic=self._monotonic)

    def _enumerate(self, rail: Rail, port: RdmaPort) -> Iterator[CounterSeries]:
        directory = port_directory(self._sysfs, port)
        for counted in counted_by(port, has_netdev=rail.ifindex is not None):
            paths = [counter_path(directory, name) for name in counted.files]
            files = [self._open(path) for path in paths if path is not None]
            if files:
                yield self._counted(counted.spec, (*rail.labels, *counted.labels), files)

    def _enumerate_vendor(self, port: RdmaPort, names: Sequence[str]) -> Iterator[CounterSeries]:
        directory = port_directory(self._sysfs, port)
        for name in names:
            path = counter_path(directory, f"counters/{name}")
            path = path or counter_path(directory, f"hw_counters/{name}")
            if path is not None:
                labels = (port.device, str(port.number), name)
                yield self._counted(RDMA_COUNTER, labels, [self._open(path)])

    def _counted(
        self, spec: MetricSpec, labels: tuple[str, ...], files: Sequence[CounterFile]
    ) -> CounterSeries:
        return CounterSeries(
            spec,
            labels,
            files,
            interval_seconds=self.interval_seconds,
            monotonic=self._monotonic,
        )
