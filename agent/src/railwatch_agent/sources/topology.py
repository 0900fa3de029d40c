# SPDX-License-Identifier: Apache-2.0
"""The topology file: which port of which switch every rail of a cluster is plugged into.

A CSV file (RFC 4180) that all nodes share, so that it can be written from a cable plan or from what
a fabric manager prints:

    instance,device,switch,switch_port
    node01,mlx5_0,leaf1,Ethernet1/1
    node01,mlx5_1,leaf2,Ethernet1/1

Columns may have any order, and others are left alone. InfiniBand has no LLDP: there it is the only
way to know a rail's neighbour.
"""

from __future__ import annotations

import csv
import os
import socket
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from railwatch_agent.sources.errors import SourceError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping
    from pathlib import Path

_NEEDED: Final = ("instance", "device", "switch")
_PORT: Final = "switch_port"


@dataclass(frozen=True, slots=True)
class Neighbor:
    """The other end of a rail's cable."""

    switch: str
    port: str


class TopologyFile:
    """The rows of this node; the file is read again when it has changed."""

    def __init__(self, path: Path, *, hostname: Callable[[], str] = socket.gethostname) -> None:
        self._path = path
        self._hostname = hostname
        self._known: tuple[object, ...] | None = None
        self._neighbors: Mapping[str, Neighbor] = {}

    def read(self) -> Mapping[str, Neighbor]:
        """Return the neighbours by device, as the file names it.

        Raises
        ------
        SourceError
            The file cannot be read, or is wrong where it speaks of this node.
        """
        host = self._hostname()
        try:
            # Spreadsheets put a byte order mark in front.
            with self._path.open(encoding="utf-8-sig", newline="") as file:
                status = os.fstat(file.fileno())
                known = (host, status.st_ino, status.st_size, status.st_mtime_ns)
                if known != self._known:
                    self._neighbors = parse_topology(file, host)
                    self._known = known
        except OSError as exc:
            raise SourceError(f"cannot read {self._path}: {exc.strerror}") from exc
        except (ValueError, csv.Error) as exc:
            raise SourceError(f"cannot parse {self._path}: {exc}") from exc
        return self._neighbors


def parse_topology(lines: Iterable[str], host: str) -> dict[str, Neighbor]:
    """Return the neighbours of *host* by device; lines that begin with # are comments.

    Raises
    ------
    ValueError
        A column or a value is missing, or a device has two neighbours; tells the line.
    """
    rows = csv.reader("\n" if line.startswith("#") else line for line in lines)
    filled = (row for row in rows if row)
    head = [name.strip() for name in next(filled, [])]
    missing = [name for name in _NEEDED if name not in head]
    if missing:
        raise ValueError(f"no column {', '.join(missing)} in the first row")
    found: dict[str, Neighbor] = {}
    for row in filled:
        cells = dict(zip(head, (cell.strip() for cell in row), strict=False))
        if not names_node(cells.get("instance", ""), host):
            continue
        device, switch = cells.get("device", ""), cells.get("switch", "")
        if not device or not switch:
            raise ValueError(f"line {rows.line_num}: device and switch must not be empty")
        neighbor = Neighbor(switch, cells.get(_PORT, ""))
        if found.setdefault(device, neighbor) != neighbor:
            raise ValueError(f"line {rows.line_num}: {device!r} has another neighbour already")
    return found


def names_node(instance: str, host: str) -> bool:
    """Whether *instance*, with or without a port, is the node *host*, whatever their case.

    One of them may be without its domain.

    >>> names_node("node01:9810", "node01.example"), names_node("node01.a", "node01.b")
    (True, False)
    """
    name = instance.rpartition(":")[0] if instance.count(":") == 1 else instance
    one, other = name.lower(), host.lower()
    if "." in one and "." in other:
        return one == other
    return one != "" and one.partition(".")[0] == other.partition(".")[0]
