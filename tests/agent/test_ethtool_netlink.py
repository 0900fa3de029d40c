# SPDX-License-Identifier: Apache-2.0
"""The conversation with the ethtool family: what is asked, and what each refusal means."""

from __future__ import annotations

import errno

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.ethtool_kernel import EthtoolKernel, acknowledged, u8, u32
from agent.test_netlink import FakeKernel, done
from railwatch_agent.sources.errors import NotPermittedError, SourceError
from railwatch_agent.sources.ethtool_netlink import (
    FLAG_STATISTICS,
    EthtoolNetlink,
    Question,
    find_u8,
    find_u32,
    parse_family,
)
from railwatch_agent.sources.netlink import Netlink, attribute

_QUESTION = Question("link state", 6)


def _raw(data: bytes, start: int, end: int) -> bytes:
    return data[start:end]


def test_a_request_is_what_the_kernel_documents() -> None:
    """Header of generic netlink, then the nest that says which device."""
    kernel = EthtoolKernel(lambda _: b"")
    kernel.netlink().ask(_QUESTION, _raw, 7, u8(4, 3))

    device = attribute(1 | 0x8000, u32(1, 7))
    assert kernel.requests == [bytes([6, 1, 0, 0]) + device + u8(4, 3)]


def test_flags_go_with_the_device() -> None:
    kernel = EthtoolKernel(lambda _: b"")
    kernel.netlink().ask(Question("FEC counters", 29, FLAG_STATISTICS), _raw, 7)

    assert kernel.requests[0].endswith(u32(1, 7) + u32(3, 4))


def test_the_answer_is_its_attributes() -> None:
    kernel = EthtoolKernel(lambda _: u8(2, 1))

    assert kernel.netlink().ask(_QUESTION, _raw, 7) == u8(2, 1)


def test_the_family_is_asked_for_once() -> None:
    kernel = EthtoolKernel(lambda _: b"")
    netlink = kernel.netlink()
    for _ in range(3):
        netlink.ask(_QUESTION, _raw, 7)

    assert (kernel.opened, kernel.asked) == (1, 4)


@pytest.mark.parametrize(
    "code", [errno.EOPNOTSUPP, errno.EINVAL, errno.ENODEV, errno.ENXIO, errno.ENOENT]
)
def test_what_is_not_supported_is_absent(code: int) -> None:
    assert EthtoolKernel(lambda _: code).netlink().ask(_QUESTION, _raw, 7) is None


@pytest.mark.parametrize("code", [errno.EPERM, errno.EACCES])
def test_what_is_not_permitted_has_an_error_of_its_own(code: int) -> None:
    netlink = EthtoolKernel(lambda _: code).netlink()

    with pytest.raises(NotPermittedError, match="link state of interface 7: E"):
        netlink.ask(_QUESTION, _raw, 7)


def test_a_driver_that_fails_is_an_error() -> None:
    netlink = EthtoolKernel(lambda _: errno.EIO).netlink()

    with pytest.raises(SourceError, match="link state of interface 7: EIO"):
        netlink.ask(_QUESTION, _raw, 7)


def test_a_kernel_without_the_family_has_nothing_to_tell() -> None:
    kernel = FakeKernel(lambda _, n: [acknowledged(n, errno.ENOENT)])

    assert EthtoolNetlink(Netlink(16, opener=kernel.open)).ask(_QUESTION, _raw, 7) is None


def test_an_answer_without_a_family_is_an_error() -> None:
    kernel = FakeKernel(lambda _, n: [done(n)])
    netlink = EthtoolNetlink(Netlink(16, opener=kernel.open))

    with pytest.raises(SourceError, match="no answer about its netlink family"):
        netlink.ask(_QUESTION, _raw, 7)


@given(data=st.binary(max_size=60))
def test_any_answer_about_the_family_is_read_or_refused(data: bytes) -> None:
    try:
        assert 0 <= parse_family(data, 0, len(data)) < 2**16
    except SourceError:
        return


@given(value=st.integers(0, 2**32 - 1))
def test_a_number_that_is_too_short_is_absent(value: int) -> None:
    long, short = u32(3, value), u8(3, value % 256)

    assert find_u32(long, 0, len(long), 3) == value
    assert find_u32(short, 0, len(short), 3) is None
    assert find_u8(short, 0, len(short), 3) == value % 256
    assert find_u8(short, 0, len(short), 4) is None
