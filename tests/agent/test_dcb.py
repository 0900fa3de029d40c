# SPDX-License-Identifier: Apache-2.0
"""Priorities of priority flow control, from bytes of the kernel's answers."""

from __future__ import annotations

import errno
import os
import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.ethtool_kernel import acknowledged
from agent.test_netlink import FakeKernel, message
from railwatch_agent.sources.dcb import PfcReader, parse_pfc
from railwatch_agent.sources.errors import NotPermittedError, SourceError
from railwatch_agent.sources.netlink import Netlink, attribute

_GET_DCB = 78


def _answer(enabled: int) -> bytes:
    pfc = struct.pack("=BBBxH2x16Q", 8, enabled, 0, 0, *range(16))
    ieee = attribute(1, bytes(59)) + attribute(2, pfc)
    header = struct.pack("=BBH", 0, 21, 0)
    return header + attribute(1, b"rail0\0") + attribute(13 | 0x8000, ieee) + attribute(14, b"\x08")


def _reader(answer: bytes | int) -> PfcReader:
    def reply(_: int, sequence: int) -> list[bytes]:
        if isinstance(answer, int):
            return [acknowledged(sequence, answer)]
        # The kernel returns the request's flags, which are none of a reply.
        return [message(_GET_DCB, sequence, answer, flags=5), acknowledged(sequence)]

    netlink = Netlink(0, opener=FakeKernel(reply).open)
    return PfcReader(netlink, name_of=lambda _: "rail0")


@given(enabled=st.integers(0, 255))
def test_a_bit_is_a_priority(enabled: int) -> None:
    found = _reader(_answer(enabled)).read(7)

    assert found is not None
    assert sum(1 << priority for priority in found) == enabled
    assert list(found) == sorted(found)


def test_disabled_is_not_unknown() -> None:
    without = struct.pack("=BBH", 0, 21, 0) + attribute(13, attribute(1, bytes(59)))

    assert _reader(_answer(0)).read(7) == ()
    assert _reader(without).read(7) is None


@pytest.mark.parametrize("code", [errno.EOPNOTSUPP, errno.EINVAL, errno.ENODEV])
def test_a_device_that_does_not_know_it_has_none(code: int) -> None:
    assert _reader(code).read(7) is None


def test_a_device_that_is_gone_has_none() -> None:
    def name_of(_: int) -> str:
        raise OSError(errno.ENXIO, os.strerror(errno.ENXIO))

    assert PfcReader(Netlink(0), name_of=name_of).read(7) is None


def test_a_refusal_names_what_was_refused() -> None:
    with pytest.raises(NotPermittedError, match="PFC settings of interface 7: EPERM"):
        _reader(errno.EPERM).read(7)


@given(data=st.binary(max_size=80))
def test_any_answer_is_read_or_refused(data: bytes) -> None:
    try:
        found = parse_pfc(data, 0, len(data))
    except SourceError:
        return
    assert found is None or set(found) <= set(range(8))
