# SPDX-License-Identifier: Apache-2.0
"""The node itself: its kernel and file systems, the state directory, the clock.

Which kernel began to tell what: net/ethtool/fec.c (5.13), struct tcp_info in linux/tcp.h (5.4).
"""

from __future__ import annotations

import os
import re
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Final

from railwatch_agent.doctor.checks import Answer, Check
from railwatch_agent.doctor.findings import Section, Status, message_of, status_of
from railwatch_agent.numbering import BookFile
from railwatch_agent.sources.access import can_write_in, open_once
from railwatch_agent.sources.timex import read_clock_state

if TYPE_CHECKING:
    from collections.abc import Callable

    from railwatch_agent.settings import PathSettings

# What an older kernel does not tell, by the version that began to.
_SINCE: Final = (
    ((5, 13), "FEC counters of any driver"),
    ((5, 4), "out-of-order packets of TCP sockets"),
)


def node_checks(paths: PathSettings) -> list[Check]:
    """Return the checks of the node."""
    looks: dict[str, Callable[[], Answer]] = {
        "kernel": partial(kernel, os.uname().release),
        "sysfs": partial(file_system, Path(paths.sysfs), "class/net", "[paths] sysfs"),
        "procfs": partial(file_system, Path(paths.procfs), "net/route", "[paths] procfs"),
        "state directory": partial(state_directory, Path(paths.state)),
        "clock": clock,
    }
    return [Check(Section.NODE, what, look) for what, look in looks.items()]


def kernel(release: str) -> Answer:
    """Say what this kernel is too old to tell.

    >>> kernel("5.10.0-28-amd64").detail
    '5.10.0-28-amd64 does not tell FEC counters of any driver'
    """
    version = tuple(int(part) for part in re.findall(r"\d+", release)[:2])
    lacks = [what for since, what in _SINCE if version < since]
    if not lacks:
        return Answer(Status.OK, release)
    detail = f"{release} does not tell {' nor '.join(lacks)}"
    needed = ".".join(str(part) for part in _SINCE[0][0])
    return Answer(Status.ABSENT, detail, f"Linux {needed} or newer")


def file_system(root: Path, inside: str, key: str) -> Answer:
    """Say whether a file system of the kernel is at *root*, by something that it always has."""
    try:
        open_once(root / inside)
    except OSError as exc:
        message = message_of(exc)
        return Answer(status_of(message), message, key)
    return Answer(Status.OK, str(root))


def state_directory(directory: Path) -> Answer:
    """Say whether the numbers of the rails outlive the agent."""
    known = len(BookFile(directory).peek().records)
    if can_write_in(directory):
        return Answer(Status.OK, f"{directory}, {known} rails known")
    user = f"user {os.geteuid()}"
    return Answer(
        Status.DENIED,
        f"{user} cannot write in {directory}: the numbers of new rails last until the agent ends",
        f"make {user} its owner, or set [paths] state",
    )


def clock() -> Answer:
    """Say whether the windows of this node are those of the others."""
    state = read_clock_state()
    error = f"{state.maximum_error_seconds:.3f} s"
    if state.is_synchronised:
        return Answer(Status.OK, f"synchronised, {error} off at most")
    return Answer(
        Status.MISSING,
        "nothing synchronises it, and windows are compared by the wall clock",
        "run chrony, systemd-timesyncd, ntpd or phc2sys",
    )
