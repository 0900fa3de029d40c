# SPDX-License-Identifier: Apache-2.0
"""The numbers of the rails: what each is bound to, and the file that remembers it.

A number is bound to a place in the machine and never given to another one, so that rail 3 of a node
is the same cable for years. The one exception is a first boot: drivers bring their devices up one
after the other, and until no more have come for a while, numbers follow the order of the places.
"""

from __future__ import annotations

import json
import logging
import os
import re
import stat
from dataclasses import asdict, dataclass, fields
from typing import TYPE_CHECKING

from railwatch_agent.selection import Kind, Rule

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path

log = logging.getLogger(__name__)

_FORMAT = 1


@dataclass(frozen=True, slots=True)
class Record:
    """A number, what it is bound to, and what was last known of the device there.

    `rdma` is the RDMA device; a port that was never up is not `was_active`: it has a number, so
    that the others keep to the order of their places, and is no rail yet. Both came later than the
    rest: what an older agent wrote is about rails, by their network devices.
    """

    number: int
    binding: str
    rule: Rule
    netdev: str
    kind: Kind
    driver: str | None
    pci_address: str | None
    numa_node: int | None
    rdma: str | None = None
    was_active: bool = True


@dataclass(frozen=True, slots=True)
class Book:
    """All numbers ever given; `is_settled` once new places no longer reorder them."""

    records: tuple[Record, ...] = ()
    is_settled: bool = False

    def by_binding(self) -> dict[str, Record]:
        """Return the records by what they are bound to."""
        return {record.binding: record for record in self.records}


def place_order(binding: str) -> tuple[tuple[int, int | str], ...]:
    """Order of places: PCI addresses ascending, and `eth2` before `eth10`.

    >>> sorted(["eth10", "eth2"], key=place_order)
    ['eth2', 'eth10']
    >>> sorted(["10000:01:00.0", "0000:c1:00.0"], key=place_order)
    ['0000:c1:00.0', '10000:01:00.0']
    """
    if ":" in binding:
        parts = re.split(r"[:./]", binding)
        return tuple((0, int(part, 16)) if _is_hex(part) else (1, part) for part in parts)
    parts = re.findall(r"\d+|\D+", binding)
    return tuple((0, int(part)) if part.isdecimal() else (1, part) for part in parts)


def _is_hex(text: str) -> bool:
    return re.fullmatch(r"[0-9a-fA-F]+", text) is not None


def assign(
    bindings: Iterable[str], taken: Mapping[str, int], reserved: Iterable[int] = ()
) -> dict[str, int]:
    """Return a number for each of *bindings* in their order: the one it has, or the next free one.

    Numbers in *taken* and *reserved* are given to nobody else.
    """
    used = {*taken.values(), *reserved}
    free = 0
    numbers: dict[str, int] = {}
    for binding in bindings:
        if binding in taken:
            numbers[binding] = taken[binding]
            continue
        while free in used:
            free += 1
        numbers[binding] = free
        used.add(free)
    return numbers


class BookFile:
    """`inventory.json` in the state directory; without a directory that can be written, nothing.

    Every failure is said once: the agent goes on with what is in memory. Others may replace the
    file while the agent runs (`railwatch-agent forget`): it is not overwritten then but read again.
    """

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._path = directory / "inventory.json"
        self._warned = False
        self._is_writable = True
        self._known: tuple[int, int, int] | None = None

    def read(self) -> Book:
        """Return what was written; an empty book if there is none or it cannot be used."""
        try:
            return self.load()
        except (FileNotFoundError, NotADirectoryError):
            return Book()
        except OSError as exc:
            # What cannot be read is not replaced: it may hold the numbers after all.
            self._is_writable = False
            self._warn("cannot be read", exc.strerror)
        except ValueError as exc:
            self._move_aside(exc)
        return Book()

    def read_again(self, known: Book) -> Book:
        """Return what another has written; *known* if that cannot be used."""
        try:
            return self.load()
        except ValueError as exc:
            self._move_aside(exc)
        except OSError as exc:
            log.debug("path=%s is gone again: %s", self._path, exc.strerror)
        return known

    def load(self) -> Book:
        """Return what was written; raises OSError, or ValueError if it is no book."""
        with self._path.open(encoding="utf-8") as file:
            self._known = _version(os.fstat(file.fileno()))
            return parse_book(file.read())

    def has_changed(self) -> bool:
        """Whether another has replaced the file since; one that was taken away is not missed."""
        try:
            return self._is_writable and _version(self._path.stat()) != self._known
        except OSError:
            return False

    def peek(self) -> Book:
        """Return what `read` would, without a word about it and without touching the file."""
        try:
            return parse_book(self._path.read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return Book()

    def write(self, book: Book) -> bool:
        """Replace the file by *book*, unless another has; whether that succeeded."""
        if not self._is_writable or self.has_changed():
            return False
        try:
            self.replace(book)
        except OSError as exc:
            self._warn("cannot be written", exc.strerror)
            return False
        self._warned = False
        return True

    def replace(self, book: Book) -> None:
        """Replace the file by *book* in one step; raises OSError."""
        temporary = self._path.with_suffix(".tmp")
        self._directory.mkdir(parents=True, exist_ok=True)
        with temporary.open("w", encoding="utf-8") as file:
            self._keep_access(file.fileno())
            file.write(format_book(book))
            file.flush()
            os.fsync(file.fileno())
            version = _version(os.fstat(file.fileno()))
        temporary.replace(self._path)
        self._known = version

    def _keep_access(self, descriptor: int) -> None:
        """Leave the file to whom it belonged: root may forget what the agent must read."""
        try:
            before = self._path.stat()
        except OSError:
            return
        now = os.fstat(descriptor)
        if (now.st_uid, now.st_gid) != (before.st_uid, before.st_gid):
            os.fchown(descriptor, before.st_uid, before.st_gid)
        os.fchmod(descriptor, stat.S_IMODE(before.st_mode))

    def _warn(self, what: str, reason: str | None) -> None:
        if not self._warned:
            log.warning(
                "path=%s %s: %s; the numbers of the rails last until the agent ends",
                self._path,
                what,
                reason,
            )
        self._warned = True

    def _move_aside(self, reason: ValueError) -> None:
        aside = self._path.with_suffix(".json.refused")
        try:
            self._path.replace(aside)
        except OSError as exc:
            self._warn("is damaged and cannot be moved", exc.strerror)
            return
        log.warning("path=%s is damaged: %s; moved to %s", self._path, reason, aside)


def _version(status: os.stat_result) -> tuple[int, int, int]:
    return status.st_ino, status.st_size, status.st_mtime_ns


def format_book(book: Book) -> str:
    """Return *book* as the file holds it."""
    rails = [asdict(record) for record in book.records]
    content = {"format": _FORMAT, "is_settled": book.is_settled, "rails": rails}
    return json.dumps(content, indent=2) + "\n"


def parse_book(text: str) -> Book:
    """Return the book that the file holds.

    Raises
    ------
    ValueError
        It is not what `format_book` writes.
    """
    content = json.loads(text)
    if not isinstance(content, dict) or content.get("format") != _FORMAT:
        raise ValueError(f"not format {_FORMAT}")
    rails, is_settled = content.get("rails"), content.get("is_settled")
    if not isinstance(rails, list) or not isinstance(is_settled, bool):
        raise ValueError("no rails")  # noqa: TRY004 - what is wrong is the file, not an argument
    records = tuple(_parse_record(rail) for rail in rails)
    if len({r.number for r in records}) < len(records):
        raise ValueError("a number is given twice")
    if len({r.binding for r in records}) < len(records):
        raise ValueError("a place is given twice")
    return Book(records, is_settled)


_WHOLE = ("number", "numa_node")
_OPTIONAL = ("driver", "pci_address", "numa_node", "rdma")
_LATER = frozenset({"rdma", "was_active"})


def _parse_record(content: object) -> Record:
    names = {field.name for field in fields(Record)}
    if not isinstance(content, dict) or not names - _LATER <= set(content) <= names:
        raise ValueError(f"not a rail: {content!r}")
    for name, value in content.items():
        wanted = {"was_active": bool}.get(name, int if name in _WHOLE else str)
        if value is None and name in _OPTIONAL:
            continue
        if type(value) is not wanted or (isinstance(value, int) and value < 0):
            raise ValueError(f"{name} cannot be {value!r}")
    return Record(**{**content, "rule": Rule(content["rule"]), "kind": Kind(content["kind"])})
