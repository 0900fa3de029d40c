# SPDX-License-Identifier: Apache-2.0
"""The interface of the default route, from /proc/net/route and /proc/net/ipv6_route.

Knowledge: proc_pid_net(5), fib_route_seq_show() and rt6_info_route() in the kernel; the columns of
both files are fixed by them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from railwatch_agent.sources.files import read_text

if TYPE_CHECKING:
    from pathlib import Path

_RTF_UP = 0x0001
_RTF_REJECT = 0x0200
_IPV4_COLUMNS = 8
_IPV6_COLUMNS = 10
_NO_ADDRESS = "0" * 32


def parse_ipv4_default(text: str) -> str | None:
    r"""Return the interface of the default route with the lowest metric.

    >>> parse_ipv4_default("Iface …\neth0 00000000 0100000A 0003 0 0 100 00000000 0 0 0\n")
    'eth0'
    """
    found: list[tuple[int, str]] = []
    for line in text.splitlines()[1:]:
        columns = line.split()
        if len(columns) < _IPV4_COLUMNS:
            continue
        interface, destination, _, flags, _, _, metric, mask = columns[:_IPV4_COLUMNS]
        usable = int(flags, 16) & (_RTF_UP | _RTF_REJECT) == _RTF_UP
        if usable and int(destination, 16) == 0 and int(mask, 16) == 0:
            found.append((int(metric), interface))
    return min(found)[1] if found else None


def parse_ipv6_default(text: str) -> str | None:
    """Return the interface of the IPv6 default route with the lowest metric.

    The kernel lists an unreachable default on `lo` in every namespace; it is rejected, not used.
    """
    found: list[tuple[int, str]] = []
    for line in text.splitlines():
        columns = line.split()
        if len(columns) < _IPV6_COLUMNS:
            continue
        destination, length, metric, flags = columns[0], columns[1], columns[5], columns[8]
        usable = int(flags, 16) & (_RTF_UP | _RTF_REJECT) == _RTF_UP
        if usable and destination == _NO_ADDRESS and int(length, 16) == 0:
            found.append((int(metric, 16), columns[9]))
    return min(found)[1] if found else None


def default_route_interface(procfs: Path) -> str | None:
    """Return the interface that the default route leaves by, None if there is none.

    Raises
    ------
    SourceError
        The routes cannot be read.
    """
    # "net" is a link to the reading thread's own namespace.
    ipv4 = parse_ipv4_default(read_text(procfs / "net" / "route") or "")
    if ipv4 is not None:
        return ipv4
    return parse_ipv6_default(read_text(procfs / "net" / "ipv6_route") or "")
