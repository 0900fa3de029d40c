# SPDX-License-Identifier: Apache-2.0
"""Queueing disciplines out of bytes; the real kernel is in tests/lab/test_netlink_kernel.py."""

from __future__ import annotations

import errno
import socket
import struct
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from railwatch_agent.sources.errors import SourceError
from railwatch_agent.sources.netlink import Netlink, attribute
from railwatch_agent.sources.qdisc import Queue, QueueReader, Shape, parse_queue

ROOT, INGRESS, CHILD = 0xFFFFFFFF, 0xFFFFFFF1, 0x10001
Numbers = Callable[[Queue], bytes]
U32 = st.integers(0, 0xFFFFFFFF)


def stats2(queue: Queue) -> bytes:
    basic = attribute(1, bytes(12))
    return attribute(7, basic + attribute(3, struct.pack("=5I", 3, *queue, 0, 0)))


def stats(queue: Queue) -> bytes:
    return attribute(
        3, struct.pack("=QIIIIIII", 9, 9, queue.drops, 9, 9, 9, 9, queue.backlog_bytes)
    )


def discipline(
    index: int, queue: Queue, kind: bytes = b"tbf\0", parent: int = ROOT, numbers: Numbers = stats2
) -> bytes:
    body = struct.pack("=BxxxiIII", 0, index, 0, parent, 1)
    return body + attribute(1, kind) + attribute(2, bytes(36)) + numbers(queue)


def parsed(payload: bytes) -> tuple[int, Queue] | None:
    return parse_queue((payload, 0, len(payload)))


def message(payload: bytes, sequence: int, kind: int = 36) -> bytes:
    return struct.pack("=IHHII", 16 + len(payload), kind, 2, sequence, 0) + payload


class FakeKernel(socket.socket):
    """Answers every dump with the disciplines that it has now, a datagram a list."""

    def __init__(self, datagrams: list[list[bytes]]) -> None:
        super().__init__(socket.AF_UNIX, socket.SOCK_DGRAM)
        super().close()
        self.datagrams = datagrams
        self.waiting: list[bytes] = []

    def setsockopt(self, *_: Any) -> None:
        """Take any option."""

    def send(self, data: Any, *_: Any) -> int:
        """Prepare the answer."""
        (number,) = struct.unpack_from("=I", data, 8)
        rows = [b"".join(message(each, number) for each in row) for row in self.datagrams]
        self.waiting = [*rows, message(bytes(4), number, kind=3)]
        return len(data)

    def recv(self, *_: Any) -> bytes:
        """Return the next datagram, or time out."""
        if not self.waiting:
            raise BlockingIOError(errno.EAGAIN, "Resource temporarily unavailable")
        return self.waiting.pop(0)


def reader(kernel: FakeKernel) -> QueueReader:
    return QueueReader(Netlink(0, opener=lambda _: kernel))


@pytest.mark.parametrize("numbers", [stats2, stats])
def test_backlog_and_drops_come_from_either_statistic(numbers: Numbers) -> None:
    assert parsed(discipline(4, Queue(1500, 7), numbers=numbers)) == (4, Queue(1500, 7))


@pytest.mark.parametrize(
    "payload",
    [
        discipline(4, Queue(1, 1), parent=CHILD),
        discipline(4, Queue(1, 1), parent=INGRESS),
        discipline(4, Queue(1, 1), kind=b"noqueue\0"),
        discipline(4, Queue(1, 1), numbers=lambda _: b""),
        discipline(4, Queue(1, 1), numbers=lambda _: attribute(3, bytes(8))),
    ],
    ids=["child", "ingress", "noqueue", "no statistics", "short statistics"],
)
def test_what_is_no_root_queue_is_absent(payload: bytes) -> None:
    assert parsed(payload) is None


def test_a_truncated_message_is_a_source_error_or_absent_never_another_number() -> None:
    whole = discipline(4, Queue(1500, 7))
    for length in range(len(whole)):
        try:
            found = parsed(whole[:length])
        except SourceError:
            continue
        assert found is None


@given(st.binary(max_size=200))
def test_hostile_bytes_are_parsed_or_refused(payload: bytes) -> None:
    try:
        parsed(struct.pack("=BxxxiIII", 0, 1, 0, ROOT, 0) + payload)
        parsed(payload)
    except SourceError:
        return


ROWS = st.lists(
    st.tuples(
        st.integers(1, 50),
        st.sampled_from([ROOT, CHILD, INGRESS]),
        st.sampled_from([b"tbf\0", b"noqueue\0", b"mq\0"]),
        st.builds(Queue, U32, U32),
    ),
    max_size=12,
)
Row = list[tuple[int, int, bytes, Queue]]


def built(row: Row) -> list[bytes]:
    return [discipline(index, queue, kind, parent) for index, parent, kind, queue in row]


def expected(rows: list[Row]) -> dict[int, Queue]:
    return {
        index: queue
        for row in rows
        for index, parent, kind, queue in row
        if parent == ROOT and kind != b"noqueue\0"
    }


@given(st.lists(st.lists(ROWS, max_size=3), min_size=1, max_size=4))
def test_a_reader_says_the_same_whether_it_knows_the_shape_or_not(dumps: list[list[Row]]) -> None:
    """Each dump is read twice: once with the shape of another in mind, once with its own."""
    kernel = FakeKernel([])
    ours = reader(kernel)
    for rows in dumps:
        kernel.datagrams = [built(row) for row in rows if row]

        assert ours.read() == expected(rows)
        assert ours.read() == expected(rows)


@given(U32, U32)
def test_numbers_are_read_by_shape_once_it_is_known(backlog: int, drops: int) -> None:
    before = message(discipline(4, Queue(0, 0)), 1) + message(discipline(5, Queue(0, 0)), 1)
    now = Queue(backlog, drops)
    after = message(discipline(4, Queue(0, 0)), 2) + message(discipline(5, now), 2)

    assert Shape(before, 1).queues(after, 2) == {4: Queue(0, 0), 5: now}


@pytest.mark.parametrize(
    ("data", "sequence"),
    [
        (message(discipline(4, Queue(1, 1)), 1), 2),
        (message(discipline(5, Queue(1, 1)), 2), 2),
        (message(discipline(4, Queue(1, 1), kind=b"htb\0"), 2), 2),
        (message(discipline(4, Queue(1, 1), parent=CHILD), 2), 2),
        (message(discipline(4, Queue(1, 1)), 2, kind=37), 2),
        (b"", 2),
    ],
    ids=["stale", "another interface", "another kind", "child", "deletion", "empty"],
)
def test_another_shape_is_not_read(data: bytes, sequence: int) -> None:
    shape = Shape(message(discipline(4, Queue(0, 0)), 1), 1)

    assert shape.queues(data, sequence) is None


@given(st.data())
def test_a_shape_never_reads_more_than_the_walk_would(data: st.DataObject) -> None:
    """One changed byte: either the shape refuses, or it finds the message that the walk finds."""
    whole = bytearray(message(discipline(4, Queue(11, 22)), 1))
    shape = Shape(bytes(whole), 1)
    whole[data.draw(st.integers(0, len(whole) - 1))] = data.draw(st.integers(0, 255))
    found = shape.queues(bytes(whole), 1)
    # What lies between the kind and the statistics is configuration; the shape does not look at it.
    options = slice(16 + 20 + 8, 16 + 20 + 8 + 40)
    whole[options] = attribute(2, bytes(36))
    inside = slice(16 + 20 + 8 + 40 + 4, 16 + 20 + 8 + 40 + 20)
    whole[inside] = attribute(1, bytes(12))

    if found is not None:
        assert parse_queue((bytes(whole), 16, len(whole))) == (4, found[4])


def test_a_kernel_that_falls_silent_is_a_source_error() -> None:
    kernel = FakeKernel([[discipline(4, Queue(1, 1))]])
    ours = reader(kernel)
    ours.read()
    kernel.send = lambda data, *_: len(data)  # type: ignore[method-assign]  # silence
    with pytest.raises(SourceError, match="qdisc dump: no answer"):
        ours.read()
