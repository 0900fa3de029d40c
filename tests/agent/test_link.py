# SPDX-License-Identifier: Apache-2.0
"""Settings of a link, and why it is down, from bytes of the kernel's answers."""

from __future__ import annotations

import doctest
from typing import TYPE_CHECKING, TypeVar

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.ethtool_kernel import EthtoolKernel, u8, u32
from railwatch_agent.sources import link
from railwatch_agent.sources.errors import SourceError
from railwatch_agent.sources.link import (
    LINK_INFO,
    LINK_MODES,
    LINK_STATE,
    PAUSE,
    LinkModes,
    LinkState,
    PauseSettings,
    parse_modes,
    parse_pause,
    parse_port,
    parse_state,
    reason_name,
)
from railwatch_agent.sources.netlink import attribute

if TYPE_CHECKING:
    from collections.abc import Callable

    from railwatch_agent.sources.ethtool_netlink import Question

    Parser = Callable[[bytes, int, int], object]

T = TypeVar("T")

# A reply as the kernel lays it out: who is meant, then the rest.
_WHO = attribute(1, u32(1, 7) + attribute(2, b"rail0\0"))


_QUESTIONS: list[tuple[Question, Parser]] = [
    (LINK_INFO, parse_port),
    (LINK_MODES, parse_modes),
    (LINK_STATE, parse_state),
    (PAUSE, parse_pause),
]


def _parse(parse: Callable[[bytes, int, int], T], answer: bytes) -> T:
    return parse(answer, 0, len(answer))


def test_modes_of_a_link_of_four_lanes() -> None:
    bitset = attribute(3 | 0x8000, attribute(1, b"") + u32(2, 121))
    answer = _WHO + u8(2, 1) + bitset + u32(5, 400_000) + u8(6, 1) + u32(9, 4)

    assert _parse(parse_modes, answer) == LinkModes(autonegotiates=True, duplex="full", lanes=4)


def test_what_a_driver_does_not_know_of_its_modes_is_not_told() -> None:
    """A veth without its peer: speed and duplex are all ones, and there are no lanes."""
    answer = _WHO + u8(2, 0) + u32(5, 2**32 - 1) + u8(6, 0xFF)

    assert _parse(parse_modes, answer) == LinkModes(autonegotiates=False, duplex=None, lanes=None)


def test_a_link_that_is_up_has_no_reason_to_be_down() -> None:
    assert _parse(parse_state, _WHO + u8(2, 1)) == LinkState(is_up=True, down_reason=None)


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        (u8(5, 4), "no_cable"),
        (u8(5, 0) + u8(6, 1), "autonegotiation/no_partner_detected"),
        (u8(5, 1) + u8(6, 4), "link_training_failure/remote_fault"),
        (u8(5, 2) + u8(6, 5), "link_logical_mismatch/rs_fec_not_locked"),
        (u8(5, 3) + u8(6, 1), "bad_signal_integrity/many_physical_errors"),
        (u8(5, 5) + u8(6, 1), "cable_issue/unsupported_cable"),
        (u8(5, 9), "overheat"),
        (u8(5, 10) + u8(6, 1), "module/cmis_not_ready"),
    ],
)
def test_a_link_that_is_down_says_why(answer: bytes, reason: str) -> None:
    state = _parse(parse_state, _WHO + u8(2, 0) + answer)

    assert state == LinkState(is_up=False, down_reason=reason)


@given(reason=st.integers(0, 255), detail=st.integers(0, 255) | st.none())
def test_a_reason_of_a_newer_kernel_is_data(reason: int, detail: int | None) -> None:
    name = reason_name(reason, detail)

    assert name
    assert name.count("/") == bool(detail)


@pytest.mark.parametrize(
    ("number", "name"), [(0, "twisted_pair"), (3, "fibre"), (5, "direct_attach"), (0x42, "66")]
)
def test_the_connector_has_a_name(number: int, name: str) -> None:
    assert _parse(parse_port, _WHO + u8(2, number) + u8(3, 0)) == name


def test_pause_settings() -> None:
    answer = _WHO + u8(2, 0) + u8(3, 1) + u8(4, 0)

    assert _parse(parse_pause, answer) == PauseSettings(
        autonegotiates=False, receives=True, transmits=False
    )


def test_each_question_has_a_number_of_its_own_and_no_flags() -> None:
    kernel = EthtoolKernel(lambda _: b"")
    netlink = kernel.netlink()
    for question, parse in _QUESTIONS:
        netlink.ask(question, parse, 7)

    assert [request[0] for request in kernel.requests] == [2, 4, 6, 21]
    assert all(request.endswith(u32(1, 7)) for request in kernel.requests)


@given(data=st.binary(max_size=80))
def test_any_answer_is_read_or_refused(data: bytes) -> None:
    for _, parse in _QUESTIONS:
        try:
            _parse(parse, data)
        except SourceError:
            continue


def test_examples() -> None:
    assert doctest.testmod(link).failed == 0
