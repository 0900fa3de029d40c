# SPDX-License-Identifier: Apache-2.0
"""The ioctl door against a driver of our own, and its parsers against anything at all."""

from __future__ import annotations

import errno
import os
import struct
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent import drivers
from railwatch_agent.sources.errors import NotPermittedError, SourceError
from railwatch_agent.sources.ethtool import (
    NAME_BYTES,
    StatisticsReader,
    parse_count,
    parse_names,
    parse_number_count,
    pick,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

_SET_INFO, _STRINGS, _STATISTICS = 0x37, 0x1B, 0x1D
_MOST = 2**64 - 1


class FakeDriver:
    """A kernel and a driver: answers the three questions as net/ethtool/ioctl.c does.

    It copies as many as it has, and this one says so rather than write beyond the buffer.
    """

    def __init__(self, kept: Mapping[str, int] | None) -> None:
        self.kept = kept
        self.errors: dict[int, int] = {}
        self.asked: list[int] = []
        self.grows = False

    def __call__(self, netdev: str, buffer: bytearray) -> None:
        """Answer."""
        assert netdev == "rail0"
        (command,) = struct.unpack_from("=I", buffer)
        self.asked.append(command)
        if command in self.errors:
            raise OSError(self.errors[command], os.strerror(self.errors[command]))
        if command == _SET_INFO:
            count = 0 if self.kept is None else len(self.kept)
            buffer[:] = struct.pack("=IIQI", command, 0, 0 if self.kept is None else 2, count)
            if self.grows:
                self.kept = {**(self.kept or {}), **{f"rx{n}_new": n for n in range(count)}}
            return
        kept = self.kept or {}
        names = b"".join(name.encode().ljust(NAME_BYTES, b"\0") for name in kept)
        answer = struct.pack("=III", command, 1, len(kept)) + names
        if command == _STATISTICS:
            answer = struct.pack(f"=II{len(kept)}Q", command, len(kept), *kept.values())
        assert len(answer) <= len(buffer), "the kernel would have written beyond the buffer"
        buffer[: len(answer)] = answer


def _reader(driver: FakeDriver, *wanted: str) -> StatisticsReader:
    return StatisticsReader(wanted, driver, name_of=lambda _: "rail0")


def test_only_what_is_wanted_is_read() -> None:
    driver = FakeDriver(drivers.mlx5(queues=64))
    found = _reader(driver, "rx_discards_phy", "rx_bits_phy", "not_kept").read(7)

    assert found == {"rx_discards_phy": 17, "rx_bits_phy": 64 * 10**15}


def test_names_are_asked_for_once() -> None:
    driver = FakeDriver(drivers.mlx5())
    reader = _reader(driver, "rx_discards_phy")
    for _ in range(3):
        reader.read(7)

    assert driver.asked.count(_STRINGS) == 1
    assert driver.asked.count(_STATISTICS) == 3


def test_names_are_asked_for_again_when_their_number_changes() -> None:
    """Doubling the queues moves everything that stands behind them."""
    driver = FakeDriver(drivers.mlx5(queues=4))
    reader = _reader(driver, "tx3_bytes")
    reader.read(7)
    driver.kept = {"first": 1, **drivers.mlx5(queues=8)}

    assert reader.read(7) == {"tx3_bytes": 13500}
    assert driver.asked.count(_STRINGS) == 2


def test_names_are_asked_for_again_after_five_minutes_of_rounds() -> None:
    """PFC moved from priority 3 to 4: as many statistics as before, and other names."""
    driver = FakeDriver({"rx_prio3_pause": 9})
    reader = _reader(driver, "rx_prio3_pause", "rx_prio4_pause")
    reader.read(7)
    driver.kept = {"rx_prio4_pause": 1}
    for _ in range(59):
        reader.read(7)

    assert reader.read(7) == {"rx_prio4_pause": 1}
    assert driver.asked.count(_STRINGS) == 2


def test_names_are_those_of_the_device() -> None:
    driver = FakeDriver({"a": 1, "b": 2})
    reader = _reader(driver, "a")
    reader.read(7)
    driver.kept = {"b": 3, "a": 4}

    assert reader.read(8) == {"a": 4}


def test_statistics_that_double_while_they_are_read_fit_and_cost_one_reading() -> None:
    driver = FakeDriver(drivers.mlx5(queues=256))
    reader = _reader(driver, "rx_discards_phy")
    reader.read(7)
    driver.grows = True
    with pytest.raises(SourceError, match="changed in number"):
        reader.read(7)
    driver.grows = False

    assert reader.read(7) == {"rx_discards_phy": 17}


def test_a_device_without_statistics_is_absent() -> None:
    """As lo has none: the kernel clears the bit of the set."""
    assert _reader(FakeDriver(None), "a").read(7) is None


def test_a_device_that_keeps_nothing_of_what_is_wanted_is_not_asked_for_numbers() -> None:
    driver = FakeDriver({"a": 1})

    assert _reader(driver, "b").read(7) == {}
    assert _STATISTICS not in driver.asked


@pytest.mark.parametrize("code", [errno.EOPNOTSUPP, errno.EINVAL, errno.ENODEV])
@pytest.mark.parametrize("command", [_SET_INFO, _STRINGS, _STATISTICS])
def test_what_is_not_supported_is_absent(command: int, code: int) -> None:
    driver = FakeDriver({"a": 1})
    driver.errors[command] = code

    assert _reader(driver, "a").read(7) is None


def test_what_is_not_permitted_has_an_error_of_its_own() -> None:
    driver = FakeDriver({"a": 1})
    driver.errors[_STATISTICS] = errno.EPERM

    with pytest.raises(NotPermittedError, match="statistics of interface 7: EPERM"):
        _reader(driver, "a").read(7)


def test_a_fault_is_an_error_and_the_next_reading_works() -> None:
    driver = FakeDriver({"a": 1})
    driver.errors[_STATISTICS] = errno.EIO
    reader = _reader(driver, "a")
    with pytest.raises(SourceError, match="EIO"):
        reader.read(7)
    driver.errors.clear()

    assert reader.read(7) == {"a": 1}


def test_an_interface_that_is_gone_is_absent() -> None:
    def gone(_: int) -> str:
        raise OSError(errno.ENXIO, "No such device or address")

    assert StatisticsReader(("a",), FakeDriver({"a": 1}), name_of=gone).read(7) is None


_NAMES = st.lists(
    st.text(st.characters(min_codepoint=33, max_codepoint=126), min_size=1, max_size=NAME_BYTES),
    max_size=8,
    unique=True,
)


@given(names=_NAMES, numbers=st.lists(st.integers(0, _MOST), min_size=8, max_size=8))
def test_what_a_driver_keeps_is_what_is_read(names: list[str], numbers: list[int]) -> None:
    kept = dict(zip(names, numbers, strict=False))

    assert (_reader(FakeDriver(kept), *names).read(7) or {}) == kept


@given(data=st.binary(max_size=120))
def test_any_buffer_is_read_or_refused(data: bytes) -> None:
    for parse in (parse_count, parse_names, parse_number_count):
        try:
            parse(data)
        except SourceError:
            continue


@given(names=_NAMES, cut=st.integers(1, 400), more=st.integers(0, 2**32 - 1))
def test_names_that_are_cut_off_are_refused(names: list[str], cut: int, more: int) -> None:
    rows = b"".join(name.encode().ljust(NAME_BYTES, b"\0") for name in names)
    whole = struct.pack("=III", _STRINGS, 1, len(names)) + rows

    assert parse_names(whole) == names
    with pytest.raises(SourceError):
        parse_names(whole[:-cut])
    if more > len(names):
        with pytest.raises(SourceError):
            parse_names(struct.pack("=III", _STRINGS, 1, more) + rows)


@given(count=st.integers(0, 8), claimed=st.integers(0, 2**32 - 1), position=st.integers(0, 99))
def test_numbers_that_are_not_there_are_not_made_up(
    count: int, claimed: int, position: int
) -> None:
    data = struct.pack("=II", _STATISTICS, claimed) + bytes(8 * count)
    if position < claimed <= count:
        assert pick(data, {"a": position}) == {"a": 0}
    else:
        with pytest.raises(SourceError):
            pick(data, {"a": position})


def test_more_statistics_than_any_driver_has_are_refused() -> None:
    """Room for them would be claimed before anything else could say that they are a mistake."""
    with pytest.raises(SourceError, match="4294967295 statistics"):
        parse_count(struct.pack("=IIQI", _SET_INFO, 0, 2, 2**32 - 1))
