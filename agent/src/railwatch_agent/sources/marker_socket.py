# SPDX-License-Identifier: Apache-2.0
"""The datagram socket that step markers come in through (unix(7), SO_PASSCRED).

The kernel says who sent each datagram: process, user and group, as seen from here. Any user may
send. How many wait unread is bounded by net.unix.max_dgram_qlen, 10 on many machines.
"""

from __future__ import annotations

import errno
import os
import select
import socket
import stat
import struct
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from railwatch_agent.sources.errors import SourceError
from railwatch_agent.sources.files import read_text

if TYPE_CHECKING:
    from pathlib import Path

_CREDENTIALS: Final = struct.Struct("3i")
# Room for credentials and nothing else: descriptors that somebody sends along are not taken in.
_ANCILLARY_BYTES: Final = socket.CMSG_SPACE(_CREDENTIALS.size)
_MOST_BYTES: Final = 1024
_ANYBODY_WRITES: Final = 0o666


@dataclass(frozen=True, slots=True)
class Datagram:
    """What was sent, and by which process of which user; process 0 is one that is not seen here."""

    data: bytes
    pid: int
    uid: int
    is_truncated: bool


class MarkerSocket:
    """A socket at *path*; opened and read by one thread, closed by any."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._socket: socket.socket | None = None
        self._poll = select.poll()
        self._identity: tuple[int, int] | None = None

    def open(self) -> None:
        """Have a socket at the path, unless it is there already.

        Raises
        ------
        SourceError
            It cannot be made, or another agent has one there.
        """
        if self._socket is not None and self._identity == self._found():
            return
        self.close()
        try:
            is_in_use = is_listened_to(self._path)
            if not is_in_use:
                self._bind()
        except OSError as exc:
            self.close()
            raise SourceError(f"cannot bind {self._path}: {exc.strerror or exc}") from exc
        if is_in_use:
            raise SourceError(f"cannot bind {self._path}: another agent listens there")

    def receive(self, most: int, wait_seconds: float) -> list[Datagram]:
        """Return up to *most* datagrams that are there, after waiting for the first.

        Raises
        ------
        SourceError
            The socket is closed, or cannot be read.
        """
        opened = self._socket
        if opened is None:
            raise SourceError(f"{self._path} is closed")
        found: list[Datagram] = []
        try:
            self._poll.poll(1000 * wait_seconds)
            while len(found) < most:
                found.append(_receive(opened))
        except BlockingIOError:
            return found
        except OSError as exc:
            raise SourceError(f"cannot read {self._path}: {exc.strerror}") from exc
        return found

    def close(self) -> None:
        """Remove the socket, if it is still the own one that is at the path."""
        opened, self._socket = self._socket, None
        if opened is None:
            return
        if self._identity is not None and self._identity == self._found():
            self._path.unlink(missing_ok=True)
        self._identity = None
        opened.close()

    def _bind(self) -> None:
        kind = socket.SOCK_DGRAM | socket.SOCK_CLOEXEC | socket.SOCK_NONBLOCK
        made = socket.socket(socket.AF_UNIX, kind)
        self._socket = made
        self._poll = select.poll()
        self._poll.register(made, select.POLLIN)
        made.setsockopt(socket.SOL_SOCKET, socket.SO_PASSCRED, 1)
        # Under another name first: whoever finds the socket may use it.
        new = self._path.with_name(f".{self._path.name}.new")
        new.unlink(missing_ok=True)
        made.bind(str(new))
        new.chmod(_ANYBODY_WRITES)
        new.rename(self._path)
        self._identity = self._found()

    def _found(self) -> tuple[int, int] | None:
        try:
            status = os.lstat(self._path)
        except OSError:
            return None
        return status.st_dev, status.st_ino


def is_listened_to(path: Path) -> bool:
    """Whether somebody reads a datagram socket at *path*.

    Raises
    ------
    OSError
        Something else is there, or nobody may know.
    """
    try:
        status = os.lstat(path)
    except FileNotFoundError:
        return False
    if not stat.S_ISSOCK(status.st_mode):
        raise OSError(errno.EEXIST, "something that is no socket is there")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as probe:
        try:
            probe.connect(str(path))
        except ConnectionRefusedError:
            # It was left over.
            return False
    return True


def read_queue_length(procfs: Path) -> int | None:
    """Return how many datagrams may wait unread, None if that is not told; raises SourceError."""
    text = read_text(procfs / "sys" / "net" / "unix" / "max_dgram_qlen")
    return int(text) if text is not None and text.strip().isdecimal() else None


def _receive(opened: socket.socket) -> Datagram:
    data, ancillary, about, _ = opened.recvmsg(_MOST_BYTES, _ANCILLARY_BYTES)
    pid = uid = 0
    for level, kind, held in ancillary:
        if level == socket.SOL_SOCKET and kind == socket.SCM_CREDENTIALS:
            pid, uid, _ = _CREDENTIALS.unpack(held[: _CREDENTIALS.size])
    return Datagram(data, pid, uid, bool(about & socket.MSG_TRUNC))
