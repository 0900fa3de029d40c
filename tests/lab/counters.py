"""A place's own kernel counters: /proc/net/dev, /proc/net/snmp, carrier changes, qdisc statistics.

`Meter` keeps the descriptors: a file of /proc/net belongs to the namespace it was opened in, so
that one thread outside can read all nodes at the same moment for a few microseconds each.
"""

from __future__ import annotations

import itertools
import json
import os
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Self

if TYPE_CHECKING:
    from collections.abc import Sequence
    from types import TracebackType

    from lab.cluster import Cluster, Node, Place

_READ_BYTES = 64 * 1024


@dataclass(frozen=True, slots=True)
class Traffic:
    """A device's counters. veth counts a GSO frame once, with one set of headers."""

    receive_bytes: int
    receive_packets: int
    transmit_bytes: int
    transmit_packets: int


@dataclass(frozen=True, slots=True)
class Rates:
    """Rates of one device, a value per interval, in bits per second."""

    receive: tuple[float, ...]
    transmit: tuple[float, ...]


@dataclass(frozen=True, slots=True)
class Queue:
    """Statistics of a queueing discipline; the backlog is that of this moment."""

    backlog_bytes: int
    packets: int
    drops: int


class Meter:
    """Reads the counters of several places at once, while its `with` block runs."""

    def __init__(self, cluster: Cluster, places: Sequence[Place] | None = None) -> None:
        self._cluster = cluster
        self._places = cluster.nodes if places is None else places
        self._descriptors: list[int] = []

    def __enter__(self) -> Self:
        for place in self._places:
            self._descriptors.append(self._cluster.in_namespace(place, _open_devices))
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        while self._descriptors:
            os.close(self._descriptors.pop())

    def read(self) -> list[dict[str, Traffic]]:
        """Counters by device, for each place."""
        return [_parse(os.pread(fd, _READ_BYTES, 0)) for fd in self._descriptors]

    def record(self, seconds: float, interval_seconds: float = 0.02) -> list[dict[str, Rates]]:
        """Watch for so long; return the rates of each place's devices over measured intervals."""
        start = time.monotonic()
        samples = [(start, self.read())]
        for tick in range(1, round(seconds / interval_seconds) + 1):
            time.sleep(max(0.0, start + tick * interval_seconds - time.monotonic()))
            samples.append((time.monotonic(), self.read()))
        return [
            {device: _rates([(t, s[place][device]) for t, s in samples]) for device in devices}
            for place, devices in enumerate(samples[0][1])
        ]


def carrier_changes(cluster: Cluster, node: Node, rail: int) -> int:
    """How often the rail's link went down or up, as the node's sysfs says."""
    path = f"/sys/class/net/{node.rail_device(rail)}/carrier_changes"
    return int(cluster.run(node, ["cat", path]))


def retransmitted_segments(cluster: Cluster, node: Node) -> int:
    """TCP's RetransSegs of the node since its namespace began."""
    lines = cluster.run(node, ["cat", "/proc/net/snmp"]).splitlines()
    head, values = (line.split() for line in lines if line.startswith("Tcp:"))
    return int(values[head.index("RetransSegs")])


def queue(cluster: Cluster, place: Place, device: str, kind: str = "tbf") -> Queue:
    """Statistics of the device's discipline of this kind."""
    text = cluster.run(place, ["tc", "-s", "-j", "qdisc", "show", "dev", device])
    found = next(entry for entry in json.loads(text) if entry["kind"] == kind)
    return Queue(found["backlog"], found["packets"], found["drops"])


def quantile(values: Sequence[float], share: float) -> float:
    """The value below which `share` of `values` lie."""
    return sorted(values)[min(len(values) - 1, int(len(values) * share))]


def _open_devices() -> int:
    return os.open("/proc/thread-self/net/dev", os.O_RDONLY | os.O_CLOEXEC)


def _parse(text: bytes) -> dict[str, Traffic]:
    """Read /proc/net/dev: two lines of heading, then eight receive and eight transmit columns."""
    found = {}
    for line in text.decode("ascii").splitlines()[2:]:
        name, _, columns = line.partition(":")
        n = [int(word) for word in columns.split()]
        found[name.strip()] = Traffic(n[0], n[1], n[8], n[9])
    return found


def _rates(samples: Sequence[tuple[float, Traffic]]) -> Rates:
    steps = list(itertools.pairwise(samples))
    return Rates(
        receive=tuple(
            (b.receive_bytes - a.receive_bytes) * 8 / (u - t) for (t, a), (u, b) in steps
        ),
        transmit=tuple(
            (b.transmit_bytes - a.transmit_bytes) * 8 / (u - t) for (t, a), (u, b) in steps
        ),
    )
