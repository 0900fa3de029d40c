# SPDX-License-Identifier: Apache-2.0
"""What a rail is and how it does: its state, and the packets and faults of its network device.

Knowledge: Documentation/ABI/testing/sysfs-class-net, sysfs-class-net-statistics and
Documentation/networking/statistics.rst (dropped: the host had no room; errors: broken packets);
of RDMA ports Documentation/ABI/stable/sysfs-class-infiniband. On InfiniBand the port is asked and
not the network device, which is one of IP over it: what that counts, the port has counted too.
One collector a rail: a driver that hangs hides its own rail only.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeAlias

from railwatch.catalogue.metric import ReadFailure, Sample
from railwatch.catalogue.rail import (
    RAIL_ADMIN_UP,
    RAIL_FAULTS,
    RAIL_INFO,
    RAIL_PRESENT,
    RAIL_RECEIVE_PACKETS,
    RAIL_SPEED,
    RAIL_TRANSMIT_PACKETS,
    RAIL_UP,
    Fault,
)
from railwatch_agent.collectors.counter_set import CounterSeries, CounterSet
from railwatch_agent.sources.errors import SourceError
from railwatch_agent.sources.files import CounterFile, TextFile, read_text
from railwatch_agent.sources.infiniband import (
    ACTIVE,
    DISABLED,
    is_registered,
    parse_code,
    parse_rate,
    port_directory,
)
from railwatch_agent.sources.rdma_drivers import counts_whole_link
from railwatch_agent.sources.sysfs import is_up, netdev_directory, parse_admin_up, parse_speed

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from pathlib import Path

    from railwatch.catalogue.metric import MetricSpec
    from railwatch_agent.inventory import Rail

Texts: TypeAlias = "Mapping[str, str | None]"
"""What files say, by their names; None where there is no such thing."""

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
_NOT_NEEDED_TO_CARRY = frozenset({"flags", "operstate", "phys_state", "rate", "speed"})
_PORT_STATES = ("state", "phys_state", "rate")


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
        if self._files is None or self._files.rail is not rail:
            self._files = _Files(rail, self._sysfs)
        files = self._files
        yield files.info
        is_present = files.are_those_of_the_rail()
        yield Sample(RAIL_PRESENT, rail.labels, int(is_present))
        if not is_present:
            yield Sample(RAIL_UP, rail.labels, 0)
            self._files = None
            return
        yield from files.counters.read()
        yield from self._state(files)

    def _state(self, files: _Files) -> Iterator[Sample | ReadFailure]:
        texts: dict[str, str | None] = {}
        failures: list[ReadFailure] = []
        for name, file in files.states.items():
            try:
                texts[name] = file.read()
            except SourceError as exc:
                failures.append(ReadFailure(name, str(exc)))
        yield from failures
        # Mostly nothing has changed, and nothing need be parsed.
        if failures or texts != files.texts:
            files.texts = None if failures else texts
            files.said = list(self._parsed(files, texts))
        yield from files.said

    def _parsed(self, files: _Files, texts: Texts) -> Iterator[Sample | ReadFailure]:
        rail = files.rail
        is_known = files.states.keys() - texts.keys() <= _NOT_NEEDED_TO_CARRY
        readings: tuple[tuple[MetricSpec, str, Callable[[], float | None]], ...] = (
            (RAIL_ADMIN_UP, "administrative state", lambda: is_wanted_up(texts)),
            (RAIL_UP, "state", lambda: can_carry(texts, is_known=is_known)),
            (RAIL_SPEED, "speed", lambda: self._speed(rail, texts)),
        )
        for spec, what, reading in readings:
            try:
                value = reading()
            except ValueError as exc:
                yield ReadFailure(what, f"cannot parse {what} of {rail.device}: {exc}")
            else:
                if value is not None:
                    yield Sample(spec, rail.labels, value)

    def _speed(self, rail: Rail, texts: Texts) -> float | None:
        override = rail.line_rate_override
        self._line_rate = None
        self._line_rate = line_rate(texts) if override is None else override
        return self._line_rate


def is_wanted_up(texts: Texts) -> int | None:
    """Whether the administrator wants a port up; None where nothing says so.

    >>> is_wanted_up({"flags": "0x1003"}), is_wanted_up({"phys_state": "3: Disabled"})
    (1, 0)
    """
    flags, physical = texts.get("flags"), texts.get("phys_state")
    if flags is not None:
        return int(parse_admin_up(flags))
    return None if physical is None else int(parse_code(physical) != DISABLED)


def can_carry(texts: Texts, *, is_known: bool = True) -> int | None:
    """Whether a port can carry traffic: all that was read says so, and (*is_known*) all was read.

    >>> can_carry({"carrier": "1", "operstate": "up", "state": "1: DOWN"})
    0
    """
    says: list[bool] = []
    if "carrier" in texts:
        says.append(is_up(texts["carrier"], texts.get("operstate")))
    state = texts.get("state")
    if state is not None:
        says.append(parse_code(state) == ACTIVE)
    if not all(says):
        return 0
    return 1 if says and is_known else None


def line_rate(texts: Texts) -> float | None:
    """Return bytes per second; an RDMA port without a link tells the rate that it begins with.

    >>> line_rate({"state": "1: DOWN", "rate": "2.5 Gb/sec (1X SDR)"})
    """
    speed, rate, state = texts.get("speed"), texts.get("rate"), texts.get("state")
    if speed is not None:
        return parse_speed(speed)
    if rate is None or state is None or parse_code(state) != ACTIVE:
        return None
    return parse_rate(rate)


class _Files:
    """The files of one rail, and what its state said last."""

    def __init__(self, rail: Rail, sysfs: Path) -> None:
        self.rail = rail
        self.info = info_sample(rail)
        self.texts: dict[str, str | None] | None = None
        self.said: list[Sample | ReadFailure] = []
        self.states: dict[str, TextFile] = {}
        self.counters = CounterSet(())
        netdev = netdev_directory(sysfs, rail.netdev)
        self._index = str(netdev / "ifindex")
        self._port = "" if rail.rdma is None else str(port_directory(sysfs, rail.rdma))
        has_netdev = rail.ifindex is not None
        if rail.rdma is None or not counts_whole_link(rail.rdma, has_netdev=has_netdev):
            self.states = {name: TextFile(netdev / name) for name in _STATES}
            self.counters = CounterSet(
                [
                    CounterSeries(
                        spec,
                        (*rail.labels, *labels),
                        [CounterFile(netdev / source)],
                        interval_seconds=NetdevCollector.interval_seconds,
                    )
                    for spec, labels, source in _COUNTERS
                ]
            )
        if rail.rdma is not None:
            # Ethernet's speed is told to the megabit by the network device.
            wanted = ("state",) if self.states else _PORT_STATES
            self.states |= {name: TextFile(f"{self._port}/{name}") for name in wanted}

    def are_those_of_the_rail(self) -> bool:
        """Whether the devices that have the rail's names now are the rail's; asked each time."""
        rail = self.rail
        if rail.rdma is not None and not is_registered(self._port, rail.rdma):
            return False
        if rail.ifindex is None:
            return rail.rdma is not None
        # A name is looked up anew: a descriptor that is kept follows its device.
        text = read_text(self._index)
        return text is not None and text.strip() == str(rail.ifindex)
