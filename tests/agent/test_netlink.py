# SPDX-License-Identifier: Apache-2.0
"""Netlink against a kernel that is a Unix socket pair: no privilege, no real interface."""

from __future__ import annotations

import errno
import socket
import struct
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from railwatch_agent.sources.errors import SourceError
from railwatch_agent.sources.netlink import (
    DumpRequest,
    InterruptedDumpError,
    Netlink,
    attribute,
    find_attribute,
    messages,
)

if TYPE_CHECKING:
    from collections.abc import Callable

REPLY, DONE, ERROR, OVERRUN, INTERRUPTED = 99, 3, 2, 4, 0x10
Answer = list[bytes]


def message(kind: int, sequence: int, payload: bytes = b"", flags: int = 2) -> bytes:
    header = struct.pack("=IHHII", 16 + len(payload), kind, flags, sequence, 0)
    return header + payload + bytes(-len(payload) % 4)


def done(sequence: int, code: int = 0) -> bytes:
    return message(DONE, sequence, struct.pack("=i", code))


class FakeKernel(socket.socket):
    """Answers each request, by its number, with the datagrams that it is told; then is silent.

    It is every socket that is opened to it; a closed one forgets what it had still to say.
    """

    def __init__(self, answer: Callable[[int, int], Answer]) -> None:
        super().__init__(socket.AF_UNIX, socket.SOCK_DGRAM)
        super().close()
        self.answer = answer
        self.opened = 0
        self.asked = 0
        self.waiting: Answer = []

    def open(self, _: int) -> FakeKernel:
        """Return this as a socket, as `open_netlink` would."""
        self.opened += 1
        return self

    def setsockopt(self, *_: Any) -> None:
        """Take any option."""

    def send(self, data: Any, *_: Any) -> int:
        """Take a request and prepare the answer."""
        (sequence,) = struct.unpack_from("=I", data, 8)
        self.asked += 1
        self.waiting += self.answer(self.asked, sequence)
        return len(data)

    def recv(self, *_: Any) -> bytes:
        """Return the next datagram, or time out."""
        if not self.waiting:
            raise BlockingIOError(errno.EAGAIN, "Resource temporarily unavailable")
        return self.waiting.pop(0)

    def close(self) -> None:
        """Forget the rest."""
        self.waiting.clear()


def ask(kernel: FakeKernel, timeout_seconds: float = 5.0) -> tuple[Netlink, DumpRequest]:
    netlink = Netlink(0, timeout_seconds=timeout_seconds, opener=kernel.open)
    return netlink, DumpRequest("test dump", 98, REPLY, bytes(4))


def payloads(netlink: Netlink, request: DumpRequest) -> list[bytes]:
    return [data[start:end] for data, start, end in netlink.dump(request)]


def test_a_dump_in_several_datagrams_is_put_together() -> None:
    kernel = FakeKernel(
        lambda _, n: [
            message(REPLY, n, b"one") + message(REPLY, n, b"two"),
            message(REPLY, n),
            done(n),
        ]
    )
    with Netlink(0, opener=kernel.open) as netlink:
        found = payloads(netlink, DumpRequest("test dump", 98, REPLY, b""))

    assert found == [b"one", b"two", b""]


def test_the_socket_is_kept_between_dumps() -> None:
    kernel = FakeKernel(lambda _, n: [done(n)])
    netlink, request = ask(kernel)
    for _ in range(5):
        payloads(netlink, request)
    netlink.close()

    assert (kernel.opened, kernel.asked) == (1, 5)


@pytest.mark.parametrize("kind", [ERROR, DONE])
def test_an_error_is_raised_with_its_name_and_the_next_dump_works(kind: int) -> None:
    refusal = struct.pack("=i", -errno.EPERM)
    kernel = FakeKernel(lambda asked, n: [message(kind, n, refusal) if asked == 1 else done(n)])
    netlink, request = ask(kernel)

    with pytest.raises(SourceError, match="test dump: kernel answered EPERM"):
        netlink.dump(request)
    assert netlink.dump(request) == []
    netlink.close()


def test_a_silent_kernel_costs_the_timeout_and_no_more() -> None:
    kernel = FakeKernel(lambda asked, n: [] if asked == 1 else [done(n)])
    netlink, request = ask(kernel, timeout_seconds=0.05)

    with pytest.raises(SourceError, match=r"no answer within 0\.05 s"):
        netlink.dump(request)
    assert netlink.dump(request) == []
    netlink.close()


def test_a_reply_to_an_earlier_question_is_passed_over() -> None:
    def answer(_: int, n: int) -> Answer:
        stale = message(REPLY, n - 1, b"old") + done(n - 1)
        return [stale, message(REPLY, n - 1, b"old"), message(REPLY, n, b"new"), done(n)]

    netlink, request = ask(FakeKernel(answer))

    assert payloads(netlink, request) == [b"new"]
    netlink.close()


def test_endless_stale_replies_end_with_the_timeout() -> None:
    kernel = FakeKernel(lambda _, n: [message(REPLY, n + 1)] * 1000)
    ticks = map(float, range(1000))
    netlink = Netlink(0, timeout_seconds=50, opener=kernel.open, monotonic=lambda: next(ticks))

    with pytest.raises(SourceError, match="no answer within 50 s"):
        netlink.dump(DumpRequest("test dump", 98, REPLY, b""))


def test_an_interrupted_dump_is_asked_for_again() -> None:
    kernel = FakeKernel(
        lambda asked, n: [message(REPLY, n, b"x", INTERRUPTED if asked < 3 else 2), done(n)]
    )
    netlink, request = ask(kernel)

    assert payloads(netlink, request) == [b"x"]
    assert (kernel.asked, kernel.opened) == (3, 1)
    netlink.close()


def test_a_dump_that_is_always_interrupted_is_a_failure() -> None:
    kernel = FakeKernel(lambda _, n: [message(REPLY, n, b"x", INTERRUPTED), done(n)])
    netlink, request = ask(kernel)

    with pytest.raises(InterruptedDumpError):
        netlink.dump(request)
    assert kernel.asked == 3
    netlink.close()


@pytest.mark.parametrize(
    "datagram", [b"", b"short", message(REPLY, 1, bytes(40))[:30], message(OVERRUN, 1)]
)
def test_what_cannot_be_read_is_a_failure_and_the_next_dump_begins_afresh(datagram: bytes) -> None:
    kernel = FakeKernel(lambda asked, n: [datagram] if asked == 1 else [done(n)])
    netlink, request = ask(kernel, timeout_seconds=0.2)

    with pytest.raises(SourceError):
        netlink.dump(request)
    assert netlink.dump(request) == []
    assert kernel.opened == 2
    netlink.close()


def test_a_dump_left_early_does_not_stand_in_the_way_of_the_next() -> None:
    kernel = FakeKernel(lambda asked, n: [message(REPLY, n, bytes([asked])) * 3, done(n)])
    netlink, request = ask(kernel)
    stream = netlink.stream(request)
    next(stream)
    stream.close()

    assert payloads(netlink, request) == [b"\2"] * 3
    netlink.close()


def test_a_kernel_that_cannot_be_asked_is_a_failure() -> None:
    def refuse(_: int) -> socket.socket:
        raise OSError(errno.EAFNOSUPPORT, "Address family not supported by protocol")

    with pytest.raises(SourceError, match="cannot ask the kernel: Address family"):
        Netlink(0, opener=refuse).dump(DumpRequest("test dump", 98, REPLY, b""))


@given(st.lists(st.tuples(st.integers(0, 0xFFFF), st.binary(max_size=50))))
def test_messages_are_found_again(sent: list[tuple[int, bytes]]) -> None:
    data = b"".join(message(kind, 7, payload) for kind, payload in sent)

    found = [(kind, data[start:end]) for kind, _, _, start, end in messages(data)]
    assert found == sent


@given(st.binary(max_size=300))
def test_hostile_bytes_end_in_messages_within_them_or_in_a_source_error(data: bytes) -> None:
    try:
        found = messages(data)
    except SourceError:
        return

    assert len(found) <= len(data) / 16
    assert all(16 <= start <= end <= len(data) for _, _, _, start, end in found)


@given(
    st.lists(st.tuples(st.integers(1, 20), st.binary(max_size=20)), max_size=8), st.integers(1, 20)
)
def test_an_attribute_is_found_where_it_first_is(
    sent: list[tuple[int, bytes]], wanted: int
) -> None:
    data = b"".join(attribute(kind, value) for kind, value in sent)
    span = find_attribute(data, 0, len(data), wanted)

    assert (None if span is None else data[slice(*span)]) == next(
        (value for kind, value in sent if kind == wanted), None
    )


@given(st.binary(max_size=200), st.integers(0, 200), st.integers(0, 200), st.integers(0, 0xFFFF))
def test_hostile_attributes_are_found_within_their_bounds_or_refused(
    data: bytes, one: int, other: int, kind: int
) -> None:
    start, end = sorted((min(one, len(data)), min(other, len(data))))
    try:
        span = find_attribute(data, start, end, kind)
    except SourceError:
        return

    assert span is None or start + 4 <= span[0] <= span[1] <= end


def test_the_flags_of_an_attribute_are_not_its_type() -> None:
    nested = attribute(0x8000 | 7, b"abcd")

    assert find_attribute(nested, 0, len(nested), 7) == (4, 8)


def test_a_request_is_a_dump_with_its_length_and_number() -> None:
    request = DumpRequest("test dump", 98, REPLY, bytes(8))

    assert struct.unpack_from("=IHHII", request.numbered(5)) == (24, 98, 0x301, 5, 0)


def test_a_timeout_must_be_positive() -> None:
    with pytest.raises(ValueError, match="timeout_seconds must be positive, got 0"):
        Netlink(0, timeout_seconds=0)
