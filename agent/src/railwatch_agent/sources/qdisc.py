# SPDX-License-Identifier: Apache-2.0
"""Queueing disciplines: what waits in front of each interface and what was thrown away there.

Knowledge: linux/rtnetlink.h (RTM_GETQDISC, struct tcmsg, TCA_*), linux/gen_stats.h, tc-stats(8).

    struct tcmsg            { u8 family; u8 pad; u16 pad; i32 ifindex; u32 handle; u32 parent;
                              u32 info; }
    struct gnet_stats_queue { u32 qlen; u32 backlog; u32 drops; u32 requeues; u32 overlimits; }
    struct tc_stats         { u64 bytes; u32 packets; u32 drops; u32 overlimits; u32 bps; u32 pps;
                              u32 qlen; u32 backlog; }

The dump needs no privilege. It lists every discipline of every interface, so an `mq` root with a
child for each hardware queue costs as many messages as the interface has queues. Only the root
(parent TC_H_ROOT) is read: tbf hands its child's packets on as its own backlog and drops, and
mq_dump() in the kernel adds up its children's at the moment of the dump.
"""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, Final, NamedTuple

import numpy as np

from railwatch_agent.sources.errors import SourceError
from railwatch_agent.sources.netlink import (
    NETLINK_ROUTE,
    DumpRequest,
    Netlink,
    find_attribute,
    messages,
)

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from railwatch_agent.sources.netlink import Payload

_NEW_QDISC: Final = 36
_GET_QDISC: Final = 38
_ROOT: Final = 0xFFFFFFFF

_KIND: Final = 1
_STATS: Final = 3
_STATS2: Final = 7
_STATS_QUEUE: Final = 3

# No queue, so nothing can wait and nothing is dropped: absent, not zero.
_NO_QUEUE: Final = b"noqueue\0"

_TCMSG: Final = struct.Struct("=4xi4xI4x")
# A header and a struct tcmsg; what ends a dump is shorter.
_SHORTEST: Final = 36
_QUEUE: Final = struct.Struct("=4xII")
_LEGACY: Final = struct.Struct("=12xI16xI")


class Queue(NamedTuple):
    """The root queueing discipline of an interface; *drops* is the kernel's u32 and wraps."""

    backlog_bytes: int
    drops: int


def parse_queue(payload: Payload) -> tuple[int, Queue] | None:
    """Return interface index and queue of an RTM_NEWQDISC, or None if it says of no root queue."""
    data, start, end = payload
    if end - start < _TCMSG.size:
        raise SourceError(f"qdisc: message of {end - start} bytes")
    index, parent = _TCMSG.unpack_from(data, start)
    if parent != _ROOT:
        return None
    start += _TCMSG.size
    kind = find_attribute(data, start, end, _KIND)
    if kind is None or data[kind[0] : kind[1]] == _NO_QUEUE:
        return None
    queue = _queue(data, start, end)
    return None if queue is None else (index, queue)


def _queue(data: bytes, start: int, end: int) -> Queue | None:
    stats = find_attribute(data, start, end, _STATS2)
    if stats is not None:
        span = find_attribute(data, *stats, _STATS_QUEUE)
        if span is not None and span[1] - span[0] >= _QUEUE.size:
            return Queue(*_QUEUE.unpack_from(data, span[0]))
    span = find_attribute(data, start, end, _STATS)
    if span is None or span[1] - span[0] < _LEGACY.size:
        return None
    drops, backlog = _LEGACY.unpack_from(data, span[0])
    return Queue(backlog, drops)


class Shape:
    """What a datagram of a dump looked like: where its numbers are, and what is around them.

    Dumps of unchanged disciplines differ in their numbers only. To compare what is around them
    with the last dump and pick the numbers costs a few microseconds whatever the length; to walk
    through all attributes costs five an interface, and 50 times a second that is felt.
    """

    def __init__(self, data: bytes, sequence: int) -> None:
        """Learn from a datagram; ValueError if it is no row of qdisc messages only."""
        self._indexes: list[int] = []
        self._size = len(data)
        fixed: list[int] = []
        numbers: list[int] = []
        sequences: list[int] = []
        for kind, _, number, start, end in messages(data):
            if (kind, number) != (_NEW_QDISC, sequence) or len(data) % 4:
                raise ValueError(f"message of type {kind} and number {number}")
            # Length; type and flags; ifindex; parent. Not tcm_info: it counts references.
            fixed += [start - 16, start - 12, start + 4, start + 12]
            sequences.append(start - 8)
            self._learn(data, start, end, fixed, numbers)
        self._fixed, self._sequences, self._numbers = map(_words, (fixed, sequences, numbers))
        self._around = self._picked(data, self._fixed).tobytes()

    def _learn(
        self, data: bytes, start: int, end: int, fixed: list[int], numbers: list[int]
    ) -> None:
        first = start + _TCMSG.size
        kind = find_attribute(data, first, end, _KIND)
        if kind is not None:
            fixed += range(first, kind[1], 4)
        parsed = parse_queue((data, start, end))
        if parsed is None:
            return
        stats = find_attribute(data, first, end, _STATS2)
        queue = stats and find_attribute(data, *stats, _STATS_QUEUE)
        if stats is None or queue is None:
            raise ValueError("no TCA_STATS_QUEUE")
        self._indexes.append(parsed[0])
        fixed += [stats[0] - 4, queue[0] - 4]
        numbers += [queue[0] + 4, queue[0] + 8]

    def _picked(self, data: bytes, where: NDArray[np.intp]) -> NDArray[np.uint32]:
        return np.frombuffer(data, np.uint32)[where]

    def queues(self, data: bytes, sequence: int) -> dict[int, Queue] | None:
        """Return what `parse_queue` would find in *data*, or None if it has not this shape."""
        if len(data) != self._size or self._picked(data, self._fixed).tobytes() != self._around:
            return None
        if (self._picked(data, self._sequences) != sequence).any():
            return None
        numbers = self._picked(data, self._numbers).tolist()
        return dict(zip(self._indexes, map(Queue, numbers[::2], numbers[1::2]), strict=True))


def _words(offsets: list[int]) -> NDArray[np.intp]:
    return np.array(offsets, np.intp) // 4


class QueueReader:
    """Reads the root queueing disciplines of a network namespace; made to be called often."""

    def __init__(self, netlink: Netlink | None = None) -> None:
        self._netlink = Netlink(NETLINK_ROUTE) if netlink is None else netlink
        self._request = DumpRequest("qdisc dump", _GET_QDISC, _NEW_QDISC, _TCMSG.pack(0, 0))
        self._shapes: list[Shape | None] = []
        self._found: dict[int, Queue] = {}
        self._sequence = 0
        self._datagrams = 0

    def read(self) -> dict[int, Queue]:
        """Queue by interface index; an interface without a queue is absent.

        Raises
        ------
        SourceError
            The kernel refused, kept silent or answered what cannot be read; the next call begins
            afresh.
        """
        for payload in self._netlink.dump(self._request, self._take):
            parsed = parse_queue(payload)
            if parsed is not None:
                self._found[parsed[0]] = parsed[1]
        return self._found

    def _take(self, data: bytes, sequence: int) -> bool:
        """Read a datagram by its shape, or learn the shape for the next dump."""
        if sequence != self._sequence:
            self._sequence, self._found, self._datagrams = sequence, {}, 0
        # The end of the dump, and nothing to learn a shape from.
        if len(data) < _SHORTEST:
            return False
        at = self._datagrams
        self._datagrams += 1
        if at == len(self._shapes):
            self._shapes.append(None)
        shape = self._shapes[at]
        queues = None if shape is None else shape.queues(data, sequence)
        if queues is None:
            self._shapes[at] = _shape(data, sequence)
            return False
        self._found.update(queues)
        return True

    def close(self) -> None:
        """Close the socket; another read opens it again."""
        self._netlink.close()


def _shape(data: bytes, sequence: int) -> Shape | None:
    try:
        return Shape(data, sequence)
    except (ValueError, SourceError):
        # Not to be remembered: it is read the long way, which says what is wrong with it.
        return None
