# SPDX-License-Identifier: Apache-2.0
"""What an RDMA port counts besides bytes: packets, faults, congestion, waiting for credit.

Knowledge: `sources.rdma_drivers`, which says by driver what is in which file. One collector, and so
one thread, a rail. A counter that cannot be read costs itself; one that the driver refuses is not
asked for again until the device has been registered anew.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from railwatch.catalogue.metric import ReadFailure, Sample
from railwatch.catalogue.rail import RDMA_COUNTER
from railwatch.rates import Accumulator
from railwatch_agent.sources.errors import SourceError
from railwatch_agent.sources.infiniband import (
    PortCounter,
    counter_path,
    is_registered,
    port_directory,
)
from railwatch_agent.sources.rdma_drivers import counted_by

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

    from railwatch.catalogue.metric import MetricSpec
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
        Vendor counters to expose as they are, by the names of their files.
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
        allowed: Sequence[str] = (),
        open_counter: Callable[[Path], CounterFile] = PortCounter,
    ) -> None:
        self._number = number
        self._rails = rails
        self._sysfs = sysfs
        self._allowed = allowed
        self._open = open_counter
        self._port: tuple[RdmaPort, int | None] | None = None
        self._series: list[_Series] = []
        self._vendor: list[tuple[tuple[str, str, str], CounterFile]] = []

    def collect(self) -> Iterator[Sample | ReadFailure]:
        """Yield the port's counters; nothing for a rail without RDMA."""
        rail = next((rail for rail in self._rails() if rail.number == self._number), None)
        if rail is None or rail.rdma is None or not is_registered(self._sysfs, rail.rdma):
            self._port = None
            return
        if self._port != (rail.rdma, rail.ifindex):
            self._enumerate(rail, rail.rdma)
            self._port = (rail.rdma, rail.ifindex)
        for series in self._series:
            yield from series.read(rail)
        for labels, file in self._vendor:
            yield from _vendor(labels, file)

    def _enumerate(self, rail: Rail, port: RdmaPort) -> None:
        directory = port_directory(self._sysfs, port)
        self._series = []
        for counted in counted_by(port, has_netdev=rail.ifindex is not None):
            paths = [counter_path(directory, name) for name in counted.files]
            files = [self._open(path) for path in paths if path is not None]
            if files:
                self._series.append(_Series(counted.spec, counted.labels, files))
        self._vendor = []
        for name in self._allowed:
            path = counter_path(directory, f"counters/{name}")
            path = path or counter_path(directory, f"hw_counters/{name}")
            if path is not None:
                labels = (port.device, str(port.number), name)
                self._vendor.append((labels, self._open(path)))


class _Series:
    """One series and the files whose counters make it up."""

    def __init__(
        self, spec: MetricSpec, labels: tuple[str, ...], files: Sequence[CounterFile]
    ) -> None:
        self._spec = spec
        self._labels = labels
        self._files = files
        self._total = Accumulator()

    def read(self, rail: Rail) -> Iterator[Sample | ReadFailure]:
        """Yield the sum, as far as it could be read."""
        found: list[float | None] = []
        for file in self._files:
            try:
                found.append(file.read())
            except SourceError as exc:
                found.append(None)
                yield ReadFailure(file.path, str(exc))
        if any(value is not None for value in found):
            total = self._total.update(found)
            yield Sample(self._spec, (*rail.labels, *self._labels), total)


def _vendor(labels: tuple[str, str, str], file: CounterFile) -> Iterator[Sample | ReadFailure]:
    try:
        value = file.read()
    except SourceError as exc:
        yield ReadFailure(file.path, str(exc))
    else:
        if value is not None:
            yield Sample(RDMA_COUNTER, labels, value)
