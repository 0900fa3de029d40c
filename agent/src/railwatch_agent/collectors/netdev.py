# SPDX-License-Identifier: Apache-2.0
"""What the kernel keeps of one rail's network device: its state, packets and faults.

Knowledge: Documentation/ABI/testing/sysfs-class-net, sysfs-class-net-statistics and
Documentation/networking/statistics.rst (dropped: the host had no room; errors: broken packets).
One collector, and so one thread, a rail: a driver that hangs hides its own rail only.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from railwatch.catalogue import (
    RAIL_ADMIN_UP,
    RAIL_FAULTS,
    RAIL_INFO,
    RAIL_PRESENT,
    RAIL_RECEIVE_PACKETS,
    RAIL_SPEED,
    RAIL_TRANSMIT_PACKETS,
    RAIL_UP,
    Fault,
    ReadFailure,
    Sample,
)
from railwatch_agent.sources.errors import SourceError
from railwatch_agent.sources.files import CounterFile, TextFile, read_text
from railwatch_agent.sources.sysfs import is_up, netdev_directory, parse_admin_up, parse_speed

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from railwatch.catalogue import MetricSpec
    from railwatch_agent.inventory import Rail

# Each counter: its family, the label values after rail and device, and its file.
_COUNTERS: tuple[tuple[MetricSpec, tuple[str, ...], str], ...] = (
    (RAIL_RECEIVE_PACKETS, (), "statistics/rx_packets"),
    (RAIL_TRANSMIT_PACKETS, (), "statistics/tx_packets"),
    (RAIL_FAULTS, (Fault.LINK_DOWNED,), "carrier_down_count"),
    (RAIL_FAULTS, (Fault.RECEIVE_ERROR,), "statistics/rx_errors"),
    (RAIL_FAULTS, (Fault.RECEIVE_DISCARD,), "statistics/rx_dropped"),
    (RAIL_FAULTS, (Fault.TRANSMIT_DISCARD,), "statistics/tx_dropped"),
)
_STATES = ("flags", "carrier", "operstate", "speed")


def info_sample(rail: Rail) -> Sample:
    """Return what a rail is; what is not known is an empty label, as Prometheus has it."""
    facts = (
        rail.netdev,
        rail.kind,
        rail.driver,
        rail.pci_address,
        rail.numa_node,
        rail.gpu,
        rail.selected_by,
    )
    labels = (*rail.labels, *("" if fact is None else str(fact) for fact in facts))
    return Sample(RAIL_INFO, labels, 1)


class NetdevCollector:
    """Collects the rail of one number; *rails* answers with the inventory as it is now."""

    name = "netdev"
    interval_seconds = 1.0

    def __init__(self, number: int, *, rails: Callable[[], tuple[Rail, ...]], sysfs: Path) -> None:
        self._number = number
        self._rails = rails
        self._sysfs = sysfs
        self._files: _Files | None = None
        self._line_rate: float | None = None

    @property
    def line_rate(self) -> float | None:
        """Bytes per second as last read or configured; None while that is not known."""
        return self._line_rate

    def collect(self) -> Iterator[Sample | ReadFailure]:
        """Yield the rail's state and counters; a rail whose device is gone is not present."""
        rail = next((rail for rail in self._rails() if rail.number == self._number), None)
        if rail is None:
            return
        yield info_sample(rail)
        directory = netdev_directory(self._sysfs, rail.netdev)
        is_present = _is_present(rail, directory)
        yield Sample(RAIL_PRESENT, rail.labels, int(is_present))
        if not is_present:
            yield Sample(RAIL_UP, rail.labels, 0)
            self._files = None
            return
        if self._files is None or self._files.key != (rail.netdev, rail.ifindex):
            self._files = _Files(rail, directory)
        yield from _counters(self._files, rail)
        yield from self._state(self._files, rail)

    def _state(self, files: _Files, rail: Rail) -> Iterator[Sample | ReadFailure]:
        states: dict[str, str | None] = {}
        for name, file in files.states.items():
            try:
                states[name] = file.read()
            except SourceError as exc:
                yield ReadFailure(name, str(exc))
        yield from _readings(rail, states)
        if "speed" in states or rail.line_rate_override is not None:
            yield from self._speed(rail, states.get("speed"))

    def _speed(self, rail: Rail, text: str | None) -> Iterator[Sample | ReadFailure]:
        speed = rail.line_rate_override
        try:
            if speed is None and text is not None:
                speed = parse_speed(text)
        except ValueError as exc:
            yield ReadFailure("speed", f"cannot parse speed of {rail.netdev}: {exc}")
        self._line_rate = speed
        if speed is not None:
            yield Sample(RAIL_SPEED, rail.labels, speed)


class _Files:
    """The open files of one device."""

    def __init__(self, rail: Rail, directory: Path) -> None:
        self.key = (rail.netdev, rail.ifindex)
        self.states = {name: TextFile(directory / name) for name in _STATES}
        self.counters = [
            (spec, labels, CounterFile(directory / source)) for spec, labels, source in _COUNTERS
        ]


def _is_present(rail: Rail, directory: Path) -> bool:
    """Whether the device that has the rail's name now is the rail's; looked up anew each time."""
    if rail.ifindex is None:
        return False
    text = read_text(directory / "ifindex")
    return text is not None and text.strip() == str(rail.ifindex)


def _counters(files: _Files, rail: Rail) -> Iterator[Sample | ReadFailure]:
    for spec, labels, file in files.counters:
        try:
            value = file.read()
        except SourceError as exc:
            yield ReadFailure(file.path, str(exc))
        else:
            if value is not None:
                yield Sample(spec, (*rail.labels, *labels), value)


def _readings(rail: Rail, states: dict[str, str | None]) -> Iterator[Sample | ReadFailure]:
    flags = states.get("flags")
    if flags is not None:
        try:
            yield Sample(RAIL_ADMIN_UP, rail.labels, int(parse_admin_up(flags)))
        except ValueError as exc:
            yield ReadFailure("flags", f"cannot parse flags of {rail.netdev}: {exc}")
    if "carrier" in states:
        up = is_up(states["carrier"], states.get("operstate"))
        yield Sample(RAIL_UP, rail.labels, int(up))
