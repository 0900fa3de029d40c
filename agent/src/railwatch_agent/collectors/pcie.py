# SPDX-License-Identifier: Apache-2.0
"""The PCIe link below a rail's NIC: how wide and fast it came up, and the errors on it.

A NIC whose link came up narrower or slower than its peers' cannot move its line rate, and nothing
on the network's side says so.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from railwatch.catalogue.metric import ReadFailure, Sample
from railwatch.catalogue.rail import (
    RAIL_PCIE_ERRORS,
    RAIL_PCIE_GENERATION,
    RAIL_PCIE_GENERATION_MAX,
    RAIL_PCIE_WIDTH,
    RAIL_PCIE_WIDTH_MAX,
    Severity,
)
from railwatch_agent.sources.errors import SourceError
from railwatch_agent.sources.pcie import (
    LinkFact,
    parse_error_total,
    parse_generation,
    parse_width,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from railwatch.catalogue.metric import MetricSpec
    from railwatch_agent.inventory import Rail

# Each series: its family, the label values after rail and device, its file and how that is read.
_FACTS: tuple[tuple[MetricSpec, tuple[str, ...], str, Callable[[str], int | None]], ...] = (
    (RAIL_PCIE_WIDTH, (), "current_link_width", parse_width),
    (RAIL_PCIE_WIDTH_MAX, (), "max_link_width", parse_width),
    (RAIL_PCIE_GENERATION, (), "current_link_speed", parse_generation),
    (RAIL_PCIE_GENERATION_MAX, (), "max_link_speed", parse_generation),
    (RAIL_PCIE_ERRORS, (Severity.CORRECTABLE,), "aer_dev_correctable", parse_error_total),
    (RAIL_PCIE_ERRORS, (Severity.NONFATAL,), "aer_dev_nonfatal", parse_error_total),
    (RAIL_PCIE_ERRORS, (Severity.FATAL,), "aer_dev_fatal", parse_error_total),
)


class PcieCollector:
    """Collects the rail of one number; *rails* answers with the inventory as it is now."""

    name = "pcie"
    interval_seconds = 5.0

    def __init__(self, number: int, *, rails: Callable[[], tuple[Rail, ...]], sysfs: Path) -> None:
        self._number = number
        self._rails = rails
        self._sysfs = sysfs
        self._address: str | None = None
        self._facts: list[tuple[MetricSpec, tuple[str, ...], LinkFact]] = []

    def collect(self) -> Iterator[Sample | ReadFailure]:
        """Yield what is known of the link; a rail without a PCI function has none."""
        rail = next((rail for rail in self._rails() if rail.number == self._number), None)
        if rail is None or not rail.is_present or rail.pci_address is None:
            return
        if self._address != rail.pci_address:
            self._address = rail.pci_address
            self._facts = [
                (spec, label, LinkFact(self._sysfs, rail.pci_address, attribute, parse))
                for spec, label, attribute, parse in _FACTS
            ]
        for spec, label, fact in self._facts:
            try:
                value = fact.read()
            except SourceError as exc:
                yield ReadFailure(fact.what, str(exc))
            else:
                if value is not None:
                    yield Sample(spec, (*rail.labels, *label), value)
