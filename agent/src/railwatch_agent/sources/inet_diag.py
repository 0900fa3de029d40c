# SPDX-License-Identifier: Apache-2.0
"""TCP sockets and what they had to repair (sock_diag(7), linux/inet_diag.h, linux/tcp.h).

    struct inet_diag_req_v2  { u8 family; u8 protocol; u8 ext; u8 pad; u32 states; sockid id; }
    struct inet_diag_msg     { u8 family; u8 state; u8 timer; u8 retrans; sockid id; u32 expires;
                               u32 rqueue; u32 wqueue; u32 uid; u32 inode; }
    struct inet_diag_sockid  { be16 sport; be16 dport; be32 src[4]; be32 dst[4]; u32 if;
                               u32 cookie[2]; }
    struct inet_diag_bc_op   { u8 code; u8 yes; u16 no; }
    struct inet_diag_hostcond { u8 family; u8 prefix_len; u16 pad; i32 port; be32 addr[]; }

struct tcp_info only ever grew at its end: a field beyond the end of what the kernel sent is one
that this kernel does not keep. No privilege is needed, but only the sockets of the network
namespace are listed: traffic of a container with a namespace of its own is not seen from here.
"""

from __future__ import annotations

import ipaddress
import socket
import struct
from typing import TYPE_CHECKING, Final, NamedTuple

from railwatch_agent.sources.errors import SourceError
from railwatch_agent.sources.netlink import (
    NETLINK_SOCK_DIAG,
    DumpRequest,
    Netlink,
    attribute,
    find_attribute,
)

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator

    from railwatch_agent.sources.netlink import Payload

_SOCK_DIAG_BY_FAMILY: Final = 20
_BYTECODE: Final = 1
_INFO: Final = 2
_WANT_INFO: Final = 1 << (_INFO - 1)

# linux/net/tcp_states.h. Closing sockets still retransmit what was written before close(), and
# seen to their end they lose less. Listening, TIME_WAIT and SYN_RECV ones have no tcp_info.
_ESTABLISHED, _FIN_WAIT1, _FIN_WAIT2, _CLOSE_WAIT, _LAST_ACK, _CLOSING = 1, 4, 5, 8, 9, 11
_STATES: Final = sum(
    1 << state for state in (_ESTABLISHED, _FIN_WAIT1, _FIN_WAIT2, _CLOSE_WAIT, _LAST_ACK, _CLOSING)
)

_REQUEST: Final = struct.Struct("=BBBxI48x")
_MESSAGE_BYTES: Final = 72
# Offsets within inet_diag_msg.
_PORTS, _SOURCE, _INTERFACE, _COOKIE, _EXPIRES = 4, 8, 40, 44, 52

# tcpi_total_retrans (2.4), tcpi_bytes_retrans (4.19) and tcpi_rcv_ooopack (5.4) of tcp_info.
_INFO_UP_TO_2_4: Final = struct.Struct("=100xI")
_INFO_UP_TO_4_19: Final = struct.Struct("=100xI104xQ")
_INFO_UP_TO_5_4: Final = struct.Struct("=100xI104xQ8xI")

_MAPPED: Final = bytes(10) + b"\xff\xff"

_OPERATION: Final = struct.Struct("=BBH")
_HOST: Final = struct.Struct("=BBxxi")
_JUMP, _LOCAL_ADDRESS = 1, 7
_ANY_PORT: Final = -1
# The kernel's check of the bytecode is quadratic in it; without a filter all sockets are listed.
_FILTER_LIMIT: Final = 256


class TcpSocket(NamedTuple):
    """One socket; numbers are since it was opened and None where the kernel keeps none."""

    identity: bytes
    """Ports and addresses of both ends and the kernel's cookie, which is never used twice."""
    local: bytes
    """Own address in network order: 4 bytes, also where IPv6 maps IPv4, or 16."""
    retransmits: int | None
    out_of_order: int | None
    retransmitted_bytes: int | None


def packed_address(text: str) -> bytes:
    """Return an address as `TcpSocket.local` has it.

    >>> packed_address("::ffff:10.0.0.1").hex(".")
    '0a.00.00.01'
    """
    return _unmapped(ipaddress.ip_address(text.partition("%")[0]).packed)


def _unmapped(packed: bytes) -> bytes:
    return packed[12:] if packed.startswith(_MAPPED) and len(packed) == 16 else packed


def parse_socket(payload: Payload) -> TcpSocket:
    """Return the socket of one reply."""
    data, start, end = payload
    if end - start < _MESSAGE_BYTES:
        raise SourceError(f"socket: message of {end - start} bytes")
    source = start + _SOURCE
    if data[start] == socket.AF_INET6:
        local = _unmapped(data[source : source + 16])
    else:
        local = data[source : source + 4]
    identity = data[start + _PORTS : start + _INTERFACE] + data[start + _COOKIE : start + _EXPIRES]
    span = find_attribute(data, start + _MESSAGE_BYTES, end, _INFO)
    # A socket that closes while it is listed has no tcp_info.
    retransmits, bytes_, out_of_order = (None,) * 3 if span is None else _info(data, *span)
    return TcpSocket(identity, local, retransmits, out_of_order, bytes_)


def _info(data: bytes, start: int, end: int) -> tuple[int | None, int | None, int | None]:
    size = end - start
    if size >= _INFO_UP_TO_5_4.size:
        retransmits, bytes_, out_of_order = _INFO_UP_TO_5_4.unpack_from(data, start)
        return retransmits, bytes_, out_of_order
    if size >= _INFO_UP_TO_4_19.size:
        retransmits, bytes_ = _INFO_UP_TO_4_19.unpack_from(data, start)
        return retransmits, bytes_, None
    if size >= _INFO_UP_TO_2_4.size:
        return _INFO_UP_TO_2_4.unpack_from(data, start)[0], None, None
    return None, None, None


def local_address_filter(addresses: Collection[bytes]) -> bytes:
    """Return bytecode that lets pass only sockets with one of these local addresses.

    To end exactly behind the code is "yes", to end four bytes further "no" (inet_diag_bc_run). A
    condition that holds goes on to the jump behind it, which leads to the end; one that does not
    skips that jump. The kernel lets an IPv4 condition match a mapped IPv6 socket.
    """
    code = b""
    for packed in sorted(addresses, reverse=True):
        family = socket.AF_INET if len(packed) == 4 else socket.AF_INET6
        condition = _HOST.pack(family, 8 * len(packed), _ANY_PORT) + packed
        size = _OPERATION.size + len(condition)
        jump = _OPERATION.pack(_JUMP, _OPERATION.size, _OPERATION.size + len(code)) if code else b""
        code = _OPERATION.pack(_LOCAL_ADDRESS, size, size + 4) + condition + jump + code
    return code


def _request(family: int, addresses: Collection[bytes]) -> DumpRequest:
    body = _REQUEST.pack(family, socket.IPPROTO_TCP, _WANT_INFO, _STATES)
    if len(addresses) <= _FILTER_LIMIT:
        body += attribute(_BYTECODE, local_address_filter(addresses))
    return DumpRequest("socket dump", _SOCK_DIAG_BY_FAMILY, _SOCK_DIAG_BY_FAMILY, body)


class SocketReader:
    """Lists the open TCP sockets of a network namespace that have one of some local addresses."""

    def __init__(self, netlink: Netlink | None = None) -> None:
        self._netlink = Netlink(NETLINK_SOCK_DIAG) if netlink is None else netlink
        self._addresses: frozenset[bytes] = frozenset()
        self._requests: tuple[DumpRequest, ...] = ()

    def read(self, addresses: Collection[bytes]) -> Iterator[TcpSocket]:
        """Yield sockets as the kernel lists them; SourceError where that breaks off.

        The kernel picks the sockets, so that those of other interfaces cost nearly nothing; with
        very many addresses it lists all. A list is no snapshot: a socket may be missing or double.
        """
        wanted = frozenset(addresses)
        if wanted != self._addresses:
            families = (socket.AF_INET, socket.AF_INET6) if wanted else ()
            self._requests = tuple(_request(family, wanted) for family in families)
            self._addresses = wanted
        for request in self._requests:
            yield from map(parse_socket, self._netlink.stream(request))

    def close(self) -> None:
        """Close the socket; another read opens it again."""
        self._netlink.close()
