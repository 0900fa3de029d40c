# SPDX-License-Identifier: Apache-2.0
"""Netlink: requests and their replies (netlink(7), linux/netlink.h, RFC 3549).

    struct nlmsghdr { u32 len; u16 type; u16 flags; u32 seq; u32 pid; }   len counts the header
    struct nlattr   { u16 len; u16 type; }                                len counts the header

Both are followed by padding to four bytes, and all of it is in the machine's byte order. A reply
to a dump is a row of datagrams that hold whole messages; NLMSG_DONE ends it. The reply to any other
request ends with an acknowledgement, an NLMSG_ERROR whose number is 0.
"""

from __future__ import annotations

import errno
import socket
import struct
import time
from typing import TYPE_CHECKING, Final, Self, TypeAlias

from railwatch_agent.sources.errors import SourceError

if TYPE_CHECKING:
    from collections.abc import Callable, Generator

NETLINK_ROUTE: Final = 0
NETLINK_SOCK_DIAG: Final = 4
NETLINK_GENERIC: Final = 16

_NOOP: Final = 1
_ERROR: Final = 2
_DONE: Final = 3
_OVERRUN: Final = 4

_REQUEST: Final = 0x001
_ACKNOWLEDGE: Final = 0x004
_DUMP_INTERRUPTED: Final = 0x010
_DUMP: Final = 0x300

_HEADER: Final = struct.Struct("=IHHII")
_ATTRIBUTE: Final = struct.Struct("=HH")
_ERRNO: Final = struct.Struct("=i")
_SEQUENCE: Final = struct.Struct("=I")
_SEQUENCE_OFFSET: Final = 8
# The two highest bits say "nested" and "network byte order", not which attribute it is.
_ATTRIBUTE_TYPE: Final = 0x3FFF

# The kernel never fills a dump's datagram beyond 32 KiB (netlink_recvmsg), whatever is offered.
_DATAGRAM_BYTES: Final = 32768
_INTERRUPTED_ATTEMPTS: Final = 3

Payload: TypeAlias = tuple[bytes, int, int]
"""A datagram, and where in it the payload of one message begins and ends."""
Message: TypeAlias = tuple[int, int, int, int, int]
"""Type, flags, sequence number, start and end of the payload."""
Span: TypeAlias = tuple[int, int]
"""Start and end."""
Shortcut: TypeAlias = "Callable[[bytes, int], bool]"
"""Whether a datagram, which should be of this sequence number, was understood at a glance."""


class InterruptedDumpError(SourceError):
    """What was listed changed while the kernel listed it: something may be missing or double."""


class KernelError(SourceError):
    """The kernel answered with an error number, which is `code`."""

    def __init__(self, what: str, code: int) -> None:
        super().__init__(f"{what}: kernel answered {errno.errorcode.get(code, str(code))}")
        self.code = code


def messages(data: bytes) -> list[Message]:
    """Return the messages of a datagram; a list, because generators cost half as much again."""
    found: list[Message] = []
    at, size, unpack = 0, len(data), _HEADER.unpack_from
    while at < size:
        if size - at < _HEADER.size:
            raise SourceError(f"netlink: {size - at} bytes where a message header should be")
        length, kind, flags, sequence, _ = unpack(data, at)
        end = at + length
        if length < _HEADER.size or end > size:
            raise SourceError(f"netlink: message of {length} bytes in a datagram of {size}")
        found.append((kind, flags, sequence, at + _HEADER.size, end))
        at = (end + 3) & ~3
    return found


def find_attribute(data: bytes, start: int, end: int, kind: int) -> Span | None:
    """Return where the value of the first attribute of this type lies between *start* and *end*.

    Only what stands before it is looked at, which is why this and not a dict is the fast way.
    """
    at, unpack = start, _ATTRIBUTE.unpack_from
    # Fewer bytes than a header are padding, as nla_ok() in the kernel has it.
    while end - at >= _ATTRIBUTE.size:
        length, found = unpack(data, at)
        stop = at + length
        if length < _ATTRIBUTE.size or stop > end:
            raise SourceError(f"netlink: attribute {found} of {length} bytes in {end - at}")
        if found & _ATTRIBUTE_TYPE == kind:
            return at + _ATTRIBUTE.size, stop
        at = (stop + 3) & ~3
    return None


def attribute(kind: int, value: bytes) -> bytes:
    """Return an attribute as it goes into a request."""
    length = _ATTRIBUTE.size + len(value)
    return _ATTRIBUTE.pack(length, kind) + value + bytes(-length % 4)


def raise_for_error(data: bytes, start: int, end: int, what: str) -> None:
    """Raise what an NLMSG_ERROR or NLMSG_DONE says; 0 is an acknowledgement.

    Kernels before 2.6 sent an NLMSG_DONE without a number; it is no error.
    """
    if end - start < _ERRNO.size:
        return
    (negative,) = _ERRNO.unpack_from(data, start)
    if negative != 0:
        raise KernelError(what, abs(negative))


class DumpRequest:
    """A request for everything of a kind, built once and renumbered for each use."""

    flags = _REQUEST | _DUMP

    def __init__(self, what: str, kind: int, reply: int, body: bytes) -> None:
        self.what = what
        self.reply = reply
        length = _HEADER.size + len(body)
        self._data = bytearray(_HEADER.pack(length, kind, self.flags, 0, 0) + body)

    def numbered(self, sequence: int) -> bytearray:
        """Return the request's bytes with this sequence number; valid until the next call."""
        _SEQUENCE.pack_into(self._data, _SEQUENCE_OFFSET, sequence)
        return self._data


class SingleRequest(DumpRequest):
    """A request for one thing; its acknowledgement ends the reply as NLMSG_DONE ends a dump."""

    flags = _REQUEST | _ACKNOWLEDGE


def open_netlink(protocol: int) -> socket.socket:
    """Return a socket that hears the kernel only: a connected one refuses any other sender."""
    kind = socket.SOCK_RAW | socket.SOCK_CLOEXEC
    opened = socket.socket(socket.AF_NETLINK, kind, protocol)
    try:
        opened.connect((0, 0))
    except OSError:
        opened.close()
        raise
    return opened


class Netlink:
    """A conversation with the kernel, reopened after whatever went wrong; for one thread.

    The socket belongs to the network namespace of the thread that first asks.
    """

    def __init__(
        self,
        protocol: int,
        *,
        timeout_seconds: float = 1.0,
        opener: Callable[[int], socket.socket] = open_netlink,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._socket: socket.socket | None = None
        if timeout_seconds <= 0:
            raise ValueError(f"timeout_seconds must be positive, got {timeout_seconds!r}")
        self._protocol = protocol
        self._timeout_seconds = timeout_seconds
        self._opener = opener
        self._monotonic = monotonic
        self._sequence = 0

    def __del__(self) -> None:
        self.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the socket; the next request opens another."""
        if self._socket is not None:
            self._socket.close()
            self._socket = None

    def dump(self, request: DumpRequest, take: Shortcut | None = None) -> list[Payload]:
        """Return all replies, asking again if the list changed while it was made."""
        for _ in range(_INTERRUPTED_ATTEMPTS - 1):
            try:
                return list(self.stream(request, take))
            except InterruptedDumpError:
                continue
        return list(self.stream(request, take))

    def stream(
        self, request: DumpRequest, take: Shortcut | None = None
    ) -> Generator[Payload, None, None]:
        """Yield the replies as they come; an interrupted dump is known, and raised, at its end.

        A datagram that *take* takes is not looked into. A generator that is left early closes the
        socket: the rest of the dump would be in the way.
        """
        finished, interrupted = False, 0
        try:
            sequence = self._send(request)
            heard = self._monotonic()
            while not finished:
                data = self._receive(request, heard)
                if take is not None and take(data, sequence):
                    heard = self._monotonic()
                    continue
                for kind, flags, number, start, end in messages(data):
                    # An answer to a question that was given up earlier.
                    if number != sequence:
                        continue
                    heard = self._monotonic()
                    interrupted |= flags & _DUMP_INTERRUPTED
                    if kind == request.reply:
                        yield data, start, end
                    elif _ends(kind, data, start, end, request.what):
                        finished = True
        finally:
            if not finished:
                self.close()
        if interrupted:
            raise InterruptedDumpError(f"{request.what}: changed while the kernel listed it")

    def _send(self, request: DumpRequest) -> int:
        self._sequence = self._sequence % 0xFFFFFFFF + 1
        try:
            if self._socket is None:
                self._socket = self._open()
            self._socket.send(request.numbered(self._sequence))
        except OSError as exc:
            raise SourceError(f"{request.what}: cannot ask the kernel: {exc.strerror}") from exc
        return self._sequence

    def _open(self) -> socket.socket:
        opened = self._opener(self._protocol)
        # Not settimeout(): Python would poll() before every recv(), half again as many calls.
        seconds, fraction = divmod(self._timeout_seconds, 1.0)
        timeout = struct.pack("@ll", int(seconds), int(fraction * 1e6))
        opened.setsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, timeout)
        return opened

    def _receive(self, request: DumpRequest, heard: float) -> bytes:
        if self._monotonic() - heard > self._timeout_seconds or self._socket is None:
            raise SourceError(f"{request.what}: no answer within {self._timeout_seconds} s")
        try:
            return self._socket.recv(_DATAGRAM_BYTES)
        except BlockingIOError as exc:
            reason = f"{request.what}: no answer within {self._timeout_seconds} s"
            raise SourceError(reason) from exc
        except OSError as exc:
            raise SourceError(f"{request.what}: cannot hear the kernel: {exc.strerror}") from exc


def _ends(kind: int, data: bytes, start: int, end: int, what: str) -> bool:
    """Whether a message that is not a reply ends the dump; raise if it says that it failed."""
    if kind == _OVERRUN:
        raise SourceError(f"{what}: the kernel lost part of its answer")
    if kind not in {_DONE, _ERROR}:
        return False
    raise_for_error(data, start, end, what)
    return True
