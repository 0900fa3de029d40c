# SPDX-License-Identifier: Apache-2.0
"""Sockets and addresses out of bytes; the real kernel is in tests/lab/test_netlink_kernel.py."""

from __future__ import annotations

import ipaddress
import socket
import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from railwatch_agent.sources.addresses import parse_address
from railwatch_agent.sources.errors import SourceError
from railwatch_agent.sources.inet_diag import (
    TcpSocket,
    local_address_filter,
    packed_address,
    parse_socket,
)
from railwatch_agent.sources.netlink import attribute

INFO = struct.pack("=100xI104xQ8xI4x", 5, 7000, 9)
ADDRESSES = st.one_of(st.ip_addresses(v=4), st.ip_addresses(v=6))


def listed(local: str, cookie: int = 1, info: bytes | None = INFO, bound: int = 0) -> bytes:
    packed = ipaddress.ip_address(local).packed
    family = socket.AF_INET if len(packed) == 4 else socket.AF_INET6
    identity = struct.pack(">HH", 4791, 5000) + packed.ljust(16, b"\0") + bytes(16)
    head = struct.pack("=BBBB", family, 1, 0, 0) + identity + struct.pack("=IQ", bound, cookie)
    return head + bytes(20) + (b"" if info is None else attribute(2, info))


def parsed(payload: bytes) -> TcpSocket:
    return parse_socket((payload, 0, len(payload)))


def test_a_socket_says_what_it_repaired() -> None:
    found = parsed(listed("10.0.0.1"))

    assert (found.local, found.retransmits) == (bytes([10, 0, 0, 1]), 5)
    assert (found.out_of_order, found.retransmitted_bytes) == (9, 7000)


@pytest.mark.parametrize(
    ("size", "numbers"),
    [
        (0, (None, None, None)),
        (103, (None, None, None)),
        (104, (5, None, None)),
        (192, (5, None, None)),
        (216, (5, None, 7000)),
        (224, (5, None, 7000)),
        (228, (5, 9, 7000)),
        (232, (5, 9, 7000)),
    ],
)
def test_fields_beyond_the_end_of_an_older_tcp_info_are_none(
    size: int, numbers: tuple[int | None, ...]
) -> None:
    assert parsed(listed("10.0.0.1", info=INFO[:size]))[2:] == numbers


def test_a_socket_without_tcp_info_has_no_numbers() -> None:
    assert parsed(listed("10.0.0.1", info=None))[2:] == (None, None, None)


def test_a_mapped_address_is_its_ipv4_address() -> None:
    assert parsed(listed("::ffff:10.0.0.1")).local == packed_address("10.0.0.1")
    assert parsed(listed("fe80::1")).local == packed_address("fe80::1%eth0")


def test_identity_is_both_ends_and_the_cookie_and_not_the_bound_device() -> None:
    one = parsed(listed("10.0.0.1")).identity

    assert parsed(listed("10.0.0.1", bound=3)).identity == one
    assert parsed(listed("10.0.0.1", cookie=2)).identity != one
    assert parsed(listed("10.0.0.2")).identity != one


def test_truncated_sockets_are_refused_or_without_numbers() -> None:
    whole = listed("10.0.0.1")
    for length in range(len(whole)):
        try:
            found = parsed(whole[:length])
        except SourceError:
            continue
        assert found[2:] == (None, None, None)


@given(st.binary(max_size=300))
def test_hostile_bytes_are_parsed_or_refused(payload: bytes) -> None:
    for parse in (parse_socket, parse_address):
        try:
            parse((payload, 0, len(payload)))
        except SourceError:
            continue


def passes(code: bytes, local: bytes) -> bool:
    """inet_diag_bc_run() of the kernel for the two operations that are used."""
    left = len(code)
    while left > 0:
        at = len(code) - left
        operation, yes, no = struct.unpack_from("=BBH", code, at)
        holds = operation == 7
        if holds:
            family, prefix, port = struct.unpack_from("=BBxxi", code, at + 4)
            length = 4 if family == socket.AF_INET else 16
            assert (prefix, port) == (8 * length, -1)
            holds = code[at + 12 : at + 12 + length] == local
        left -= yes if holds else no
    return left == 0


@given(st.sets(ADDRESSES, min_size=1, max_size=20), ADDRESSES)
def test_the_filter_passes_these_addresses_and_no_other(
    wanted: set[ipaddress.IPv4Address | ipaddress.IPv6Address],
    other: ipaddress.IPv4Address | ipaddress.IPv6Address,
) -> None:
    packed = {packed_address(str(each)) for each in wanted}
    code = local_address_filter(packed)

    assert all(passes(code, each) for each in packed)
    assert passes(code, packed_address(str(other))) == (packed_address(str(other)) in packed)


@given(ADDRESSES, st.integers(1, 0x7FFFFFFF))
def test_an_address_is_found_with_its_interface(
    address: ipaddress.IPv4Address | ipaddress.IPv6Address, index: int
) -> None:
    payload = struct.pack("=BBBBI", 2, 24, 0, 0, index) + attribute(1, address.packed)

    assert parse_address((payload, 0, len(payload))) == (index, str(address))


def test_on_a_point_to_point_link_the_own_address_counts() -> None:
    peer, own = attribute(1, bytes([10, 0, 0, 2])), attribute(2, bytes([10, 0, 0, 1]))
    payload = struct.pack("=BBBBI", 2, 32, 0, 0, 3) + peer + own

    assert parse_address((payload, 0, len(payload))) == (3, "10.0.0.1")
