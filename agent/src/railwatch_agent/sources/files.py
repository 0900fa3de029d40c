# SPDX-License-Identifier: Apache-2.0
"""Files of the kernel, read again and again (sysfs.rst: an attribute is rendered on a read at 0).

Opening a file costs ten times what reading it does, so descriptors are kept. A kept descriptor
answers ENODEV once its device is gone, whatever has its name by then: it is opened anew.
"""

from __future__ import annotations

import errno
import os
from os import pread
from typing import TYPE_CHECKING, NamedTuple

from railwatch.rates import Accumulator
from railwatch_agent.sources.errors import SourceError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

# How the kernel says "there is no such thing here" (sysfs-class-net: speed and carrier are EINVAL
# while the device is down); any other errno is a fault.
ABSENT = frozenset({errno.ENOENT, errno.ENODEV, errno.EINVAL, errno.EOPNOTSUPP})
_REFUSED = frozenset({errno.EINVAL, errno.EOPNOTSUPP})

_CLOSED = -1
# An attribute is at most a page; those read here are a number or a word.
_ATTRIBUTE_BYTES = 4096
# 2**64 and its line end are 21.
_COUNTER_BYTES = 32


class KeptFile:
    """A file whose descriptor stays open between reads; for one thread at a time.

    `is_refused` is true after the driver has said that there is no such thing, although the file is
    there.
    """

    __slots__ = ("descriptor", "is_refused", "path")

    def __init__(self, path: Path) -> None:
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


class CounterPair:
    """Two counters that are read together, many times a second, with the time in between."""

    __slots__ = ("_first", "_monotonic", "_second")

    # Those of a network device are kept in memory; a round is late before reading them is.
    took_seconds = 0.0

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


class CounterPart(NamedTuple):
    """A file that makes up a part of a sum; *is_optional* if the sum can do without it."""

    file: CounterFile
    scale: int = 1
    is_optional: bool = False


class SummedPair:
    """As `CounterPair`, of counters that are the sum of several files each.

    A file that was reset does not make a sum fall (`railwatch.rates.Accumulator`). `took_seconds`
    is how long the last reading lasted.
    """

    __slots__ = ("_first", "_monotonic", "_second", "took_seconds")

    def __init__(
        self,
        first: Sequence[CounterPart],
        second: Sequence[CounterPart],
        *,
        monotonic: Callable[[], float],
    ) -> None:
        self._first = _Sum(first)
        self._second = _Sum(second)
        self._monotonic = monotonic
        self.took_seconds = 0.0

    def read(self) -> tuple[int | None, float, int | None]:
        """Return the first counter, the time and the second; raises SourceError."""
        began = self._monotonic()
        first = self._first.read()
        between = self._monotonic()
        second = self._second.read()
        self.took_seconds = self._monotonic() - began
        return first, between, second


class _Sum:
    """The sum of some files."""

    __slots__ = ("_has_begun", "_parts", "_total")

    def __init__(self, parts: Sequence[CounterPart]) -> None:
        self._parts = [*parts]
        self._total = Accumulator()
        self._has_begun = False

    def read(self) -> int | None:
        try:
            found = [
                int(pread(file.descriptor, _COUNTER_BYTES, 0)) * scale
                for file, scale, _ in self._parts
            ]
        except (OSError, ValueError):
            # As for a pair: once more, with care.
            return self._read_with_care()
        # A sum of one is what it says; saves a third of the time.
        return found[0] if len(found) == 1 else int(self._total.update(found))

    def _read_with_care(self) -> int | None:
        values = [part.file.read() for part in self._parts]
        if not self._has_begun:
            # What is not there from the beginning does not come: it is not asked for again.
            kept = [
                at
                for at, part in enumerate(self._parts)
                if values[at] is not None or not part.is_optional
            ]
            self._parts, values = [self._parts[at] for at in kept], [values[at] for at in kept]
        is_missing = any(
            value is None and not part.is_optional
            for part, value in zip(self._parts, values, strict=True)
        )
        if is_missing or all(value is None for value in values):
            return None
        self._has_begun = True
        scaled = [
            None if value is None else value * part.scale
            for part, value in zip(self._parts, values, strict=True)
        ]
        return int(self._total.update(scaled))


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
