# SPDX-License-Identifier: Apache-2.0
"""What this process may open and do (capabilities(7), proc_pid_status(5), path_resolution(7))."""

from __future__ import annotations

import grp
import os
import socket
from enum import IntEnum
from pathlib import Path
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterator

_STATUS: Final = Path("/proc/self/status")
_EFFECTIVE: Final = "CapEff:"
_GROUP_READS: Final = 0o040


class Capability(IntEnum):
    """Privileges that open something to the agent, by their bits (linux/capability.h)."""

    CAP_DAC_OVERRIDE = 1
    CAP_DAC_READ_SEARCH = 2
    CAP_NET_ADMIN = 12
    CAP_SYS_PTRACE = 19
    CAP_SYSLOG = 34


def parse_capabilities(status: str) -> frozenset[Capability]:
    r"""Return the effective ones of a process, as far as they are of interest here.

    >>> parse_capabilities("Name:\tx\nCapEff:\t0000000000001000\n")
    frozenset({<Capability.CAP_NET_ADMIN: 12>})
    """
    for line in status.splitlines():
        if line.startswith(_EFFECTIVE):
            mask = int(line.removeprefix(_EFFECTIVE), 16)
            return frozenset(c for c in Capability if mask >> c & 1)
    raise ValueError(f"no {_EFFECTIVE} in {status[:80]!r}")


def own_capabilities() -> frozenset[Capability]:
    """Return what this process has."""
    return parse_capabilities(_STATUS.read_text(encoding="ascii", errors="replace"))


def open_once(path: Path) -> None:
    """Open a file to read, and close it; raises OSError. Never waits for a writer."""
    os.close(os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC))


def can_write_in(directory: Path) -> bool:
    """Whether files can be made in *directory*, or it can be made itself where it is not there."""
    nearest = next((p for p in (directory, *directory.parents) if p.exists()), directory)
    return nearest.is_dir() and os.access(nearest, os.W_OK | os.X_OK, effective_ids=True)


def what_opens(path: Path) -> str:
    """Name the group whose members may read *path*, or else the capability that reads anything."""
    try:
        status = path.stat()
        if status.st_mode & _GROUP_READS and status.st_gid != 0:
            return f"group {grp.getgrgid(status.st_gid).gr_name}"
    except (OSError, KeyError):
        # Not even its owner can be told, or its group has no name.
        pass
    return Capability.CAP_DAC_READ_SEARCH.name


def has_interface(index: int, name: str) -> bool:
    """Whether the network namespace of this process has that interface under that name."""
    try:
        return socket.if_indextoname(index) == name
    except OSError:
        return False


def processes_of_others(procfs: Path) -> Iterator[Path]:
    """Yield the directories of processes that another user runs."""
    with os.scandir(procfs) as entries:
        for entry in entries:
            if not entry.name.isdecimal():
                continue
            try:
                owner = entry.stat().st_uid
            except OSError:
                # It ended meanwhile.
                continue
            if owner != os.geteuid():
                yield Path(entry.path)
