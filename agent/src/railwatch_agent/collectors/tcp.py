# SPDX-License-Identifier: Apache-2.0
"""TCP retransmits and out-of-order packets per rail (linux/tcp.h, struct tcp_info).

The kernel keeps them per socket. A socket belongs to the rail that has its local address; its
growth between two rounds is added to that rail's totals, which begin at 0 with the agent.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Final, NamedTuple, TypeAlias

from railwatch.catalogue.metric import ReadFailure, Sample
from railwatch.catalogue.rail import RAIL_FAULTS, Fault
from railwatch_agent.sources.errors import SourceError
from railwatch_agent.sources.inet_diag import SocketReader, packed_address

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Iterator, Mapping

    from railwatch_agent.sources.inet_diag import TcpSocket

Rail: TypeAlias = tuple[str, str]
"""The labels rail and device."""

# The kernel's list is no snapshot: a socket may be missing from one while others come and go. Its
# whole count would be taken for new when it is back, so that it is remembered for a while.
_REMEMBERED_ROUNDS: Final = 3


class Growth(NamedTuple):
    """What was repaired since the round before; None where the kernel does not count it."""

    retransmits: int
    out_of_order: int | None


class Seen(NamedTuple):
    """A socket as it was last listed, and how many rounds ago."""

    local: bytes
    counts: Growth
    rounds_ago: int


Known: TypeAlias = "Mapping[bytes, Seen]"
"""Sockets by identity."""


def advance(
    known: Known, sockets: Iterable[TcpSocket], watched_before: Collection[bytes]
) -> tuple[dict[bytes, Seen], list[tuple[bytes, Growth]]]:
    """Return what is known after this round, and what was repaired at which local address.

    There is no age in tcp_info, but none is needed: a socket that no recent list had, at an
    address that was watched then, has been opened since, and everything it counts is new. At an
    address that was not watched (*watched_before*, empty in the first round) it may be as old as
    the machine, so that comparing only begins. What a socket repairs between its last sight and
    its end is lost; sockets that close are still listed, so that is less than a round.
    """
    after: dict[bytes, Seen] = {}
    repaired: list[tuple[bytes, Growth]] = []
    for identity, local, retransmits, out_of_order, _ in sockets:
        # None: it closed while it was listed. In `after`: listed twice.
        if retransmits is None or identity in after:
            continue
        counts = Growth(retransmits, out_of_order)
        after[identity] = Seen(local, counts, 0)
        before = known.get(identity)
        # Most sockets never repaired anything or nothing since; they are done with here.
        if before is None:
            if local in watched_before and counts not in _NONE:
                repaired.append((local, counts))
        elif counts != before.counts:
            repaired.append((local, _growth(before.counts, counts)))
    after.update(_missing(known, after))
    return after, repaired


_NONE: Final = (Growth(0, 0), Growth(0, None))


def _growth(before: Growth, now: Growth) -> Growth:
    """Growth of one socket; a count that fell was reset by connect(AF_UNSPEC): unknown, so none."""
    ordered = now.out_of_order
    if ordered is not None:
        ordered = max(ordered - (before.out_of_order or 0), 0)
    return Growth(max(now.retransmits - before.retransmits, 0), ordered)


def _missing(known: Known, after: Known) -> dict[bytes, Seen]:
    return {
        identity: seen._replace(rounds_ago=seen.rounds_ago + 1)
        for identity, seen in known.items()
        if identity not in after and seen.rounds_ago < _REMEMBERED_ROUNDS
    }


class TcpCollector:
    """Counts what the TCP sockets of each rail had to repair.

    Parameters
    ----------
    addresses
        The rails' labels by their IP addresses, as they are now; may raise SourceError.
    reader
        Lists the sockets.
    interval_seconds
        How often `collect` is to be called.
    cpu_share
        Share of one core that listing sockets may take on average. A list costs as much as there
        are sockets; where one was dear, the totals stand still until it has been paid off.
    monotonic, cpu
        Seconds that passed, and that this thread computed.
    """

    name = "tcp"

    def __init__(
        self,
        addresses: Callable[[], Mapping[str, Rail]],
        reader: SocketReader | None = None,
        *,
        interval_seconds: float = 2.0,
        cpu_share: float = 0.01,
        monotonic: Callable[[], float] = time.monotonic,
        cpu: Callable[[], float] = time.thread_time,
    ) -> None:
        if not 0 < cpu_share <= 1:
            raise ValueError(f"cpu_share must be above 0 and at most 1, got {cpu_share!r}")
        self.interval_seconds = interval_seconds
        self._addresses = addresses
        self._reader = SocketReader() if reader is None else reader
        self._cpu_share = cpu_share
        self._monotonic = monotonic
        self._cpu = cpu
        self._rest_until = monotonic()
        self._known: dict[bytes, Seen] = {}
        self._watched: dict[bytes, Rail] = {}
        self._totals: dict[tuple[Rail, Fault], int] = {}

    def collect(self) -> Iterator[Sample | ReadFailure]:
        """Yield both totals of every rail that has an address, from 0 on."""
        try:
            if self._monotonic() >= self._rest_until:
                self._round()
        except SourceError as exc:
            yield ReadFailure(self.name, str(exc))
            return
        kinds = _kinds(self._known)
        for rail in sorted(set(self._watched.values())):
            for kind in kinds:
                total = self._totals.get((rail, kind), 0)
                yield Sample(RAIL_FAULTS, (*rail, kind.value), total)

    def _round(self) -> None:
        began, cpu = self._monotonic(), self._cpu()
        try:
            rails = {packed_address(text): rail for text, rail in self._addresses().items()}
            sockets = self._reader.read(rails)
            self._known, repaired = advance(self._known, sockets, self._watched)
            self._watched = rails
        finally:
            self._rest_until = began + (self._cpu() - cpu) / self._cpu_share
        for local, growth in repaired:
            if local in rails:
                self._add(rails[local], growth)

    def _add(self, rail: Rail, growth: Growth) -> None:
        for kind, count in zip(_KINDS, growth, strict=True):
            self._totals[rail, kind] = self._totals.get((rail, kind), 0) + (count or 0)


_KINDS: Final = (Fault.RETRANSMIT, Fault.OUT_OF_SEQUENCE)


def _kinds(known: Known) -> tuple[Fault, ...]:
    """Return the kinds that this kernel keeps: before 5.4 no socket counts out-of-order packets."""
    anyone = next(iter(known.values()), None)
    return _KINDS[:1] if anyone is not None and anyone.counts.out_of_order is None else _KINDS
