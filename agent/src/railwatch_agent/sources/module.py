# SPDX-License-Identifier: Apache-2.0
"""The memory (EEPROM) of the module in a port's cage, by ethtool.

Knowledge: linux/ethtool_netlink.h and net/ethtool/eeprom.c (MODULE_EEPROM_GET, Linux 5.13),
linux/ethtool.h and net/ethtool/ioctl.c (ETHTOOL_GMODULEINFO, ETHTOOL_GMODULEEEPROM) for kernels
before that, SFF-8024 for the identifiers.

    struct ethtool_modinfo { u32 cmd; u32 type; u32 eeprom_len; u32 reserved[8]; }
    struct ethtool_eeprom  { u32 cmd; u32 magic; u32 offset; u32 len; u8 data[]; }

Both ways need CAP_NET_ADMIN. The memory is behind a slow bus that the NIC's firmware uses too.
"""

from __future__ import annotations

import socket
import struct
from typing import TYPE_CHECKING, Final, Protocol

from railwatch_agent.sources import cmis, sff8472, sff8636
from railwatch_agent.sources.errors import NotPermittedError, SourceError
from railwatch_agent.sources.ethtool import EthtoolControl, classify
from railwatch_agent.sources.ethtool_netlink import EthtoolNetlink, Question
from railwatch_agent.sources.netlink import attribute, find_attribute
from railwatch_agent.sources.optics import HALF, Module

if TYPE_CHECKING:
    from collections.abc import Callable

    from railwatch_agent.sources.ethtool import Control

_QUESTION: Final = Question("module EEPROM", 31)
_OFFSET: Final = 2
_LENGTH: Final = 3
_PAGE: Final = 4
_ADDRESS: Final = 6
_DATA: Final = 7
_U8: Final = struct.Struct("=B")
_U32: Final = struct.Struct("=I")

_GET_INFO: Final = 0x42
_GET_EEPROM: Final = 0x43
_INFO: Final = struct.Struct("=III32x")
_EEPROM: Final = struct.Struct("=IIII")
_TYPE_SFF_8472: Final = 2

# Addresses on the bus; an SFP has a second one for diagnostics.
_FIRST: Final = 0x50
_SECOND: Final = 0x51

_SFP: Final = {0x03: "sfp", 0x0B: "dwdm-sfp"}
_QSFP: Final = {0x0C: "qsfp", 0x0D: "qsfp+", 0x11: "qsfp28"}
_CMIS: Final = {
    0x18: "qsfp-dd",
    0x19: "osfp",
    0x1B: "dsfp",
    0x1E: "qsfp-cmis",
    0x1F: "sfp-dd",
    0x20: "sfp-cmis",
}


class Memory(Protocol):
    """The memory of the modules of this machine; raises SourceError."""

    def half(self, ifindex: int, page: int, *, is_upper: bool, address: int) -> bytes | None:
        """Return half a page, None if there is no such module or page."""
        ...


def parse_data(data: bytes, start: int, end: int) -> bytes:
    """Return half a page from an ETHTOOL_MSG_MODULE_EEPROM_GET_REPLY."""
    span = find_attribute(data, start, end, _DATA)
    size = 0 if span is None else span[1] - span[0]
    if span is None or size < HALF:
        raise SourceError(f"ethtool: {size} bytes of module EEPROM where there should be {HALF}")
    return data[span[0] : span[0] + HALF]


class NetlinkMemory:
    """Memory by ethtool's netlink family."""

    def __init__(self, netlink: EthtoolNetlink) -> None:
        self._netlink = netlink

    def half(self, ifindex: int, page: int, *, is_upper: bool, address: int) -> bytes | None:
        """Return half a page of bank 0."""
        attributes = b"".join(
            (
                attribute(_OFFSET, _U32.pack(HALF if is_upper else 0)),
                attribute(_LENGTH, _U32.pack(HALF)),
                attribute(_PAGE, _U8.pack(page)),
                attribute(_ADDRESS, _U8.pack(address)),
            )
        )
        return self._netlink.ask(_QUESTION, parse_data, ifindex, attributes)


class ControlMemory:
    """Memory by ioctl, in which all pages that the driver has are one row of bytes."""

    def __init__(
        self,
        control: Control | None = None,
        *,
        name_of: Callable[[int], str] = socket.if_indextoname,
    ) -> None:
        self._control = EthtoolControl() if control is None else control
        self._name_of = name_of

    def half(self, ifindex: int, page: int, *, is_upper: bool, address: int) -> bytes | None:
        """Return half a page of what the driver has of it."""
        try:
            return self._half(self._name_of(ifindex), page, is_upper=is_upper, address=address)
        except OSError as exc:
            error = classify(exc.errno or 0, f"module EEPROM of interface {ifindex}")
            if error is None:
                return None
            raise error from exc

    def _half(self, netdev: str, page: int, *, is_upper: bool, address: int) -> bytes | None:
        info = bytearray(_INFO.pack(_GET_INFO, 0, 0))
        self._control(netdev, info)
        _, kind, length = _INFO.unpack(info)
        at = page * HALF + (HALF if is_upper else 0)
        if address == _SECOND:
            if kind != _TYPE_SFF_8472:
                return None
            at += 2 * HALF
        if at + HALF > length:
            return None
        buffer = bytearray(_EEPROM.pack(_GET_EEPROM, 0, at, HALF) + bytes(HALF))
        self._control(netdev, buffer)
        return bytes(buffer[_EEPROM.size :])


class ModuleReader:
    """Reads the modules of one device after another."""

    def __init__(self, *memories: Memory) -> None:
        self._memories = memories

    def read(self, ifindex: int) -> Module | None:
        """Return what the module says, None if there is none, or no way to read it.

        Raises
        ------
        SourceError
            It is there and cannot be read; NotPermittedError if not by this user.
        """
        try:
            for memory in self._memories:
                lower = memory.half(ifindex, 0, is_upper=False, address=_FIRST)
                if lower is not None:
                    return _read(memory, ifindex, lower)
        except NotPermittedError as exc:
            raise NotPermittedError(f"{exc}; needs CAP_NET_ADMIN") from exc
        return None


def _read(memory: Memory, ifindex: int, lower: bytes) -> Module:
    identifier = lower[0]
    if identifier in _SFP:
        return _read_sfp(memory, ifindex, lower)
    if identifier not in {**_QSFP, **_CMIS}:
        return Module(f"{identifier:#04x}")
    upper = memory.half(ifindex, 0, is_upper=True, address=_FIRST)
    if upper is None:
        raise SourceError(f"module EEPROM of interface {ifindex} has no first page")

    def page(number: int) -> bytes | None:
        return memory.half(ifindex, number, is_upper=True, address=_FIRST)

    if identifier in _CMIS:
        pages = cmis.Pages()
        if not cmis.is_flat(lower):
            numbers = (cmis.MONITOR_PAGE, cmis.ALARM_PAGE, cmis.LANE_PAGE)
            pages = cmis.Pages(*map(page, numbers))
        return cmis.decode(_CMIS[identifier], lower, upper, pages)
    alarms = page(sff8636.ALARM_PAGE) if sff8636.has_alarms(lower, upper) else None
    return sff8636.decode(_QSFP[identifier], lower, upper, alarms)


def _read_sfp(memory: Memory, ifindex: int, identity: bytes) -> Module:
    diagnostics = None
    if sff8472.has_diagnostics(identity):
        diagnostics = memory.half(ifindex, 0, is_upper=False, address=_SECOND)
    return sff8472.decode(_SFP[identity[0]], identity, diagnostics)
