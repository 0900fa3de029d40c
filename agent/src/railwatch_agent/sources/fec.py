# SPDX-License-Identifier: Apache-2.0
"""Counters of forward error correction, vendor-neutral, by ethtool's generic netlink family.

Knowledge: linux/ethtool_netlink.h, linux/genetlink.h, Documentation/networking/ethtool-netlink.rst
(FEC_GET), net/ethtool/fec.c. A reply is

    struct genlmsghdr { u8 cmd; u8 version; u16 reserved; }
    ETHTOOL_A_FEC_STATS {
        ETHTOOL_A_FEC_STAT_CORRECTED    u64[]   blocks
        ETHTOOL_A_FEC_STAT_UNCORR       u64[]   blocks
        ETHTOOL_A_FEC_STAT_CORR_BITS    u64[]   bits
    }

The first number of each row is the port's, those after it are of lanes; a row that the hardware
does not keep is empty. Linux 5.13 began to tell. The question needs no privilege.
"""

from __future__ import annotations

import struct
from typing import Final, NamedTuple

from railwatch_agent.sources.errors import SourceError
from railwatch_agent.sources.ethtool import classify
from railwatch_agent.sources.netlink import (
    NETLINK_GENERIC,
    KernelError,
    Netlink,
    SingleRequest,
    attribute,
    find_attribute,
)

_CONTROLLER: Final = 16
_GET_FAMILY: Final = 3
_FAMILY_ID: Final = 1
_FAMILY_NAME: Final = 2
_FAMILY: Final = b"ethtool\0"

_FEC_GET: Final = 29
_NESTED: Final = 0x8000
_FEC_HEADER: Final = 1
_FEC_STATS: Final = 5
_HEADER_INDEX: Final = 1
_HEADER_FLAGS: Final = 3
_FLAG_STATS: Final = 4
_CORRECTED_BLOCKS: Final = 2
_UNCORRECTABLE_BLOCKS: Final = 3
_CORRECTED_BITS: Final = 4

_GENERIC_HEADER: Final = struct.Struct("=BBH")
_U16: Final = struct.Struct("=H")
_U32: Final = struct.Struct("=I")
_U64: Final = struct.Struct("=Q")


class FecCounts(NamedTuple):
    """A port's totals since its driver was loaded; None where the hardware keeps none."""

    corrected_blocks: int | None
    uncorrectable_blocks: int | None
    corrected_bits: int | None


def parse_family(data: bytes, start: int, end: int) -> int:
    """Return the number of a generic netlink family from a CTRL_CMD_NEWFAMILY."""
    span = find_attribute(data, start + _GENERIC_HEADER.size, end, _FAMILY_ID)
    if span is None or span[1] - span[0] < _U16.size:
        raise SourceError("ethtool: no number in the kernel's answer about its netlink family")
    return int(_U16.unpack_from(data, span[0])[0])


def parse_fec(data: bytes, start: int, end: int) -> FecCounts | None:
    """Return the counts of an ETHTOOL_MSG_FEC_GET_REPLY, None if the driver tells none."""
    span = find_attribute(data, start + _GENERIC_HEADER.size, end, _FEC_STATS)
    if span is None:
        return None
    return FecCounts(
        _total(data, *span, _CORRECTED_BLOCKS),
        _total(data, *span, _UNCORRECTABLE_BLOCKS),
        _total(data, *span, _CORRECTED_BITS),
    )


def _total(data: bytes, start: int, end: int, kind: int) -> int | None:
    span = find_attribute(data, start, end, kind)
    if span is None or span[1] - span[0] < _U64.size:
        return None
    return int(_U64.unpack_from(data, span[0])[0])


class FecReader:
    """Reads one device after another; for one thread."""

    def __init__(self, netlink: Netlink | None = None) -> None:
        self._netlink = Netlink(NETLINK_GENERIC) if netlink is None else netlink
        self._family: int | None = None

    def read(self, ifindex: int) -> FecCounts | None:
        """Return the counts of the device, None if it keeps none or is gone.

        Raises
        ------
        SourceError
            They are there and cannot be read; NotPermittedError if not by this user.
        """
        try:
            if self._family is None:
                self._family = self._find_family()
            return self._read(self._family, ifindex)
        except KernelError as exc:
            self._family = None
            error = classify(exc.code, f"FEC counters of interface {ifindex}")
            if error is None:
                return None
            raise error from exc

    def _find_family(self) -> int:
        body = _GENERIC_HEADER.pack(_GET_FAMILY, 1, 0) + attribute(_FAMILY_NAME, _FAMILY)
        request = SingleRequest("netlink family of ethtool", _CONTROLLER, _CONTROLLER, body)
        replies = self._netlink.dump(request)
        if not replies:
            raise SourceError("ethtool: no answer about its netlink family")
        return parse_family(*replies[0])

    def _read(self, family: int, ifindex: int) -> FecCounts | None:
        header = attribute(_HEADER_INDEX, _U32.pack(ifindex))
        header += attribute(_HEADER_FLAGS, _U32.pack(_FLAG_STATS))
        body = _GENERIC_HEADER.pack(_FEC_GET, 1, 0) + attribute(_FEC_HEADER | _NESTED, header)
        request = SingleRequest("FEC counters", family, family, body)
        replies = self._netlink.dump(request)
        return parse_fec(*replies[0]) if replies else None

    def close(self) -> None:
        """Close the socket; another read opens it again."""
        self._netlink.close()
