# SPDX-License-Identifier: Apache-2.0
"""Files of the kernel, read again and again (sysfs.rst: an attribute is rendered on a read at 0).

Opening a file costs ten times what reading it does, so descriptors are kept. A kept descriptor
answers ENODEV once its device is gone, whatever has its name by then: it is opened anew.
"""

from __future__ import annotations

import errno
import os
from os import pread
from typing import TYPE_CHECKING

from railwatch_agent.sources.errors import SourceError

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

# How the kernel says "there is no such thing here" (sysfs-class-net: speed and carrier are EINVAL
# while the device is down); any other errno is a fault.
ABSENT = frozenset({errno.ENOENT, errno.ENODEV, errno.EINVAL, errno.EOPNOTSUPP})

_CLOSED = -1
# An attribute is at most a page; those read here are a number or a word.
_ATTRIBUTE_BYTES = 4096
# 2**64 and its line end are 21.
_COUNTER_BYTES = 32


class KeptFile:
    """A file whose descriptor stays open between reads; for one thread at a time."""

    __slots__ = ("descriptor", "path")

    def __init__(self, path: Path) -> None:
        self.path = str(path)
        self.descriptor = _CLOSED

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


class CounterPair:
    """Two counters that are read together, many times a second, with the time in between."""

    __slots__ = ("_first", "_monotonic", "_second")

    def __init__(self, first: Path, second: Path, *, monotonic: Callable[[], float]) -> None:
        self._first = CounterFile(first)
        self._second = CounterFile(second)
        self._monotonic = monotonic

    def read(self) -> tuple[int | None, float, int | None]:
        """Return the first counter, the time and the second; raises SourceError."""
        # In one step as long as all is well: a descriptor that is closed is an error too.
        try:
            return (
                int(pread(self._first.descriptor, _COUNTER_BYTES, 0)),
                self._monotonic(),
                int(pread(self._second.descriptor, _COUNTER_BYTES, 0)),
            )
        except (OSError, ValueError):
            # Once more, with care: opens what is closed and says what is wrong, if it still is.
            return self._first.read(), self._monotonic(), self._second.read()


class TextFile(KeptFile):
    """A file that holds one word."""

    __slots__ = ()

    def read(self) -> str | None:
        """Return the word without its line end, or None if there is no such thing."""
        data = self.read_bytes()
        return None if data is None else data.decode("ascii", "replace").strip()


def read_text(path: Path) -> str | None:
    """Return the whole of a file that is read seldom, or None if there is no such thing.

    Raises
    ------
    SourceError
        It is there and cannot be read.
    """
    try:
        return path.read_bytes().decode("ascii", "replace")
    except OSError as exc:
        if exc.errno in ABSENT:
            return None
        raise SourceError(f"cannot read {path}: {exc.strerror}") from exc
