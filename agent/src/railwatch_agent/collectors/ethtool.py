# SPDX-License-Identifier: Apache-2.0
"""What a rail's driver keeps beyond the kernel's common counters: pauses, FEC, the port's faults.

Reading takes the driver milliseconds under a lock that all of the network's configuration shares,
so it is done seldom, and more seldom where it is slow. Optics (power, temperature) are in module
EEPROM, which the kernel reads out for CAP_NET_ADMIN only: not read here.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Protocol, TypeVar

from railwatch.catalogue.metric import MetricType, ReadFailure, Sample
from railwatch.catalogue.rail import ETHTOOL_STATISTIC, RAIL_FAULTS, RAIL_FEC_CORRECTED_BITS, Fault
from railwatch_agent.collectors.ethtool_tables import TABLES, names
from railwatch_agent.collectors.pacing import PacedReading
from railwatch_agent.selection import Kind
from railwatch_agent.sources.errors import SourceError
from railwatch_agent.sources.ethtool import StatisticsReader
from railwatch_agent.sources.fec import FecReader

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from railwatch_agent.collectors.ethtool_tables import Table
    from railwatch_agent.inventory import Rail
    from railwatch_agent.sources.fec import FecCounts

T = TypeVar("T")


class Statistics(Protocol):
    """Some statistics of a device by name; raises SourceError."""

    def read(self, ifindex: int) -> Mapping[str, int] | None:
        """Return those that it keeps, None if it keeps none at all."""
        ...


class Fec(Protocol):
    """FEC counters of a device; raises SourceError."""

    def read(self, ifindex: int) -> FecCounts | None:
        """Return them, None if it keeps none."""
        ...


class EthtoolCollector:
    """Collects the rail of one number.

    Parameters
    ----------
    rails
        Answers with the inventory as it is now.
    allowed
        Exact names of statistics to expose as they are.
    statistics
        Makes a reader of the statistics of these names.
    """

    name = "ethtool"
    interval_seconds = 5.0

    def __init__(
        self,
        number: int,
        *,
        rails: Callable[[], tuple[Rail, ...]],
        allowed: Sequence[str] = (),
        statistics: Callable[[frozenset[str]], Statistics] = StatisticsReader,
        fec: Fec | None = None,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._number = number
        self._rails = rails
        self._allowed = tuple(allowed)
        self._open_statistics = statistics
        self._fec = FecReader() if fec is None else fec
        self._monotonic = monotonic
        self._device: _Device | None = None

    def collect(self) -> Iterator[Sample | ReadFailure]:
        """Yield what the driver says; a rail whose device is gone has nothing to say."""
        rail = next((rail for rail in self._rails() if rail.number == self._number), None)
        if rail is None or rail.ifindex is None:
            self._device = None
            return
        if self._device is None or self._device.key != (rail.ifindex, rail.driver, rail.kind):
            self._device = self._open(rail, rail.ifindex)
        yield from self._device.samples(rail)

    def _open(self, rail: Rail, ifindex: int) -> _Device:
        table = _table(rail)
        wanted = frozenset(names(table)) | frozenset(self._allowed)
        statistics = self._open_statistics(wanted) if wanted else None
        return _Device(
            (ifindex, rail.driver, rail.kind),
            table,
            self._allowed,
            statistics=None
            if statistics is None
            else self._paced(rail, "statistics", statistics.read),
            fec=None if rail.kind == Kind.INFINIBAND else self._paced(rail, "FEC", self._fec.read),
        )

    def _paced(self, rail: Rail, what: str, read: Callable[[int], T | None]) -> PacedReading[T]:
        ifindex = rail.ifindex or 0
        return PacedReading(
            f"rail={rail.number} device={rail.device} ethtool {what}",
            lambda: read(ifindex),
            interval_seconds=self.interval_seconds,
            monotonic=self._monotonic,
        )


def _table(rail: Rail) -> Table:
    """Return the rules of a rail's driver; the faults of an InfiniBand port are its RDMA device's.

    What two collectors say of one kind is added up, and these are the same events.
    """
    table = TABLES.get(rail.driver or "", ())
    if rail.kind != Kind.INFINIBAND:
        return table
    return tuple(rule for rule in table if rule.spec is not RAIL_FAULTS)


class _Device:
    """The readings of one device; *key* says which it is."""

    def __init__(
        self,
        key: tuple[int, str | None, str],
        table: Table,
        allowed: Sequence[str],
        *,
        statistics: PacedReading[Mapping[str, int]] | None,
        fec: PacedReading[FecCounts] | None,
    ) -> None:
        self.key = key
        self._table = table
        self._allowed = allowed
        self._statistics = statistics
        self._fec = fec

    def samples(self, rail: Rail) -> Iterator[Sample | ReadFailure]:
        """Yield what is known; what the driver does not tell, ethtool's netlink family may."""
        given: set[tuple[str, ...]] = set()
        for reading in (*self._from_statistics(rail), *self._from_fec(rail)):
            if isinstance(reading, Sample):
                key = (reading.spec.name, *reading.labels)
                if key in given:
                    continue
                given.add(key)
            yield reading

    def _from_statistics(self, rail: Rail) -> Iterator[Sample | ReadFailure]:
        if self._statistics is None:
            return
        try:
            found, is_fresh = self._statistics.latest()
        except SourceError as exc:
            yield ReadFailure(f"statistics of {rail.netdev}", str(exc))
            return
        for rule in self._table if found else ():
            # A gauge of long ago would read as health, or as a fault that never ends.
            if is_fresh or rule.spec.type is not MetricType.GAUGE:
                value = rule.value(found or {})
                if value is not None:
                    yield Sample(rule.spec, (*rail.labels, *rule.label), value)
        for name in self._allowed:
            if found and name in found:
                yield Sample(ETHTOOL_STATISTIC, (rail.device, name), found[name])

    def _from_fec(self, rail: Rail) -> Iterator[Sample | ReadFailure]:
        if self._fec is None:
            return
        try:
            counts, _ = self._fec.latest()
        except SourceError as exc:
            yield ReadFailure(f"FEC counters of {rail.netdev}", str(exc))
            return
        if counts is not None and counts.corrected_bits is not None:
            yield Sample(RAIL_FEC_CORRECTED_BITS, rail.labels, counts.corrected_bits)
        if counts is not None and counts.uncorrectable_blocks is not None:
            labels = (*rail.labels, Fault.FEC_UNCORRECTED)
            yield Sample(RAIL_FAULTS, labels, counts.uncorrectable_blocks)
