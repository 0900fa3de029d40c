# SPDX-License-Identifier: Apache-2.0
"""Network devices as sysfs shows them.

Knowledge: Documentation/ABI/testing/sysfs-class-net and -statistics, Documentation/PCI/sysfs-pci,
include/uapi/linux/if.h and if_arp.h, net/core/net-sysfs.c.
"""

from __future__ import annotations

import os
import re
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import TYPE_CHECKING

from railwatch_agent.sources.errors import SourceError
from railwatch_agent.sources.files import read_text

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable
    from pathlib import Path

LOOPBACK_TYPE = 772
INFINIBAND_TYPE = 32

_IFF_UP = 0x1
# SPEED_UNKNOWN is -1; kernels before 4.9 printed it unsigned.
_UNSIGNED_UNKNOWN = 0xFFFFFFFF
_BYTES_PER_MEGABIT = 125_000.0
# An interface without a notion of its operational state says "unknown" and carries traffic (RFC
# 2863 in Documentation/networking/operstates.rst).
_OPERATIONAL = frozenset({"up", "unknown"})

_PCI_ADDRESS = re.compile(r"[0-9a-f]{4,}:[0-9a-f]{2}:[0-9a-f]{2}\.[0-7]")
# A switch port that stands for a virtual function or subfunction (devlink-port.rst): its bytes
# pass the physical port too.
_REPRESENTOR = re.compile(r"(?:c\d+)?pf\d+(?:vf|sf)\d+")


_SUBFUNCTION = re.compile(r"\.sf\.\d+$")


class Part(StrEnum):
    """What a device is that shares a port with another one."""

    VIRTUAL_FUNCTION = "virtual function"
    SUBFUNCTION = "subfunction"
    REPRESENTOR = "representor"
    CHILD = "IPoIB child"
    SOFTWARE = "RDMA in software"


@dataclass(frozen=True, slots=True)
class DeviceFacts:
    """The hardware behind an entry of a class: name of the device, its PCI function and node."""

    device_name: str | None
    pci_address: str | None
    numa_node: int | None


@dataclass(frozen=True, slots=True)
class Netdev:
    """What a network device is, apart from what it counts.

    `device_name` is the last part of its device's path, None for a virtual device; `rdma` the RDMA
    devices on the same PCI function; `bond` the bond that it is a member of; `part` says of what
    shares a port with another netdev how it does.
    """

    name: str
    ifindex: int
    link_type: int
    is_admin_up: bool
    device_name: str | None
    port: int
    driver: str | None
    pci_address: str | None
    numa_node: int | None
    rdma: tuple[str, ...]
    bond: str | None
    part: Part | None

    @property
    def is_part(self) -> bool:
        """Whether it shares a port with another one."""
        return self.part is not None


def parse_speed(text: str) -> float | None:
    """Return bytes per second of a `speed` in Mbit/s, None if it is unknown.

    >>> parse_speed("100000")
    12500000000.0
    >>> parse_speed("-1")
    """
    megabits = int(text)
    if megabits <= 0 or megabits == _UNSIGNED_UNKNOWN:
        return None
    return megabits * _BYTES_PER_MEGABIT


def parse_admin_up(text: str) -> bool:
    """Whether the administrator wants the device up, from its `flags`.

    >>> parse_admin_up("0x1003"), parse_admin_up("0x1002")
    (True, False)
    """
    return bool(int(text, 16) & _IFF_UP)


def is_up(carrier: str | None, operstate: str | None) -> bool:
    """Whether a device can carry traffic; `carrier` is absent while it is administratively down.

    >>> is_up("1", "up"), is_up("1", "unknown"), is_up("1", "dormant"), is_up(None, "down")
    (True, True, False, False)
    """
    return carrier == "1" and (operstate is None or operstate in _OPERATIONAL)


def parse_pci_address(path: str) -> str | None:
    """Return the PCI function nearest to a device, from its path below /sys/devices.

    >>> parse_pci_address("devices/pci0000:00/0000:00:03.0/virtio2")
    '0000:00:03.0'
    """
    found = [part for part in path.split("/") if _PCI_ADDRESS.fullmatch(part)]
    return found[-1] if found else None


def netdev_directory(sysfs: Path, name: str) -> Path:
    """Where sysfs shows the network device *name*."""
    return sysfs / "class" / "net" / name


def read_netdevs(
    sysfs: Path, virtual: Collection[str] = (), known: Iterable[Netdev] = ()
) -> list[Netdev]:
    """Return the network devices of this network namespace, by name.

    Of the devices without hardware, of which a node with containers has hundreds, only those named
    in *virtual*. Of the devices in *known*, as read before, only what can change is read again.

    Raises
    ------
    SourceError
        sysfs cannot be listed. A device that vanishes or cannot be read meanwhile is left out.
    """
    directory = sysfs / "class" / "net"
    try:
        names = sorted(entry.name for entry in os.scandir(directory) if entry.is_symlink())
    except OSError as exc:
        raise SourceError(f"cannot list {directory}: {exc.strerror}") from exc
    wanted = (n for n in names if n in virtual or not _is_virtual(directory / n))
    before = {netdev.name: netdev for netdev in known}
    found = (_read_netdev(sysfs, directory / name, before.get(name)) for name in wanted)
    return [netdev for netdev in found if netdev is not None]


def _is_virtual(link: Path) -> bool:
    """Whether a device has no hardware: then its entry links into devices/virtual."""
    try:
        return "/virtual/" in str(link.readlink())
    except OSError:
        return True


def _read_netdev(sysfs: Path, directory: Path, known: Netdev | None) -> Netdev | None:
    ifindex = read_number(directory / "ifindex")
    flags = read_word(directory / "flags")
    if ifindex is None or flags is None:
        return None
    # An index is given to one device only, as long as the machine runs.
    if known is None or known.ifindex != ifindex:
        known = _describe(sysfs, directory, ifindex)
    # The driver for RDMA may be loaded long after the one for the network.
    rdma = _listed(directory / "device" / "infiniband")
    bond = link_name(directory / "master") if (directory / "bonding_slave").exists() else None
    return replace(known, is_admin_up=parse_admin_up(flags), rdma=rdma, bond=bond)


def _describe(sysfs: Path, directory: Path, ifindex: int) -> Netdev:
    """Read what does not change while there is the device."""
    device = directory / "device"
    facts = device_facts(sysfs, device)
    return Netdev(
        name=directory.name,
        ifindex=ifindex,
        link_type=read_number(directory / "type") or 0,
        is_admin_up=False,
        device_name=facts.device_name,
        port=read_number(directory / "dev_port") or 0,
        driver=link_name(device / "driver"),
        pci_address=facts.pci_address,
        numa_node=facts.numa_node,
        rdma=(),
        bond=None,
        part=part_of_function(device, facts.device_name) or _part_of_netdev(directory),
    )


def part_of_function(device: Path, device_name: str | None) -> Part | None:
    """Return which slice of a PCI function *device* is, None if it is a whole one."""
    if (device / "physfn").exists():
        return Part.VIRTUAL_FUNCTION
    return Part.SUBFUNCTION if is_subfunction(device_name) else None


def _part_of_netdev(directory: Path) -> Part | None:
    if (directory / "parent").exists():
        return Part.CHILD
    port_name = read_word(directory / "phys_port_name") or ""
    return Part.REPRESENTOR if _REPRESENTOR.fullmatch(port_name) else None


def device_facts(sysfs: Path, device: Path) -> DeviceFacts:
    """Return what the link *device* of a class leads to."""
    path = device.resolve() if device.exists() else None
    pci = None if path is None else _pci_directory(sysfs.resolve(), path)
    return DeviceFacts(
        device_name=None if path is None else path.name,
        pci_address=None if pci is None else pci.name,
        numa_node=None if pci is None else _numa_node(pci),
    )


def is_subfunction(device_name: str | None) -> bool:
    """Whether a device is a slice of a PCI function (kernel: devlink-port.rst, "Subfunction").

    >>> is_subfunction("mlx5_core.sf.2"), is_subfunction("0000:3b:00.0")
    (True, False)
    """
    return device_name is not None and _SUBFUNCTION.search(device_name) is not None


def _pci_directory(sysfs: Path, device: Path) -> Path | None:
    below = device.relative_to(sysfs) if device.is_relative_to(sysfs) else device
    address = parse_pci_address(str(below))
    if address is None:
        return None
    return next(path for path in (device, *device.parents) if path.name == address)


def _numa_node(pci: Path) -> int | None:
    node = read_number(pci / "numa_node")
    return None if node is None or node < 0 else node


def read_word(path: Path) -> str | None:
    """Return one word of a description; unreadable is as good as absent for what a device is."""
    try:
        text = read_text(path)
    except SourceError:
        return None
    return None if text is None else text.strip()


def read_number(path: Path) -> int | None:
    """Return one number of a description, None as above."""
    try:
        return int(read_word(path) or "")
    except ValueError:
        return None


def link_name(path: Path) -> str | None:
    """Return the name of what a link leads to, None if there is none."""
    try:
        return path.readlink().name
    except OSError:
        return None


def _listed(path: Path) -> tuple[str, ...]:
    try:
        return tuple(sorted(entry.name for entry in path.iterdir()))
    except OSError:
        return ()
