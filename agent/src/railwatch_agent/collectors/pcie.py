# SPDX-License-Identifier: Apache-2.0
"""The PCIe link below a rail's NIC: how wide and fast it came up, and the errors on it.

A NIC whose link came up narrower or slower than its peers' cannot move its line rate, and nothing
on the network's side says so.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from railwatch.catalogue.metric import ReadFailure, Sample
from railwatch.catalogue.rail import (
    RAIL_PCIE_BANDWIDTH_RATIO,
    RAIL_PCIE_ERRORS,
    RAIL_PCIE_GENERATION,
    RAIL_PCIE_WIDTH,
    Severity,
)
from railwatch_agent.sources.errors import SourceError
from railwatch_agent.sources.pcie import (
    LinkFact,
    bandwidth,
    parse_error_total,
    parse_generation,
    parse_width,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from pathlib import Path

    from railwatch.catalogue.metric import MetricSpec
    from railwatch_agent.inventory import Rail

_NOW = ("current_link_width", "current_link_speed")
_POSSIBLE = ("max_link_width", "max_link_speed")
_PARSERS: dict[str, Callable[[str], int | None]] = {
    "current_link_width": parse_width,
    "current_link_speed": parse_generation,
    "max_link_width": parse_width,
    "max_link_speed": parse_generation,
    "aer_dev_correctable": parse_error_total,
    "aer_dev_nonfatal": parse_error_total,
    "aer_dev_fatal": parse_error_total,
}
# What is exposed as it stands: by file, its family and the label values after rail and device.
_PLAIN: dict[str, tuple[MetricSpec, tuple[str, ...]]] = {
    "current_link_width": (RAIL_PCIE_WIDTH, ()),
    "current_link_speed": (RAIL_PCIE_GENERATION, ()),
    "aer_dev_correctable": (RAIL_PCIE_ERRORS, (Severity.CORRECTABLE,)),
    "aer_dev_nonfatal": (RAIL_PCIE_ERRORS, (Severity.NONFATAL,)),
    "aer_dev_fatal": (RAIL_PCIE_ERRORS, (Severity.FATAL,)),
}


class PcieCollector:
    """Collects the rail of one number; *rails* answers with the inventory as it is now."""

    name = "pcie"
    interval_seconds = 5.0

    def __init__(self, number: int, *, rails: Callable[[], tuple[Rail, ...]], sysfs: Path) -> None:
        self._number = number
        self._rails = rails
        self._sysfs = sysfs
        self._address: str | None = None
        self._facts: dict[str, LinkFact] = {}

    def collect(self) -> Iterator[Sample | ReadFailure]:
        """Yield what is known of the link; a rail without a PCI function has none."""
        rail = next((rail for rail in self._rails() if rail.number == self._number), None)
        if rail is None or not rail.is_present or rail.pci_address is None:
            return
        if self._address != rail.pci_address:
            self._address = rail.pci_address
            self._facts = {
                attribute: LinkFact(self._sysfs, rail.pci_address, attribute, parse)
                for attribute, parse in _PARSERS.items()
            }
        known: dict[str, int] = {}
        for attribute, fact in self._facts.items():
            try:
                value = fact.read()
            except SourceError as exc:
                yield ReadFailure(fact.what, str(exc))
            else:
                if value is not None:
                    known[attribute] = value
        yield from _samples(rail, known)


def _samples(rail: Rail, known: Mapping[str, int]) -> Iterator[Sample]:
    """Yield what the numbers in *known*, by file, say of *rail*."""
    for attribute, (spec, labels) in _PLAIN.items():
        if attribute in known:
            yield Sample(spec, (*rail.labels, *labels), known[attribute])
    if known.keys() >= {*_NOW, *_POSSIBLE}:
        now, possible = (bandwidth(*(known[name] for name in link)) for link in (_NOW, _POSSIBLE))
        yield Sample(RAIL_PCIE_BANDWIDTH_RATIO, rail.labels, now / possible)
