# SPDX-License-Identifier: Apache-2.0
"""The host around the rails: processor and memory (psutil) and pressure (kernel: psi.rst)."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import psutil

from railwatch_agent.sources.errors import SourceError
from railwatch_agent.sources.files import read_text

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

_SOME_AVG10 = re.compile(r"^some avg10=(\d+(?:\.\d+)?)", re.MULTILINE)


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
        path = self._procfs / "pressure" / resource
        text = read_text(path)
        if text is None:
            return None
        try:
            return parse_pressure(text)
        except ValueError as exc:
            raise SourceError(f"cannot parse {path}: {exc}") from exc
