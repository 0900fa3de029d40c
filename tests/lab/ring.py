"""One rail of a ring all-reduce over TCP: chunks to the next rank, in lockstep with the previous.

The dependency is that of a real ring: chunk k+1 leaves only once chunk k of the predecessor is in.
Every chunk carries a byte of flags, so that what rank 0 says is known to all ranks a step later.
Kernel fields: struct tcp_info in include/uapi/linux/tcp.h.
"""

from __future__ import annotations

import fcntl
import socket
import struct
import termios
import threading
import time
from dataclasses import dataclass
from enum import IntFlag
from queue import SimpleQueue

PORT = 29500
# Longest silence inside a chunk; a rail that is down for longer ends the job.
PATIENCE_SECONDS = 60.0
_CONNECT_RETRY_SECONDS = 0.02
_DRAIN_POLL_SECONDS = 0.005
_TCP_INFO_BYTES = 224
_RETRANSMITTED_SEGMENTS = struct.Struct("=100xI")
_RETRANSMITTED_BYTES = struct.Struct("=208xQ")


class Flag(IntFlag):
    """What rank 0 tells the others along with the data."""

    GO = 0
    LAST = 1
    PAUSE = 2


@dataclass(frozen=True, slots=True)
class RailReport:
    """What one rail moved, counted by the workload; retransmissions as the kernel counted them."""

    sent_bytes: int
    received_bytes: int
    retransmitted_bytes: int
    retransmitted_segments: int


def connect(address: str, successor: str, port: int) -> tuple[socket.socket, socket.socket]:
    """Return the connections to the next rank and from the previous one.

    The next rank may not be listening yet: ranks start in any order.
    """
    deadline = time.monotonic() + PATIENCE_SECONDS
    with socket.create_server((address, port)) as server:
        server.settimeout(PATIENCE_SECONDS)
        while True:
            try:
                following = socket.create_connection((successor, port), PATIENCE_SECONDS)
                break
            except ConnectionRefusedError:
                if time.monotonic() > deadline:
                    raise
                time.sleep(_CONNECT_RETRY_SECONDS)
        preceding, _ = server.accept()
    for connection in (following, preceding):
        _prepare(connection)
    return following, preceding


def _prepare(connection: socket.socket) -> None:
    """Block in the kernel, with its own time limits: Python's would turn MSG_WAITALL off."""
    connection.settimeout(None)
    patience = struct.pack("@ll", int(PATIENCE_SECONDS), 0)
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, patience)
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_SNDTIMEO, patience)
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)


class RingRail:
    """The ring on one rail: a thread that sends and one that receives, so that neither waits."""

    def __init__(
        self, following: socket.socket, preceding: socket.socket, *, chunk_bytes: int, chunks: int
    ) -> None:
        self._following = following
        self._preceding = preceding
        self._chunk_bytes = chunk_bytes
        self._chunks = chunks
        self._begin: SimpleQueue[None] = SimpleQueue()
        self._outgoing: SimpleQueue[Flag] = SimpleQueue()
        self._done: SimpleQueue[Flag | OSError] = SimpleQueue()
        self._sent_bytes = 0
        self._received_bytes = 0
        for work in (self._send, self._receive):
            threading.Thread(target=work, daemon=True).start()

    def begin(self, flag: Flag) -> None:
        """Start one all-reduce; `flag` goes with this rank's first chunk."""
        self._outgoing.put(flag)
        self._begin.put(None)

    def finish(self) -> Flag:
        """Wait until the all-reduce is through; return the flags of all ranks."""
        outcome = self._done.get()
        if isinstance(outcome, OSError):
            raise outcome
        return outcome

    def close(self) -> RailReport:
        """Wait until the next rank's kernel has everything, close, and report."""
        deadline = time.monotonic() + PATIENCE_SECONDS
        while self._unacknowledged_bytes() and time.monotonic() < deadline:
            time.sleep(_DRAIN_POLL_SECONDS)
        info = self._following.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, _TCP_INFO_BYTES)
        self._following.close()
        self._preceding.close()
        return RailReport(
            sent_bytes=self._sent_bytes,
            received_bytes=self._received_bytes,
            retransmitted_bytes=_RETRANSMITTED_BYTES.unpack_from(info)[0],
            retransmitted_segments=_RETRANSMITTED_SEGMENTS.unpack_from(info)[0],
        )

    def _unacknowledged_bytes(self) -> int:
        # tcp(7): SIOCOUTQ, which has the number of TIOCOUTQ.
        answer = fcntl.ioctl(self._following, termios.TIOCOUTQ, bytes(4))
        return int.from_bytes(answer, "little")

    def _send(self) -> None:
        payload = bytearray(self._chunk_bytes)
        try:
            while True:
                payload[0] = self._outgoing.get()
                self._following.sendall(payload)
                self._sent_bytes += self._chunk_bytes
        except OSError as exc:
            self._done.put(exc)

    def _receive(self) -> None:
        chunk = memoryview(bytearray(self._chunk_bytes))
        try:
            while True:
                self._begin.get()
                self._done.put(self._receive_all(chunk))
        except OSError as exc:
            self._done.put(exc)

    def _receive_all(self, chunk: memoryview) -> Flag:
        flags = Flag.GO
        for number in range(1, self._chunks + 1):
            self._fill(chunk)
            flags |= Flag(chunk[0])
            if number < self._chunks:
                self._outgoing.put(flags)
        return flags

    def _fill(self, chunk: memoryview) -> None:
        """Receive exactly one chunk, in one system call as a rule: a wake-up a frame costs CPU."""
        position = 0
        while position < len(chunk):
            count = self._preceding.recv_into(chunk[position:], 0, socket.MSG_WAITALL)
            if count == 0:
                raise ConnectionResetError(f"the previous rank left after {position} bytes")
            position += count
        self._received_bytes += position
