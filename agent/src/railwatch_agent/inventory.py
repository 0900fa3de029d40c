# SPDX-License-Identifier: Apache-2.0
"""The rails of this node: found again and again, under numbers that stay.

`take_stock` is the rule, a pure function of what is remembered, what the machine shows and what is
configured. `Inventory` runs it every few seconds and remembers the answer.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from railwatch.catalogue.metric import ReadFailure, Sample
from railwatch_agent.numbering import Book, Record, assign, place_order
from railwatch_agent.pairing import GpuPairs
from railwatch_agent.selection import Kind, Port, Rule, binding_of, discover, find, join, kind_of
from railwatch_agent.sources.errors import SourceError
from railwatch_agent.sources.infiniband import PortWatch, read_ports
from railwatch_agent.sources.route import default_route_interface
from railwatch_agent.sources.sysfs import read_netdevs

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence
    from pathlib import Path

    from railwatch.clock import Clock
    from railwatch_agent.numbering import BookFile
    from railwatch_agent.settings import RailSettings
    from railwatch_agent.sources.infiniband import RdmaPort

log = logging.getLogger(__name__)

# How long no new rail may have come for a first boot to be over.
SETTLE_SECONDS = 60.0


@dataclass(frozen=True, slots=True)
class Rail:
    """One physical port.

    `device` is its RDMA device if there is one, else its network device. `gpu` is the number of the
    GPU next to it (`railwatch_agent.pairing`), `near_gpus` are those of all that are as near.
    `ifindex` is None while there is no network device, `rdma` while there is no RDMA port.
    """

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
    rdma: RdmaPort | None = None
    near_gpus: tuple[int, ...] = ()

    @property
    def is_present(self) -> bool:
        """Whether there is the device."""
        return self.ifindex is not None or self.rdma is not None

    @property
    def labels(self) -> tuple[str, str]:
        """Values of the labels `rail` and `device`."""
        return str(self.number), self.device


@dataclass(frozen=True, slots=True)
class Machine:
    """What the machine shows of its ports at one moment."""

    ports: tuple[Port, ...]
    default_route: str | None


def read_machine(
    sysfs: Path,
    book: Book,
    configured: Sequence[RailSettings],
    default_route: str | None,
    before: Machine | None = None,
    watch: PortWatch | None = None,
) -> Machine:
    """Return the devices that can be rails: all with hardware, and those that have a name for it.

    *before* is what was read last, for what does not change; *watch* knows the links of RDMA ports.

    Raises
    ------
    SourceError
        sysfs cannot be listed.
    """
    named = {rail.device for rail in configured} | {record.netdev for record in book.records}
    if default_route is not None:
        named.add(default_route)
    known = () if before is None else before.ports
    netdevs = read_netdevs(sysfs, named, [p.netdev for p in known if p.netdev is not None])
    rdma = read_ports(sysfs, [p.rdma for p in known if p.rdma is not None])
    up = (PortWatch(sysfs) if watch is None else watch).were_up(rdma)
    return Machine(join(netdevs, rdma, up), default_route)


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
    found: dict[str, tuple[RailSettings, Port | None]] = {}
    known = {record.binding: record.number for record in book.records}
    for wanted in configured:
        port = find(machine.ports, wanted.device)
        binding = _configured_binding(book, wanted.device, port)
        # Never seen so far, it was bound to its name; now it has a place.
        if binding != wanted.device and wanted.device in known:
            known.setdefault(binding, known.pop(wanted.device))
        found.setdefault(binding, (wanted, port))
    fixed = {b: wanted.rail for b, (wanted, _) in found.items() if wanted.rail is not None}
    taken = {b: n for b, n in known.items() if b not in fixed and n not in fixed.values()}
    free = assign((b for b in found if b not in fixed), taken, fixed.values())
    numbers = {**free, **fixed}
    old = book.by_binding()
    records = {b: old[b] for b in taken if b in old}
    rails: list[Rail] = []
    for binding, (wanted, port) in found.items():
        record = _record(numbers[binding], binding, Rule.CONFIGURED, port, old.get(binding))
        if port is None and binding not in old:
            record = replace(record, netdev=wanted.device)
        record = replace(record, was_active=True)
        records[binding] = record
        rails.append(_rail(record, port, wanted.line_rate_bytes_per_second))
    return _answer(records.values(), rails, is_settled=book.is_settled)


def _configured_binding(book: Book, device: str, port: Port | None) -> str:
    """What a configured rail is bound to; one that is gone, to what it was bound to before."""
    if port is not None:
        return binding_of(port)
    for record in book.records:
        known = {record.netdev, record.rdma, record.pci_address}
        if record.rule is Rule.CONFIGURED and device in known:
            return record.binding
    return device


def _take_discovered(book: Book, machine: Machine) -> tuple[Book, tuple[Rail, ...]]:
    rails_before = [record for record in book.records if record.was_active]
    used = {record.binding for record in rails_before if record.rule is Rule.RDMA}
    rule, candidates = discover(machine.ports, machine.default_route, used)
    # Rails of a stronger rule that are remembered do not give way to a weaker one: eight dead NICs
    # are eight rails that are gone, not a node whose rail is its default route.
    effective = _strongest([rule, *(record.rule for record in rails_before)])
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
    records = {b: _record(numbers[b], b, effective, p, old.get(b)) for b, p in found.items()}
    rails = [_rail(r, found[r.binding], None) for r in records.values() if r.was_active]
    return _answer({**old, **records}.values(), rails, is_settled=is_settled)


def _strongest(rules: Sequence[Rule | None]) -> Rule | None:
    """The strongest rule of discovery among *rules*; numbers that were configured are none."""
    return next((rule for rule in Rule if rule is not Rule.CONFIGURED and rule in rules), None)


def _found(candidates: Iterable[Port]) -> dict[str, Port | None]:
    found: dict[str, Port | None] = {}
    for port in candidates:
        binding = binding_of(port)
        if found.setdefault(binding, port) is not port:
            log.debug("port=%s shares %s", port, binding)
    return found


def _present(machine: Machine, binding: str) -> Port | None:
    """The port at a place, whatever its name is now."""
    return next((p for p in machine.ports if not p.is_part and binding_of(p) == binding), None)


def _discovered_numbers(
    kept: Sequence[Record], found: Iterable[str], *, is_settled: bool
) -> dict[str, int]:
    ordered = sorted(found, key=place_order)
    taken = {r.binding: r.number for r in kept if is_settled or r.rule is Rule.CONFIGURED}
    return assign(ordered, taken)


def _record(number: int, binding: str, rule: Rule, port: Port | None, old: Record | None) -> Record:
    """What is known of a port: what it shows now, or what it showed when it was last there."""
    if port is None:
        blank = Record(number, binding, rule, binding, Kind.ETHERNET, None, None, None)
        return blank if old is None else replace(old, number=number, rule=rule)
    netdev, facts = port.netdev, port.facts
    # A device that was there once and is not is missed, unless configuration names the other one.
    missed = None if old is None or rule is Rule.CONFIGURED else old
    gone_rdma = None if missed is None else missed.rdma
    gone_netdev = "" if missed is None or port.rdma is None else missed.netdev
    return Record(
        number=number,
        binding=binding,
        rule=rule,
        netdev=gone_netdev if netdev is None else netdev.name,
        kind=kind_of(port) if port.rdma or old is None else old.kind,
        driver=facts.driver,
        pci_address=facts.pci_address,
        numa_node=facts.numa_node,
        rdma=gone_rdma if port.rdma is None else port.rdma.device,
        was_active=rule is not Rule.RDMA or port.was_up or (old is not None and old.was_active),
    )


def _rail(record: Record, port: Port | None, line_rate: float | None) -> Rail:
    netdev = None if port is None else port.netdev
    rdma = None if port is None else port.rdma
    # The device of the rail's label is gone, whatever else of the port is left.
    is_gone = record.rdma is not None and rdma is None
    return Rail(
        number=record.number,
        device=record.rdma or record.netdev,
        netdev=record.netdev,
        kind=record.kind,
        driver=record.driver,
        pci_address=record.pci_address,
        numa_node=record.numa_node,
        gpu=None,
        selected_by=record.rule,
        line_rate_override=line_rate,
        ifindex=None if netdev is None or is_gone else netdev.ifindex,
        rdma=rdma,
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
        self._watch = PortWatch(sysfs)
        self._gpus = GpuPairs(sysfs)
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
        before = self._remembered()
        try:
            self._machine = read_machine(
                self._sysfs, before, self._configured, default_route, self._machine, self._watch
            )
        except SourceError as exc:
            yield ReadFailure("network devices", str(exc))
            return
        rails = self._update(before, self._machine)
        try:
            self._gpus.update(rail.pci_address for rail in rails)
        except SourceError as exc:
            yield ReadFailure("PCI devices", str(exc))
        self._show(tuple(self._with_gpus(rail) for rail in rails))

    def _with_gpus(self, rail: Rail) -> Rail:
        address = rail.pci_address
        return replace(rail, gpu=self._gpus.of(address), near_gpus=self._gpus.near(address))

    def _remembered(self) -> Book:
        if self._book is None:
            return self._book_file.read()
        if not self._book_file.has_changed():
            return self._book
        # Whatever is in the file, it is not what this agent has written.
        self._is_saved = False
        return self._book_file.read_again(self._book)

    def _update(self, before: Book, machine: Machine) -> tuple[Rail, ...]:
        book, rails = take_stock(before, machine, self._configured)
        book = self._settled(before, book)
        if book != before or not self._is_saved:
            self._is_saved = self._book_file.write(book)
        self._book = book
        return rails

    def _show(self, rails: tuple[Rail, ...]) -> None:
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
            rail.is_present,
            rail.kind,
            rail.selected_by,
        )
    numbers = {rail.number for rail in rails}
    for rail in (rail for rail in before if rail.number not in numbers):
        log.info("rail=%d device=%s is no rail any more", rail.number, rail.device)
