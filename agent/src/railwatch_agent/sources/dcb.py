# SPDX-License-Identifier: Apache-2.0
"""Which priorities priority flow control is enabled for, by rtnetlink (linux/dcbnl.h).

    struct dcbmsg { u8 family; u8 cmd; u16 pad; }
    DCB_ATTR_IFNAME       string
    DCB_ATTR_IEEE {
        DCB_ATTR_IEEE_PFC struct ieee_pfc { u8 capable; u8 enabled; u8 mbc; u16 delay; u64 …[8] … }
    }

`enabled` has a bit a priority. The structure counts pause frames too, but drivers disagree about
which of its rows are those sent, and some leave them 0: the counts are taken from their own
statistics. RTM_GETDCB needs no privilege.
"""

from __future__ import annotations

import socket
import struct
from typing import TYPE_CHECKING, Final

from railwatch_agent.sources.ethtool import classify
from railwatch_agent.sources.netlink import (
    NETLINK_ROUTE,
    KernelError,
    Netlink,
    SingleRequest,
    attribute,
    find_attribute,
)

if TYPE_CHECKING:
    from collections.abc import Callable

_GET_DCB: Final = 78
_IEEE_GET: Final = 21
_INTERFACE_NAME: Final = 1
_IEEE: Final = 13
_IEEE_PFC: Final = 2
_ENABLED_OFFSET: Final = 1
_DCB_HEADER: Final = struct.Struct("=BBH")
PRIORITIES: Final = range(8)


def parse_pfc(data: bytes, start: int, end: int) -> tuple[int, ...] | None:
    """Return the enabled priorities from the answer to DCB_CMD_IEEE_GET, None if it has none.

    None is not (): a driver that says nothing of PFC has not said that it is disabled.
    """
    ieee = find_attribute(data, start + _DCB_HEADER.size, end, _IEEE)
    if ieee is None:
        return None
    pfc = find_attribute(data, *ieee, _IEEE_PFC)
    if pfc is None or pfc[1] - pfc[0] <= _ENABLED_OFFSET:
        return None
    enabled = data[pfc[0] + _ENABLED_OFFSET]
    return tuple(priority for priority in PRIORITIES if enabled & 1 << priority)


class PfcReader:
    """Reads one device after another; for one thread."""

    def __init__(
        self,
        netlink: Netlink | None = None,
        *,
        name_of: Callable[[int], str] = socket.if_indextoname,
    ) -> None:
        self._netlink = Netlink(NETLINK_ROUTE) if netlink is None else netlink
        self._name_of = name_of

    def read(self, ifindex: int) -> tuple[int, ...] | None:
        """Return the enabled priorities, None if the device does not know PFC or is gone.

        Raises
        ------
        SourceError
            They are there and cannot be read.
        """
        try:
            name = self._name_of(ifindex).encode()
            body = _DCB_HEADER.pack(0, _IEEE_GET, 0) + attribute(_INTERFACE_NAME, name + b"\0")
            replies = self._netlink.dump(SingleRequest("PFC settings", _GET_DCB, _GET_DCB, body))
        except (KernelError, OSError) as exc:
            code = exc.code if isinstance(exc, KernelError) else exc.errno
            error = classify(code or 0, f"PFC settings of interface {ifindex}")
            if error is None:
                return None
            raise error from exc
        return parse_pfc(*replies[0]) if replies else None
