# SPDX-License-Identifier: Apache-2.0
"""Forgetting a rail: its number is free again, and nobody misses it any more.

Only the book is changed. An agent that runs beside it sees that and reads it again at its next
scan (`railwatch_agent.numbering.BookFile`).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from railwatch_agent.inventory import take_stock
from railwatch_agent.numbering import Book

if TYPE_CHECKING:
    from collections.abc import Sequence

    from railwatch_agent.inventory import Machine
    from railwatch_agent.numbering import Record
    from railwatch_agent.settings import RailSettings


class ForgetError(ValueError):
    """What cannot be forgotten, in one line."""


@dataclass(frozen=True, slots=True)
class Forgotten:
    """The book without *record*; `next_number` is what the rail gets when it is found again now."""

    book: Book
    record: Record
    next_number: int | None


def forget(
    book: Book, which: str, machine: Machine, configured: Sequence[RailSettings]
) -> Forgotten:
    """Return *book* without the rail that *which* names: a number, a PCI address or a device.

    Raises
    ------
    ForgetError
        No rail has that name, or several have.
    """
    record = find_record(book, which)
    # Who forgets has seen the numbers: from now on they stay, even within a first boot.
    without = Book(tuple(r for r in book.records if r is not record), is_settled=True)
    after, _ = take_stock(without, machine, configured)
    again = after.by_binding().get(record.binding)
    return Forgotten(without, record, None if again is None else again.number)


def find_record(book: Book, which: str) -> Record:
    """Return the one record that *which* names; raises ForgetError."""
    if which.isdecimal():
        found = [record for record in book.records if record.number == int(which)]
    else:
        # The first port of a function is named by the address alone, as in [[rails]] device.
        found = [record for record in book.records if record.binding == which] or [
            r for r in book.records if which in {r.pci_address, r.rdma, r.netdev}
        ]
    if len(found) > 1:
        numbers = ", ".join(str(record.number) for record in found)
        raise ForgetError(f"{which!r} names the rails {numbers}: name one by its number")
    if not found:
        known = ", ".join(f"{r.number}:{r.rdma or r.netdev}" for r in book.records)
        raise ForgetError(f"no rail {which!r} is remembered; there are {known or 'none'}")
    return found[0]
