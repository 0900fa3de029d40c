# SPDX-License-Identifier: Apache-2.0
"""IP addresses of the interfaces (linux/rtnetlink.h RTM_GETADDR, linux/if_addr.h).

    struct ifaddrmsg { u8 family; u8 prefixlen; u8 flags; u8 scope; u32 index; }

IFA_LOCAL is the interface's own address. IPv6 has only IFA_ADDRESS, which on a point-to-point
IPv4 link is the peer's. The dump needs no privilege.
"""

from __future__ import annotations

import ipaddress
import struct
from typing import TYPE_CHECKING, Final

from railwatch_agent.sources.errors import SourceError
from railwatch_agent.sources.netlink import NETLINK_ROUTE, DumpRequest, Netlink, find_attribute

if TYPE_CHECKING:
    from railwatch_agent.sources.netlink import Payload

_NEW_ADDRESS: Final = 20
_GET_ADDRESS: Final = 22
_ADDRESS: Final = 1
_LOCAL: Final = 2
_IFADDRMSG: Final = struct.Struct("=BBBBI")


def parse_address(payload: Payload) -> tuple[int, str] | None:
    """Return interface index and address as text, or None if the message holds no IP address."""
    data, start, end = payload
    if end - start < _IFADDRMSG.size:
        raise SourceError(f"address: message of {end - start} bytes")
    _, _, _, _, index = _IFADDRMSG.unpack_from(data, start)
    start += _IFADDRMSG.size
    span = find_attribute(data, start, end, _LOCAL) or find_attribute(data, start, end, _ADDRESS)
    if span is None:
        return None
    packed = data[span[0] : span[1]]
    if len(packed) not in {4, 16}:
        return None
    return index, str(ipaddress.ip_address(packed))


class AddressReader:
    """Reads the addresses of all interfaces of a network namespace."""

    def __init__(self, netlink: Netlink | None = None) -> None:
        self._netlink = Netlink(NETLINK_ROUTE) if netlink is None else netlink
        body = _IFADDRMSG.pack(0, 0, 0, 0, 0)
        self._request = DumpRequest("address dump", _GET_ADDRESS, _NEW_ADDRESS, body)

    def read(self) -> dict[int, tuple[str, ...]]:
        """Addresses by interface index, in the kernel's order; SourceError if it gives none."""
        found: dict[int, tuple[str, ...]] = {}
        for payload in self._netlink.dump(self._request):
            parsed = parse_address(payload)
            if parsed is not None:
                index, address = parsed
                found[index] = (*found.get(index, ()), address)
        return found

    def close(self) -> None:
        """Close the socket; another read opens it again."""
        self._netlink.close()
