# SPDX-License-Identifier: Apache-2.0
"""What a driver's own statistics say of a rail, and FEC counters where those do not."""

from __future__ import annotations

from typing import TYPE_CHECKING

from railwatch.catalogue.metric import MetricType, Sample
from railwatch.catalogue.rail import ETHTOOL_STATISTIC, RAIL_FAULTS, RAIL_FEC_CORRECTED_BITS, Fault
from railwatch_agent.collectors.ethtool_tables import PRIORITY_TABLES, TABLES, names
from railwatch_agent.selection import Kind

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from railwatch_agent.collectors.doors import Doors
    from railwatch_agent.collectors.ethtool_tables import Table
    from railwatch_agent.collectors.pacing import Attempts, PacedReading, Pacer
    from railwatch_agent.inventory import Rail
    from railwatch_agent.settings import EthtoolSettings
    from railwatch_agent.sources.fec import Fec


class DriverCounters:
    """The statistics of *rail*'s device; *fec* is a reading that others look at too."""

    def __init__(
        self,
        doors: Doors,
        pacer: Pacer,
        *,
        rail: Rail,
        settings: EthtoolSettings,
        fec: PacedReading[Fec] | None,
    ) -> None:
        by_priority = PRIORITY_TABLES.get(rail.driver or "", {})
        named = (rule for at in settings.priorities for rule in by_priority.get(at, ()))
        self._table = (*_table(rail), *named)
        self._settings = settings
        self._fec = fec
        wanted = frozenset(names(self._table)) | frozenset(settings.statistics)
        self._statistics: PacedReading[Mapping[str, int]] | None = None
        if wanted:
            self._statistics = pacer.reading("statistics", doors.statistics(wanted).read)

    def samples(self, rail: Rail, attempts: Attempts) -> Iterator[Sample]:
        """Yield what is known; what the driver does not tell, ethtool's netlink family may."""
        given: set[tuple[str, ...]] = set()
        for sample in (*self._from_statistics(rail, attempts), *self._from_fec(rail, attempts)):
            key = (sample.spec.name, *sample.labels)
            if key not in given:
                given.add(key)
                yield sample

    def _from_statistics(self, rail: Rail, attempts: Attempts) -> Iterator[Sample]:
        if self._statistics is None:
            return
        found, is_fresh = attempts.latest(self._statistics)
        if not found:
            return
        for rule in self._table:
            # A gauge of long ago would read as health, or as a fault that never ends.
            if is_fresh or rule.spec.type is not MetricType.GAUGE:
                value = rule.value(found)
                if value is not None:
                    yield Sample(rule.spec, (*rail.labels, *rule.label), value)
        for name in self._settings.statistics:
            if name in found:
                yield Sample(ETHTOOL_STATISTIC, (rail.device, name), found[name])

    def _from_fec(self, rail: Rail, attempts: Attempts) -> Iterator[Sample]:
        fec = attempts.value(self._fec)
        if fec is not None and fec.corrected_bits is not None:
            yield Sample(RAIL_FEC_CORRECTED_BITS, rail.labels, fec.corrected_bits)
        if fec is not None and fec.uncorrectable_blocks is not None:
            labels = (*rail.labels, Fault.FEC_UNCORRECTED)
            yield Sample(RAIL_FAULTS, labels, fec.uncorrectable_blocks)


def _table(rail: Rail) -> Table:
    """Return the rules of a rail's driver; the faults of an InfiniBand port are its RDMA device's.

    What two collectors say of one kind is added up, and these are the same events.
    """
    table = TABLES.get(rail.driver or "", ())
    if rail.kind != Kind.INFINIBAND:
        return table
    return tuple(rule for rule in table if rule.spec is not RAIL_FAULTS)
