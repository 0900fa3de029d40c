# SPDX-License-Identifier: Apache-2.0
"""A counter that several files make up, such as the bytes of a rail: RDMA's and the rest.

On Ethernet an RDMA driver counts apart from the network device, so that a rail's bytes are in two
files each way, and a job moves one of the two. A part that has counted next to nothing for a while
rests. A counter of which all parts but one rest is *plain*: who reads it many times a second may
read that one file alone, and look at the others now and then.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import repeat
from operator import length_hint
from os import pread
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from railwatch_agent.sources.files import CounterFile

# A part that grows by less from one read to the next is quiet: 80 kB/s at 50 reads a second, less
# than a hundredth of a percent of a training NIC.
QUIET_BYTES = 1640
# How many reads in a row a part is quiet before it rests; 10 s at 50 reads a second.
_REST_AFTER_READS = 500
# 2**64 and its line end are 21 bytes; read from the beginning, again and again.
_SIZES = repeat(32)
_BEGINNINGS = repeat(0)


class CounterPart(NamedTuple):
    """A file that makes up a part of a sum; *is_optional* if the sum can do without it."""

    file: CounterFile
    scale: int = 1
    is_optional: bool = False


class Reading(NamedTuple):
    """A file as it was read last: its descriptor, what it said, and the scale of that."""

    descriptor: int
    value: int
    scale: int


class Plain(NamedTuple):
    """How to read a counter of which one part moves: `moving`, the rest of the sum, who rests."""

    moving: Reading
    offset: int
    resting: tuple[Reading, ...]


@dataclass(slots=True)
class _Part:
    file: CounterFile
    scale: int
    is_optional: bool
    value: int | None = None
    quiet_reads: int = 0

    @property
    def rests(self) -> bool:
        """Whether it has been quiet for long, or is not known."""
        return self.value is None or self.quiet_reads >= _REST_AFTER_READS

    @property
    def reading(self) -> Reading:
        """It as it was read last."""
        return Reading(self.file.descriptor, self.value or 0, self.scale)

    def take(self, value: int) -> int:
        """Remember *value*; return by how much the sum would fall for a reset, 0 without one."""
        before, self.value = self.value, value
        if before is not None and value - before > QUIET_BYTES:
            self.quiet_reads = 0
        else:
            self.quiet_reads += 1
        return 0 if before is None else max(before - value, 0) * self.scale


@dataclass(slots=True)
class SummedCounter:
    """The sum of *parts*.

    With one part known it is what that says, and a reset is a fall. Of several it begins at their
    sum and goes on when one is reset or is not known for a while; one that comes later adds what it
    grows by from then on (as `railwatch.rates.Accumulator`).

    *on_jump* is called when a part that rested has moved: the sum that is answered next does not
    continue those before, as it is not known when within the last reads that was.
    """

    parts: Sequence[CounterPart]
    on_jump: Callable[[], None] = lambda: None
    _parts: list[_Part] = field(init=False)
    _offset: int = field(default=0, init=False)
    _has_begun: bool = field(default=False, init=False)

    def __post_init__(self) -> None:
        self._parts = [_Part(*part) for part in self.parts]

    @property
    def files(self) -> tuple[str, ...]:
        """The files that make it up; once it was read, those of them that are there."""
        return tuple(part.file.path for part in self._parts)

    def read(self) -> int | None:
        """Return the sum, or None if the hardware does not keep it; raises SourceError."""
        found = [part.file.read() for part in self._parts]
        if not self._has_begun:
            found = self._begin(found)
        is_missing = any(
            value is None and not part.is_optional
            for part, value in zip(self._parts, found, strict=True)
        )
        if is_missing or all(value is None for value in found):
            return None
        for part, value in zip(self._parts, found, strict=True):
            if value is not None:
                self._take(part, value)
        self._has_begun = True
        known = (part.value * part.scale for part in self._parts if part.value is not None)
        return sum(known) + self._offset

    def _begin(self, found: list[int | None]) -> list[int | None]:
        """Leave out what is not there from the beginning: it does not come, and asking is dear."""
        pairs = zip(self._parts, found, strict=True)
        kept = [(p, value) for p, value in pairs if value is not None or not p.is_optional]
        if any(value is not None for _, value in kept):
            self._parts = [part for part, _ in kept]
            return [value for _, value in kept]
        return found

    def _take(self, part: _Part, value: int) -> None:
        others_known = any(p.value is not None for p in self._parts if p is not part)
        if part.value is None and self._has_begun and others_known:
            self._offset -= value * part.scale
        rested = part.rests and part.value is not None
        fall = part.take(value)
        if others_known:
            self._offset += fall
        if rested and not part.rests:
            self.on_jump()

    def plain(self) -> Plain | None:
        """Return how to read it while all parts but one rest, None if it is not so."""
        known = [part for part in self._parts if part.value is not None]
        if not self._has_begun or not known:
            return None
        moving = min(known, key=lambda part: part.quiet_reads)
        if not all(part is moving or part.rests for part in known):
            return None
        resting = tuple(part.reading for part in known if part is not moving)
        offset = self._offset + sum(at.value * at.scale for at in resting)
        return Plain(moving.reading, offset, resting)

    def adopt(self, said: Mapping[int, int]) -> None:
        """Take over what others have read of the files meanwhile, by descriptor."""
        for part in self._parts:
            part.value = said.get(part.file.descriptor, part.value)


class OpenFiles:
    """Counters in files whose descriptors are open, read together."""

    def __init__(self, readings: Sequence[Reading]) -> None:
        self.descriptors = [reading.descriptor for reading in readings]
        self.values = [reading.value for reading in readings]
        self.scales = [reading.scale for reading in readings]
        self._left: Iterator[int] = iter(())

    def read(self) -> list[int]:
        """Return what the files say now; raises OSError and ValueError."""
        self._left = iter(self.descriptors)
        return list(map(int, map(pread, self._left, _SIZES, _BEGINNINGS)))

    @property
    def position(self) -> int:
        """Which of them is being read, as seen from another thread."""
        return len(self.descriptors) - length_hint(self._left) - 1

    def by_descriptor(self) -> dict[int, int]:
        """Return what they said last."""
        return dict(zip(self.descriptors, self.values, strict=True))
