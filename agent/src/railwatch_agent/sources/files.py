# SPDX-License-Identifier: Apache-2.0
"""Files of the kernel, read again and again (sysfs.rst: an attribute is rendered on a read at 0).

Opening a file costs ten times what reading it does, so descriptors are kept. A kept descriptor
answers ENODEV once its device is gone, whatever has its name by then: it is opened anew.
"""

from __future__ import annotations

import errno
import os
from typing import TYPE_CHECKING

from railwatch_agent.sources.errors import SourceError

if TYPE_CHECKING:
    from pathlib import Path

# How the kernel says "there is no such thing here" (sysfs-class-net: speed and carrier are EINVAL
# while the device is down); any other errno is a fault.
ABSENT = frozenset({errno.ENOENT, errno.ENODEV, errno.EINVAL, errno.EOPNOTSUPP})
_REFUSED = frozenset({errno.EINVAL, errno.EOPNOTSUPP})

_CLOSED = -1
# An attribute is at most a page; those read here are a number or a word.
_ATTRIBUTE_BYTES = 4096


class KeptFile:
    """A file whose descriptor stays open between reads; for one thread at a time.

    `is_refused` is true after the driver has said that there is no such thing, although the file is
    there.
    """

    __slots__ = ("descriptor", "is_refused", "path")

    def __init__(self, path: Path | str) -> None:
        self.path = str(path)
        self.descriptor = _CLOSED
        self.is_refused = False

    def __del__(self) -> None:
        self.close()

    def close(self) -> None:
        """Close the descriptor; the next read opens the file anew."""
        descriptor, self.descriptor = self.descriptor, _CLOSED
        if descriptor != _CLOSED:
            os.close(descriptor)

    def read_bytes(self) -> bytes | None:
        """Return what the file holds now, or None if there is no such thing.

        Raises
        ------
        SourceError
            It is there and cannot be read.
        """
        try:
            if self.descriptor == _CLOSED:
                self.descriptor = os.open(self.path, os.O_RDONLY | os.O_CLOEXEC)
            return os.pread(self.descriptor, _ATTRIBUTE_BYTES, 0)
        except OSError as exc:
            self.close()
            self.is_refused = exc.errno in _REFUSED
            if exc.errno in ABSENT:
                return None
            raise SourceError(f"cannot read {self.path}: {exc.strerror}") from exc


class CounterFile(KeptFile):
    """A file that holds one counter."""

    __slots__ = ()

    def read(self) -> int | None:
        """Return the counter, or None if the hardware does not keep it."""
        data = self.read_bytes()
        if data is None:
            return None
        try:
            return int(data)
        except ValueError as exc:
            self.close()
            raise SourceError(f"cannot parse {self.path}: {exc}") from exc


class TextFile(KeptFile):
    """A file that holds one word."""

    __slots__ = ()

    def read(self) -> str | None:
        """Return the word without its line end, or None if there is no such thing."""
        data = self.read_bytes()
        return None if data is None else data.decode("ascii", "replace").strip()


def read_text(path: Path | str) -> str | None:
    """Return the whole of a file that is read seldom, or None if there is no such thing.

    Raises
    ------
    SourceError
        It is there and cannot be read.
    """
    try:
        # A third of what a file object costs.
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        try:
            return _read_whole(descriptor).decode("ascii", "replace")
        finally:
            os.close(descriptor)
    except OSError as exc:
        if exc.errno in ABSENT:
            return None
        raise SourceError(f"cannot read {path}: {exc.strerror}") from exc


def _read_whole(descriptor: int) -> bytes:
    """Read to the end; a file of /proc may answer with less than there is and was asked for."""
    parts: list[bytes] = []
    while data := os.read(descriptor, 16 * _ATTRIBUTE_BYTES):
        parts.append(data)
    return b"".join(parts)
