# SPDX-License-Identifier: Apache-2.0
"""The host around the rails: processor and memory (psutil), pressure (kernel: psi.rst), softnet.

/proc/net/softnet_stat (net/core/net-procfs.c) has a line for each processor that is online, of
hexadecimal numbers of 32 bits: packets processed, dropped, time_squeeze, and more the newer the
kernel. The thirteenth, on newer kernels, is the processor's own number. Where that is missing, the
numbers of the lines stand for it, which are wrong once a processor has gone offline.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final, NamedTuple, TypeVar

import psutil

from railwatch_agent.sources.errors import SourceError
from railwatch_agent.sources.files import read_text

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

T = TypeVar("T")

_SOME_AVG10 = re.compile(r"^some avg10=(\d+(?:\.\d+)?)", re.MULTILINE)
_SOFTNET_DROPPED: Final = 1
_SOFTNET_SQUEEZED: Final = 2
_SOFTNET_PROCESSOR: Final = 12
SOFTNET_BITS: Final = 32
# More processors than Linux can be built for; a number beyond is none.
_MOST_PROCESSORS: Final = 8192


class Softnet(NamedTuple):
    """What one processor did with received packets since boot; both wrap."""

    dropped: int
    squeezed: int


def parse_softnet(text: str) -> dict[int, Softnet]:
    """Return the counters of each processor.

    >>> parse_softnet("0000ffff 00000002 0000000a")
    {0: Softnet(dropped=2, squeezed=10)}
    """
    found: dict[int, Softnet] = {}
    for number, line in enumerate(text.splitlines()):
        columns = [int(word, 16) for word in line.split()]
        if len(columns) <= _SOFTNET_SQUEEZED:
            raise ValueError(f"{len(columns)} columns in {line[:80]!r}")
        has_number = len(columns) > _SOFTNET_PROCESSOR
        processor = columns[_SOFTNET_PROCESSOR] if has_number else number
        if not 0 <= processor < _MOST_PROCESSORS:
            raise ValueError(f"processor {processor} in {line[:80]!r}")
        found[processor] = Softnet(columns[_SOFTNET_DROPPED], columns[_SOFTNET_SQUEEZED])
    return found


def parse_pressure(text: str) -> float:
    """Return the percentage of the last 10 s in which some task waited.

    >>> parse_pressure("some avg10=4.66 avg60=2.75 avg300=2.66 total=23011276")
    4.66
    """
    match = _SOME_AVG10.search(text)
    if match is None:
        raise ValueError(f"no 'some avg10=' in {text[:80]!r}")
    return float(match[1])


def busy_ratio(before: Mapping[str, float], after: Mapping[str, float]) -> float | None:
    """Return the share of processor time that was not idle between two readings of cpu_times.

    None if no time has passed. A processor that was unplugged takes its time with it, and waiting
    for I/O is counted back at times: both make a part negative, which counts as nothing.

    >>> busy_ratio({"user": 1.0, "idle": 1.0}, {"user": 2.0, "idle": 4.0})
    0.25
    """
    # A guest's time is part of user and nice already (psutil.cpu_times).
    parts = {
        name: max(after[name] - before[name], 0.0) for name in after if not name.startswith("guest")
    }
    total = sum(parts.values())
    if total <= 0:
        return None
    return (total - parts.get("idle", 0.0) - parts.get("iowait", 0.0)) / total


class HostSource:
    """Reads the host below *procfs*."""

    def __init__(self, procfs: Path) -> None:
        self._procfs = procfs
        # psutil's only way to be told where the host's /proc is mounted.
        psutil.PROCFS_PATH = str(procfs)

    def processor_times(self) -> dict[str, float]:
        """Seconds that all processors together have spent, by what on."""
        try:
            return dict(psutil.cpu_times()._asdict())
        except (OSError, ValueError, IndexError) as exc:
            raise SourceError(f"cannot read processor times: {exc}") from exc

    def memory_available_bytes(self) -> int:
        """Memory that can be given out without swapping."""
        try:
            return int(psutil.virtual_memory().available)
        except (OSError, ValueError, KeyError) as exc:
            raise SourceError(f"cannot read memory: {exc}") from exc

    def pressure_percent(self, resource: str) -> float | None:
        """Percentage of the last 10 s in which some task waited; None without pressure figures."""
        return self._parsed("pressure", resource, parse=parse_pressure)

    def softnet(self) -> dict[int, Softnet] | None:
        """Return the counters of each processor that is online; None without such figures."""
        return self._parsed("net", "softnet_stat", parse=parse_softnet)

    def _parsed(self, *names: str, parse: Callable[[str], T]) -> T | None:
        path = self._procfs.joinpath(*names)
        text = read_text(path)
        if text is None:
            return None
        try:
            return parse(text)
        except ValueError as exc:
            raise SourceError(f"cannot parse {path}: {exc}") from exc
