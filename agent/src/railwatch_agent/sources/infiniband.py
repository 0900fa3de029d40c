# SPDX-License-Identifier: Apache-2.0
"""RDMA devices and their ports as sysfs shows them.

Knowledge: Documentation/ABI/stable/sysfs-class-infiniband, drivers/infiniband/core/sysfs.c (states,
rate, link_layer and hw_counters), and for `port_*_data`, which count words of four bytes whatever
the width of the link, the ABI page again.
"""

from __future__ import annotations

import os
import re
import threading
import time
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Final

from railwatch_agent.sources.errors import SourceError
from railwatch_agent.sources.files import CounterFile
from railwatch_agent.sources.sysfs import (
    Part,
    device_facts,
    link_name,
    part_of_function,
    read_word,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence
    from pathlib import Path

ACTIVE: Final = 4
DISABLED: Final = 3
_BYTES_PER_GIGABIT: Final = 125_000_000.0

_CODE: Final = re.compile(r"(\d+):")
_RATE: Final = re.compile(r"(\d+(?:\.\d+)?) Gb/sec")


class LinkLayer(StrEnum):
    """What a port speaks below RDMA; EFA's is neither of the first two."""

    INFINIBAND = "InfiniBand"
    ETHERNET = "Ethernet"
    OTHER = "other"


@dataclass(frozen=True, slots=True)
class RdmaPort:
    """What a port of an RDMA device is, apart from what it counts.

    `part` says of what shares a port with another device how it does.
    `netdev` is the network device that the port names as its own, None where it names none.
    `identity` differs once the device has been registered anew under the same name.
    """

    device: str
    number: int
    link_layer: LinkLayer
    driver: str | None
    pci_address: str | None
    numa_node: int | None
    netdev: str | None
    part: Part | None
    identity: int

    @property
    def is_part(self) -> bool:
        """Whether it shares a port with another one."""
        return self.part is not None


def parse_code(text: str) -> int:
    """Return the number of a `state` or `phys_state`; one that no kernel of today has is data too.

    >>> parse_code("4: ACTIVE"), parse_code("9: SOMETHING NEW")
    (4, 9)
    """
    match = _CODE.match(text)
    if match is None:
        raise ValueError(f"no code in {text[:80]!r}")
    return int(match[1])


def parse_rate(text: str) -> float:
    """Return bytes per second of a `rate`; a link that trained down says so here.

    >>> parse_rate("400 Gb/sec (4X NDR)"), parse_rate("2.5 Gb/sec (1X SDR)")
    (50000000000.0, 312500000.0)
    """
    match = _RATE.match(text)
    if match is None:
        raise ValueError(f"no rate in {text[:80]!r}")
    return float(match[1]) * _BYTES_PER_GIGABIT


def parse_link_layer(text: str | None) -> LinkLayer:
    """Return the link layer; what is none of the known ones is another.

    >>> parse_link_layer("InfiniBand").name, parse_link_layer("Unknown").name
    ('INFINIBAND', 'OTHER')
    """
    return next((layer for layer in LinkLayer if layer == text), LinkLayer.OTHER)


def port_directory(sysfs: Path, port: RdmaPort) -> Path:
    """Where sysfs shows *port*."""
    return sysfs / "class" / "infiniband" / port.device / "ports" / str(port.number)


def is_registered(directory: Path | str, port: RdmaPort) -> bool:
    """Whether *port* is at *directory*, and not another one that was registered there since."""
    try:
        return os.stat(directory).st_ino == port.identity  # noqa: PTH116 - each second, of each rail
    except OSError:
        return False


class PortCounter(CounterFile):
    """A counter of a port; once the driver has refused it, it is left alone.

    On restricted functions each attempt writes a line into the kernel's log
    (prometheus/node_exporter#3434), so only a device that was registered anew is asked again.
    """

    __slots__ = ()

    def read(self) -> int | None:
        """Return the counter, or None if the hardware does not keep it."""
        return None if self.is_refused else super().read()


def counter_path(directory: Path, name: str) -> Path | None:
    """Return where a port keeps a counter; drivers with one port have some at the device.

    None if it is in neither place.
    """
    device = directory.parent.parent
    places = (directory / name, device / name) if name.startswith("hw_") else (directory / name,)
    return next((path for path in places if path.exists()), None)


def read_ports(sysfs: Path, known: Iterable[RdmaPort] = ()) -> list[RdmaPort]:
    """Return the ports of all RDMA devices; of those in *known* nothing is read again.

    Raises
    ------
    SourceError
        sysfs cannot be listed. A machine without RDMA has no ports.
    """
    directory = sysfs / "class" / "infiniband"
    try:
        names = sorted(entry.name for entry in os.scandir(directory))
    except FileNotFoundError:
        return []
    except OSError as exc:
        raise SourceError(f"cannot list {directory}: {exc.strerror}") from exc
    before = {(port.device, port.number): port for port in known}
    return [port for name in names for port in _device_ports(sysfs, directory / name, before)]


def _device_ports(
    sysfs: Path, device: Path, before: dict[tuple[str, int], RdmaPort]
) -> Iterator[RdmaPort]:
    try:
        found = sorted((int(e.name), e.stat().st_ino) for e in os.scandir(device / "ports"))
    except (OSError, ValueError):
        # It vanished meanwhile, or is nothing that the ABI knows.
        return
    for number, inode in found:
        port = before.get((device.name, number))
        if port is None or port.identity != inode:
            port = _describe(sysfs, device, number, inode)
        yield port


def _describe(sysfs: Path, device: Path, number: int, inode: int) -> RdmaPort:
    """Read what does not change while there is the device."""
    directory = device / "ports" / str(number)
    facts = device_facts(sysfs, device / "device")
    return RdmaPort(
        device=device.name,
        number=number,
        link_layer=parse_link_layer(read_word(directory / "link_layer")),
        driver=link_name(device / "device" / "driver"),
        pci_address=facts.pci_address,
        numa_node=facts.numa_node,
        netdev=read_word(directory / "gid_attrs" / "ndevs" / "0") or None,
        part=Part.SOFTWARE
        if facts.device_name is None
        else part_of_function(device / "device", facts.device_name),
        identity=inode,
    )


class PortWatch:
    """Knows which ports have been up since their devices were registered.

    To tell the state of a port its driver may ask the firmware and never return. That is done in a
    thread for each port, and only until its link was seen up once. What does not answer within
    *patience_seconds*, or says nothing intelligible, counts as up: it is not known to be unused.
    """

    def __init__(self, sysfs: Path, *, patience_seconds: float = 1.0) -> None:
        self._sysfs = sysfs
        self._patience_seconds = patience_seconds
        self._up: frozenset[RdmaPort] = frozenset()
        self._asked: dict[RdmaPort, threading.Thread] = {}

    def were_up(self, ports: Sequence[RdmaPort]) -> frozenset[RdmaPort]:
        """Return those of *ports* that have been up; waits once for all that do not answer."""
        answers: dict[RdmaPort, bool] = {}
        unknown = [port for port in ports if port not in self._up]
        for port in unknown:
            if port not in self._asked:
                thread = threading.Thread(target=self._ask, args=(port, answers), daemon=True)
                self._asked[port] = thread
                thread.start()
        deadline = time.monotonic() + self._patience_seconds
        for port in unknown:
            self._asked[port].join(max(deadline - time.monotonic(), 0.0))
        hung = {port for port, thread in self._asked.items() if thread.is_alive()}
        self._asked = {port: self._asked[port] for port in hung if port in unknown}
        self._up = frozenset(p for p in ports if p in self._up or answers.get(p, False))
        return self._up | hung.intersection(ports)

    def _ask(self, port: RdmaPort, answers: dict[RdmaPort, bool]) -> None:
        text = read_word(port_directory(self._sysfs, port) / "state")
        try:
            answers[port] = parse_code(text or "") == ACTIVE
        except ValueError:
            answers[port] = True


def whole_ports(ports: Iterable[RdmaPort]) -> list[RdmaPort]:
    """Return *ports* without parts: of several devices on one function the first one counts.

    The planes of a multi-plane HCA are shown as a device of their own on the function that they
    make up (rdma-dev(8), type SMI); their bytes pass its port.
    """
    first: dict[str, str] = {}
    whole: list[RdmaPort] = []
    for port in sorted(ports, key=lambda port: _device_order(port.device)):
        if port.is_part:
            continue
        place = port.pci_address or port.device
        if first.setdefault(place, port.device) == port.device:
            whole.append(port)
    return whole


def _device_order(name: str) -> tuple[bool, tuple[tuple[int, str], ...]]:
    parts = re.findall(r"\d+|\D+", name)
    natural = tuple((int(p), "") if p.isdecimal() else (-1, p) for p in parts)
    return name.startswith("smi"), natural
