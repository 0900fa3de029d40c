# SPDX-License-Identifier: Apache-2.0
"""Forward error correction against a kernel that is a fake socket."""

from __future__ import annotations

import errno
import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.ethtool_kernel import EthtoolKernel, u8, u32
from railwatch_agent.sources.errors import SourceError
from railwatch_agent.sources.fec import FEC, Fec, parse_fec
from railwatch_agent.sources.netlink import attribute


def _row(*numbers: int) -> bytes:
    return struct.pack(f"={len(numbers)}Q", *numbers)


def _fec(corrected: bytes = b"", lost: bytes = b"", bits: bytes = b"", mode: int = 50) -> bytes:
    stats = attribute(1, b"") + attribute(2, corrected) + attribute(3, lost) + attribute(4, bits)
    return attribute(1, bytes(8)) + u8(3, 1) + u32(4, mode) + attribute(5 | 0x8000, stats)


def _read(answer: bytes | int) -> Fec | None:
    return EthtoolKernel(lambda _: answer).netlink().ask(FEC, parse_fec, 7)


def test_the_port_and_not_its_lanes_is_read() -> None:
    assert _read(_fec(_row(9, 4, 5), _row(2, 1, 1), _row(70, 30, 40))) == Fec(9, 2, 70, "rs")


def test_statistics_are_asked_for() -> None:
    kernel = EthtoolKernel(lambda _: b"")
    kernel.netlink().ask(FEC, parse_fec, 7)

    assert kernel.requests[0][0] == 29
    assert kernel.requests[0].endswith(u32(3, 4))


def test_a_row_that_the_hardware_does_not_keep_is_absent_and_not_zero() -> None:
    assert _read(_fec(bits=_row(0))) == Fec(None, None, 0, "rs")


def test_a_driver_that_tells_a_mode_and_no_counts_has_none() -> None:
    assert _read(u8(3, 0) + u32(4, 51)) == Fec(None, None, None, "baser")


@pytest.mark.parametrize(
    ("bit", "mode"), [(49, "none"), (50, "rs"), (51, "baser"), (74, "llrs"), (99, "99")]
)
def test_the_mode_has_a_name(bit: int, mode: str) -> None:
    assert _read(_fec(mode=bit)) == Fec(None, None, None, mode)


def test_a_link_that_is_down_has_no_mode() -> None:
    assert _read(u8(3, 1)) == Fec(None, None, None, None)


def test_a_device_without_fec_has_nothing() -> None:
    assert _read(errno.EOPNOTSUPP) is None


@given(data=st.binary(max_size=120))
def test_any_answer_is_read_or_refused(data: bytes) -> None:
    try:
        assert len(parse_fec(data, 0, len(data))) == 4
    except SourceError:
        return


@given(cut=st.integers(0, 200))
def test_an_answer_that_is_cut_off_makes_nothing_up(cut: int) -> None:
    whole = _fec(_row(9, 4), _row(2, 1), _row(70, 30))
    try:
        found = parse_fec(whole, 0, max(len(whole) - cut, 0))
    except SourceError:
        return
    assert set(found) <= {9, 2, 70, "rs", None}
