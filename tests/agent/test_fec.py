# SPDX-License-Identifier: Apache-2.0
"""FEC counters against a kernel that is a fake socket."""

from __future__ import annotations

import errno
import struct
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.test_netlink import FakeKernel, done, message
from railwatch_agent.sources.errors import NotPermittedError, SourceError
from railwatch_agent.sources.fec import FecCounts, FecReader, parse_family, parse_fec
from railwatch_agent.sources.netlink import Netlink, attribute

if TYPE_CHECKING:
    from collections.abc import Callable

_CONTROLLER, _FAMILY, _ERROR = 16, 21, 2
_GENERIC = struct.pack("=BBH", 0, 1, 0)


def _family(number: int = _FAMILY) -> bytes:
    return _GENERIC + attribute(2, b"ethtool\0") + attribute(1, struct.pack("=H", number))


def _row(*numbers: int) -> bytes:
    return struct.pack(f"={len(numbers)}Q", *numbers)


def _fec(corrected: bytes = b"", lost: bytes = b"", bits: bytes = b"") -> bytes:
    stats = attribute(1, b"") + attribute(2, corrected) + attribute(3, lost) + attribute(4, bits)
    return _GENERIC + attribute(1, bytes(8)) + attribute(3, b"\1") + attribute(5 | 0x8000, stats)


def _reader(answer: Callable[[int], list[bytes]]) -> tuple[FecReader, FakeKernel]:
    """A reader and its kernel, which names the family and leaves the rest to *answer*."""
    kernel = FakeKernel(
        lambda asked, n: (
            [message(_CONTROLLER, n, _family()) + acknowledged(n)] if asked == 1 else answer(n)
        )
    )
    return FecReader(Netlink(16, opener=kernel.open)), kernel


def acknowledged(sequence: int, code: int = 0) -> bytes:
    return message(_ERROR, sequence, struct.pack("=i", -code) + bytes(16))


def test_the_port_and_not_its_lanes_is_read() -> None:
    payload = _fec(_row(9, 4, 5), _row(2, 1, 1), _row(70, 30, 40))
    reader, kernel = _reader(lambda n: [message(_FAMILY, n, payload), acknowledged(n)])

    assert reader.read(7) == FecCounts(9, 2, 70)
    assert reader.read(7) == FecCounts(9, 2, 70)
    assert (kernel.opened, kernel.asked) == (1, 3)


def test_a_row_that_the_hardware_does_not_keep_is_absent_and_not_zero() -> None:
    reader, _ = _reader(lambda n: [message(_FAMILY, n, _fec(bits=_row(0))), acknowledged(n)])

    assert reader.read(7) == FecCounts(None, None, 0)


def test_a_driver_that_tells_a_mode_and_no_counts_has_none() -> None:
    payload = _GENERIC + attribute(1, bytes(8)) + attribute(3, b"\1")
    reader, _ = _reader(lambda n: [message(_FAMILY, n, payload), acknowledged(n)])

    assert reader.read(7) is None


@pytest.mark.parametrize("code", [errno.EOPNOTSUPP, errno.EINVAL, errno.ENODEV])
def test_what_is_not_supported_is_absent(code: int) -> None:
    reader, _ = _reader(lambda n: [acknowledged(n, code)])

    assert reader.read(7) is None


def test_what_is_not_permitted_has_an_error_of_its_own() -> None:
    reader, _ = _reader(lambda n: [acknowledged(n, errno.EPERM)])

    with pytest.raises(NotPermittedError, match="FEC counters of interface 7: EPERM"):
        reader.read(7)


def test_a_kernel_without_the_family_says_so() -> None:
    kernel = FakeKernel(lambda _, n: [acknowledged(n, errno.ENOENT)])

    with pytest.raises(SourceError, match="ENOENT"):
        FecReader(Netlink(16, opener=kernel.open)).read(7)


def test_an_answer_without_a_family_is_an_error() -> None:
    kernel = FakeKernel(lambda _, n: [done(n)])

    with pytest.raises(SourceError, match="no answer about its netlink family"):
        FecReader(Netlink(16, opener=kernel.open)).read(7)


@given(data=st.binary(max_size=120))
def test_any_answer_is_read_or_refused(data: bytes) -> None:
    for parse in (parse_family, parse_fec):
        try:
            parse(data, 0, len(data))
        except SourceError:
            continue


@given(cut=st.integers(0, 200))
def test_an_answer_that_is_cut_off_makes_nothing_up(cut: int) -> None:
    whole = _fec(_row(9, 4), _row(2, 1), _row(70, 30))
    try:
        found = parse_fec(whole, 0, max(len(whole) - cut, 0))
    except SourceError:
        return
    assert found is None or set(found) <= {9, 2, 70, None}
