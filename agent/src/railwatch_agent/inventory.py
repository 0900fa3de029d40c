# SPDX-License-Identifier: Apache-2.0
"""The rails of this node: found again and again, under numbers that stay.

`take_stock` is the rule, a pure function of what is remembered, what the machine shows and what is
configured. `Inventory` runs it every few seconds and remembers the answer.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from railwatch.catalogue import ReadFailure, Sample
from railwatch_agent.numbering import Book, Record, assign, place_order
from railwatch_agent.selection import (
    Candidate,
    Kind,
    Rule,
    binding_of,
    discover,
    find,
    kind_of,
)
from railwatch_agent.sources.errors import SourceError
from railwatch_agent.sources.route import default_route_interface
from railwatch_agent.sources.sysfs import read_netdevs

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence
    from pathlib import Path

    from railwatch.clock import Clock
    from railwatch_agent.numbering import BookFile
    from railwatch_agent.settings import RailSettings
    from railwatch_agent.sources.sysfs import Netdev

log = logging.getLogger(__name__)

# How long no new rail may have come for a first boot to be over.
SETTLE_SECONDS = 60.0


@dataclass(frozen=True, slots=True)
class Rail:
    """One physical port; `ifindex` is None while there is no such device."""

    number: int
    device: str
    netdev: str
    kind: str
    driver: str | None
    pci_address: str | None
    numa_node: int | None
    gpu: int | None
    selected_by: str
    line_rate_override: float | None
    ifindex: int | None = None

    @property
    def labels(self) -> tuple[str, str]:
        """Values of the labels `rail` and `device`."""
        return str(self.number), self.device


@dataclass(frozen=True, slots=True)
class Machine:
    """What the machine shows of its network devices at one moment."""

    netdevs: tuple[Netdev, ...]
    default_route: str | None


def read_machine(
    sysfs: Path,
    book: Book,
    configured: Sequence[RailSettings],
    default_route: str | None,
    before: Machine | None = None,
) -> Machine:
    """Return the devices that can be rails: all with hardware, and those that have a name for it.

    *before* is what was read last, for what does not change.

    Raises
    ------
    SourceError
        sysfs cannot be listed.
    """
    named = {rail.device for rail in configured} | {record.netdev for record in book.records}
    if default_route is not None:
        named.add(default_route)
    known = () if before is None else before.netdevs
    return Machine(tuple(read_netdevs(sysfs, named, known)), default_route)


def take_stock(
    book: Book, machine: Machine, configured: Sequence[RailSettings]
) -> tuple[Book, tuple[Rail, ...]]:
    """Return what is to be remembered now, and the rails in the order of their numbers."""
    if configured:
        return _take_configured(book, machine, configured)
    return _take_discovered(book, machine)


def _take_configured(
    book: Book, machine: Machine, configured: Sequence[RailSettings]
) -> tuple[Book, tuple[Rail, ...]]:
    found: dict[str, tuple[RailSettings, Netdev | None]] = {}
    known = {record.binding: record.number for record in book.records}
    for wanted in configured:
        netdev = find(machine.netdevs, wanted.device)
        binding = _configured_binding(book, wanted.device, netdev)
        # Never seen so far, it was bound to its name; now it has a place.
        if binding != wanted.device and wanted.device in known:
            known.setdefault(binding, known.pop(wanted.device))
        found.setdefault(binding, (wanted, netdev))
    fixed = {b: wanted.rail for b, (wanted, _) in found.items() if wanted.rail is not None}
    taken = {b: n for b, n in known.items() if b not in fixed and n not in fixed.values()}
    free = assign((b for b in found if b not in fixed), taken, fixed.values())
    numbers = {**free, **fixed}
    old = book.by_binding()
    records = {b: old[b] for b in taken if b in old}
    rails: list[Rail] = []
    for binding, (wanted, netdev) in found.items():
        record = _record(numbers[binding], binding, Rule.CONFIGURED, netdev, old.get(binding))
        if netdev is None and binding not in old:
            record = replace(record, netdev=wanted.device)
        records[binding] = record
        rails.append(_rail(record, netdev, wanted.line_rate_bytes_per_second))
    return _answer(records.values(), rails, is_settled=book.is_settled)


def _configured_binding(book: Book, device: str, netdev: Netdev | None) -> str:
    """What a configured rail is bound to; one that is gone, to what it was bound to before."""
    if netdev is not None:
        return binding_of(netdev)
    for record in book.records:
        if record.rule is Rule.CONFIGURED and device in {record.netdev, record.pci_address}:
            return record.binding
    return device


def _take_discovered(book: Book, machine: Machine) -> tuple[Book, tuple[Rail, ...]]:
    rule, candidates = discover(machine.netdevs, machine.default_route)
    # Rails of a stronger rule that are remembered do not give way to a weaker one: eight dead NICs
    # are eight rails that are gone, not a node whose rail is its default route.
    effective = _strongest([rule, *(record.rule for record in book.records)])
    if effective is None:
        return book, ()
    found = _found(candidates) if rule is effective else {}
    kept = [r for r in book.records if r.rule is Rule.CONFIGURED or r.rule is effective]
    if effective is Rule.DEFAULT_ROUTE and found:
        kept = [r for r in kept if r.rule is Rule.CONFIGURED or r.binding in found]
    for record in kept:
        if record.rule is effective and record.binding not in found:
            found[record.binding] = _present(machine, record.binding)
    is_settled = book.is_settled and any(record.rule is effective for record in book.records)
    numbers = _discovered_numbers(kept, found, is_settled=is_settled)
    old = {record.binding: record for record in kept}
    records = {b: _record(numbers[b], b, effective, n, old.get(b)) for b, n in found.items()}
    rails = [_rail(record, found[record.binding], None) for record in records.values()]
    return _answer({**old, **records}.values(), rails, is_settled=is_settled)


def _strongest(rules: Sequence[Rule | None]) -> Rule | None:
    """The strongest rule of discovery among *rules*; numbers that were configured are none."""
    return next((rule for rule in Rule if rule is not Rule.CONFIGURED and rule in rules), None)


def _found(candidates: Iterable[Candidate]) -> dict[str, Netdev | None]:
    found: dict[str, Netdev | None] = {}
    for candidate in candidates:
        if found.setdefault(candidate.binding, candidate.netdev) is not candidate.netdev:
            log.debug("netdev=%s shares %s", candidate.netdev.name, candidate.binding)
    return found


def _present(machine: Machine, binding: str) -> Netdev | None:
    """The device at a place, whatever its name is now."""
    return next((n for n in machine.netdevs if not n.is_part and binding_of(n) == binding), None)


def _discovered_numbers(
    kept: Sequence[Record], found: Iterable[str], *, is_settled: bool
) -> dict[str, int]:
    ordered = sorted(found, key=place_order)
    taken = {r.binding: r.number for r in kept if is_settled or r.rule is Rule.CONFIGURED}
    return assign(ordered, taken)


def _record(
    number: int, binding: str, rule: Rule, netdev: Netdev | None, old: Record | None
) -> Record:
    """What is known of a device: what it shows now, or what it showed when it was last there."""
    if netdev is None:
        blank = Record(number, binding, rule, binding, Kind.ETHERNET, None, None, None)
        return blank if old is None else replace(old, number=number, rule=rule)
    return Record(
        number=number,
        binding=binding,
        rule=rule,
        netdev=netdev.name,
        kind=kind_of(netdev),
        driver=netdev.driver,
        pci_address=netdev.pci_address,
        numa_node=netdev.numa_node,
    )


def _rail(record: Record, netdev: Netdev | None, line_rate: float | None) -> Rail:
    return Rail(
        number=record.number,
        device=record.netdev,
        netdev=record.netdev,
        kind=record.kind,
        driver=record.driver,
        pci_address=record.pci_address,
        numa_node=record.numa_node,
        gpu=None,
        selected_by=record.rule,
        line_rate_override=line_rate,
        ifindex=None if netdev is None else netdev.ifindex,
    )


def _answer(
    records: Iterable[Record], rails: Iterable[Rail], *, is_settled: bool
) -> tuple[Book, tuple[Rail, ...]]:
    ordered = tuple(sorted(records, key=lambda record: record.number))
    return Book(ordered, is_settled), tuple(sorted(rails, key=lambda rail: rail.number))


class Inventory:
    """Knows the rails as of the last scan; the collector that scans runs in a worker of its own.

    *book_file* keeps the numbers over restarts.
    """

    name = "inventory"
    interval_seconds = 5.0

    def __init__(
        self,
        *,
        sysfs: Path,
        procfs: Path,
        configured: Sequence[RailSettings],
        book_file: BookFile,
        clock: Clock,
    ) -> None:
        self._sysfs = sysfs
        self._procfs = procfs
        self._configured = configured
        self._book_file = book_file
        self._clock = clock
        self._machine: Machine | None = None
        self._book: Book | None = None
        self._is_saved = True
        self._newest_place = 0.0
        self._rails: tuple[Rail, ...] | None = None

    def rails(self) -> tuple[Rail, ...]:
        """Return the rails as of the last scan; the same object until something has changed."""
        return self._rails or ()

    def collect(self) -> Iterator[Sample | ReadFailure]:
        """Scan the machine once; what could not be read leaves the rails as they were."""
        try:
            default_route = default_route_interface(self._procfs)
        except (SourceError, ValueError) as exc:
            default_route = None
            yield ReadFailure("default route", str(exc))
        before = self._book_file.read() if self._book is None else self._book
        try:
            self._machine = read_machine(
                self._sysfs, before, self._configured, default_route, self._machine
            )
        except SourceError as exc:
            yield ReadFailure("network devices", str(exc))
        else:
            self._update(before, self._machine)

    def _update(self, before: Book, machine: Machine) -> None:
        book, rails = take_stock(before, machine, self._configured)
        book = self._settled(before, book)
        if book != before or not self._is_saved:
            self._is_saved = self._book_file.write(book)
        self._book = book
        if rails != self._rails:
            _log_change(self._rails or (), rails)
            self._rails = rails

    def _settled(self, before: Book, book: Book) -> Book:
        """End the first boot once no new place has come for a while."""
        now = self._clock.monotonic()
        if self._book is None or book.by_binding().keys() - before.by_binding().keys():
            self._newest_place = now
        if not book.records or now - self._newest_place < SETTLE_SECONDS:
            return book
        return replace(book, is_settled=True)


def _log_change(before: Sequence[Rail], rails: Sequence[Rail]) -> None:
    if not rails:
        log.warning("no rail found: no network device is configured, capable of RDMA, or routed")
    for rail in (rail for rail in rails if rail not in before):
        log.info(
            "rail=%d device=%s present=%d kind=%s selected_by=%s",
            rail.number,
            rail.device,
            rail.ifindex is not None,
            rail.kind,
            rail.selected_by,
        )
