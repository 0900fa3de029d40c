# SPDX-License-Identifier: Apache-2.0
"""Forward error correction, vendor-neutral: which, and how much it had to do.

Knowledge: linux/ethtool_netlink.h, linux/ethtool.h (enum ethtool_link_mode_bit_indices),
Documentation/networking/ethtool-netlink.rst (FEC_GET), net/ethtool/fec.c. A reply has

    ETHTOOL_A_FEC_ACTIVE                u32     bit of the link mode; absent while the link is down
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

from railwatch_agent.sources.ethtool_netlink import FLAG_STATISTICS, Question, find_u32
from railwatch_agent.sources.netlink import find_attribute

FEC: Final = Question("FEC counters", 29, FLAG_STATISTICS)
_ACTIVE: Final = 4
_STATS: Final = 5
_CORRECTED_BLOCKS: Final = 2
_UNCORRECTABLE_BLOCKS: Final = 3
_CORRECTED_BITS: Final = 4
_MODES: Final = {49: "none", 50: "rs", 51: "baser", 74: "llrs"}
_U64: Final = struct.Struct("=Q")


class Fec(NamedTuple):
    """A port's totals since its driver was loaded, and its mode; None where that is not told."""

    corrected_blocks: int | None
    uncorrectable_blocks: int | None
    corrected_bits: int | None
    mode: str | None = None


def parse_fec(data: bytes, start: int, end: int) -> Fec:
    """Return what the attributes of an ETHTOOL_MSG_FEC_GET_REPLY say."""
    active = find_u32(data, start, end, _ACTIVE)
    mode = None if active is None else _MODES.get(active, str(active))
    span = find_attribute(data, start, end, _STATS)
    if span is None:
        return Fec(None, None, None, mode)
    return Fec(
        _total(data, *span, _CORRECTED_BLOCKS),
        _total(data, *span, _UNCORRECTABLE_BLOCKS),
        _total(data, *span, _CORRECTED_BITS),
        mode,
    )


def _total(data: bytes, start: int, end: int, kind: int) -> int | None:
    span = find_attribute(data, start, end, kind)
    if span is None or span[1] - span[0] < _U64.size:
        return None
    return int(_U64.unpack_from(data, span[0])[0])
