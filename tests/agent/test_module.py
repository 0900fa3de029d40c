# SPDX-License-Identifier: Apache-2.0
"""Modules from their memory, and the two ways to that memory."""

from __future__ import annotations

import doctest
import errno
import os
import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent import modules
from agent.ethtool_kernel import EthtoolKernel, u8, u32
from agent.modules import FakeMemory
from railwatch_agent.sources import cmis, optics, sff8472, sff8636
from railwatch_agent.sources.errors import NotPermittedError, SourceError
from railwatch_agent.sources.module import ControlMemory, ModuleReader, NetlinkMemory, parse_data
from railwatch_agent.sources.netlink import attribute
from railwatch_agent.sources.optics import HALF, Module

_GET_INFO, _GET_EEPROM = 0x42, 0x43
_HALVES = st.binary(min_size=HALF, max_size=HALF)


def _read(memory: modules.Memory) -> Module | None:
    return ModuleReader(FakeMemory(memory)).read(7)


def test_an_sfp_module() -> None:
    assert _read(modules.sfp28()) == Module(
        identifier="sfp",
        vendor="ACME OPTICS",
        part="SFP28-SR",
        serial="A1B2C3",
        temperature_celsius=41.5,
        voltage_volts=3.28,
        receive_watts={1: 0.0005012},
        transmit_watts={1: 0.0008},
        bias_amperes={1: 0.0065},
        temperature_high_alarm_celsius=75,
        receive_low_alarm_watts=0.00002,
        transmit_low_alarm_watts=0.0001,
    )


def test_a_qsfp28_module_with_a_dark_lane() -> None:
    """Darkness is 0 W, and not absent."""
    assert _read(modules.qsfp28()) == Module(
        identifier="qsfp28",
        vendor="ACME OPTICS",
        part="Q28-SR4",
        serial="Q000000000000042",
        temperature_celsius=35.25,
        voltage_volts=3.3,
        receive_watts={1: 0.0009, 2: 0.0008, 3: 0.0, 4: 0.0007},
        transmit_watts={1: 0.001, 2: 0.00095, 3: 0.00099, 4: 0.00097},
        bias_amperes={1: 0.007, 2: 0.0072, 3: 0.0074, 4: 0.0076},
        temperature_high_alarm_celsius=80,
        receive_low_alarm_watts=0.0000251,
        transmit_low_alarm_watts=0.00005,
    )


def test_a_qsfp_dd_module_of_four_lanes() -> None:
    assert _read(modules.qsfp_dd()) == Module(
        identifier="qsfp-dd",
        vendor="ACME OPTICS",
        part="QDD-DR4",
        serial="D4-0001",
        temperature_celsius=52,
        voltage_volts=3.31,
        receive_watts={1: 0.0008, 2: 0.00005, 3: 0.00082, 4: 0.00083},
        transmit_watts={1: 0.0011, 2: 0.00115, 3: 0.0012, 4: 0.00125},
        bias_amperes=dict.fromkeys((1, 2, 3, 4), 0.05),
        temperature_high_alarm_celsius=75,
        receive_low_alarm_watts=0.0001,
        transmit_low_alarm_watts=0.0001995,
    )


def test_an_osfp_module_of_eight_lanes() -> None:
    module = _read(modules.osfp())

    assert module is not None
    assert module.identifier == "osfp"
    assert module.receive_watts == {lane: (7000 + lane) / 1e7 for lane in range(1, 9)}
    assert module.transmit_watts == {lane: (9000 + lane) / 1e7 for lane in range(1, 9)}


@pytest.mark.parametrize(
    ("memory", "module"),
    [
        (modules.qsfp28_passive_copper(), Module("qsfp28", "ACME CABLE", "Q28-DAC-2M")),
        (modules.osfp_passive_copper(), Module("osfp", "ACME CABLE", "OSFP-DAC-1M", "C-7")),
    ],
)
def test_a_passive_cable_says_what_it_is_and_no_more(
    memory: modules.Memory, module: Module
) -> None:
    assert _read(memory) == module


def test_an_active_cable_has_a_temperature_and_no_light() -> None:
    module = _read(modules.osfp_active_copper())

    assert module is not None
    assert (module.temperature_celsius, module.voltage_volts) == (52, 3.31)
    lanes = (module.receive_watts, module.transmit_watts, module.bias_amperes)
    assert lanes == ({}, {}, {})


def test_a_copper_sfp_is_not_asked_for_diagnostics() -> None:
    """Some answer with garbage where diagnostics would be."""
    memory = modules.sfp28()
    identity = bytearray(memory[modules.LOWER])
    identity[8] = 0x04
    fake = FakeMemory({**memory, modules.LOWER: bytes(identity)})

    assert ModuleReader(fake).read(7) == Module("sfp", "ACME OPTICS", "SFP28-SR", "A1B2C3")
    assert fake.asked == [modules.LOWER]


@pytest.mark.parametrize("kept", [0x00, 0x58, 0x6C])
def test_diagnostics_that_are_absent_or_not_calibrated_are_not_read(kept: int) -> None:
    memory = modules.sfp28()
    identity = bytearray(memory[modules.LOWER])
    identity[92] = kept
    module = _read({**memory, modules.LOWER: bytes(identity)})

    assert module == Module("sfp", "ACME OPTICS", "SFP28-SR", "A1B2C3")


def test_a_module_that_is_not_ready_yet_has_no_measurements() -> None:
    memory = modules.qsfp28()
    lower = bytearray(memory[modules.LOWER])
    lower[2] = 0x01
    module = _read({**memory, modules.LOWER: bytes(lower)})

    assert module is not None
    assert (module.temperature_celsius, module.receive_watts) == (None, {})


def test_alarms_that_are_not_there_cost_the_margins_only() -> None:
    memory = modules.qsfp_dd()
    del memory[modules.page(0x02)]
    module = _read(memory)

    assert module is not None
    assert module.receive_low_alarm_watts is None
    assert module.receive_watts[1] == 0.0008


def test_an_identifier_that_is_not_known_is_data() -> None:
    assert _read({modules.LOWER: b"\x7e" + bytes(127)}) == Module("0x7e")


def test_a_cage_without_a_module_has_none() -> None:
    assert _read({}) is None


def test_a_temperature_below_zero() -> None:
    assert optics.celsius(bytes([0xF6, 0x80]), 0) == -9.5


def test_the_second_way_is_gone_where_the_first_does_not_lead() -> None:
    first, second = FakeMemory({}), FakeMemory(modules.sfp28())
    module = ModuleReader(first, second).read(7)

    assert module is not None
    assert module.identifier == "sfp"
    assert first.asked == [modules.LOWER]


def test_a_refusal_names_the_capability() -> None:
    memory = FakeMemory({}, error=NotPermittedError("cannot read module EEPROM of rail0: EPERM"))

    with pytest.raises(NotPermittedError, match=r"EPERM; needs CAP_NET_ADMIN$"):
        ModuleReader(memory).read(7)


@given(lower=_HALVES, upper=_HALVES, third=_HALVES | st.none(), fourth=_HALVES | st.none())
def test_any_memory_is_a_module(
    lower: bytes, upper: bytes, third: bytes | None, fourth: bytes | None
) -> None:
    found = (
        sff8472.decode("sfp", lower, third),
        sff8636.decode("qsfp28", lower, upper, third),
        cmis.decode("osfp", lower, upper, cmis.Pages(third, fourth, third)),
    )

    for module in found:
        assert all(0 <= power <= 0.0065535 for power in module.receive_watts.values())
        assert all(0 <= power <= 0.0065535 for power in module.transmit_watts.values())
        assert module.receive_low_alarm_watts != 0
        assert (module.vendor + module.part + module.serial).isprintable()


def test_netlink_is_asked_for_half_a_page() -> None:
    kernel = EthtoolKernel(lambda _: attribute(7, bytes(range(128))))
    half = NetlinkMemory(kernel.netlink()).half(7, 0x11, is_upper=True, address=0x50)

    assert half == bytes(range(128))
    wanted = u32(2, 128) + u32(3, 128) + u8(4, 0x11) + u8(6, 0x50)
    assert kernel.requests[0][0] == 31
    assert kernel.requests[0].endswith(u32(1, 7) + wanted)


@given(data=st.binary(max_size=200))
def test_any_answer_is_half_a_page_or_refused(data: bytes) -> None:
    try:
        assert len(parse_data(data, 0, len(data))) == HALF
    except SourceError:
        return


class _Driver:
    """An older kernel: all pages that a driver has in one row."""

    def __init__(self, kind: int, row: bytes) -> None:
        self.kind = kind
        self.row = row
        self.error: int | None = None

    def __call__(self, netdev: str, buffer: bytearray) -> None:
        """Answer as net/ethtool/ioctl.c does."""
        assert netdev == "rail0"
        if self.error is not None:
            raise OSError(self.error, os.strerror(self.error))
        (command,) = struct.unpack_from("=I", buffer)
        if command == _GET_INFO:
            assert len(buffer) == 44
            buffer[:12] = struct.pack("=III", command, self.kind, len(self.row))
            return
        assert command == _GET_EEPROM
        _, _, at, size = struct.unpack_from("=IIII", buffer)
        assert at + size <= len(self.row)
        buffer[16:] = self.row[at : at + size]

    def memory(self) -> ControlMemory:
        """Return the way to it."""
        return ControlMemory(self, name_of=lambda _: "rail0")


def test_a_qsfp28_module_by_ioctl() -> None:
    memory = modules.qsfp28()
    row = memory[modules.LOWER] + memory[modules.UPPER] + bytes(256) + memory[modules.page(3)]

    assert ModuleReader(_Driver(3, row).memory()).read(7) == _read(memory)


def test_an_sfp_module_by_ioctl() -> None:
    memory = modules.sfp28()
    row = memory[modules.LOWER] + bytes(128) + memory[modules.DIAGNOSTICS] + bytes(128)

    assert ModuleReader(_Driver(2, row).memory()).read(7) == _read(memory)


def test_a_driver_that_has_the_first_page_only_costs_the_rest() -> None:
    memory = modules.qsfp_dd()
    row = memory[modules.LOWER] + memory[modules.UPPER]

    assert ModuleReader(_Driver(3, row).memory()).read(7) == Module(
        "qsfp-dd", "ACME OPTICS", "QDD-DR4", "D4-0001"
    )


@pytest.mark.parametrize("code", [errno.EOPNOTSUPP, errno.EINVAL, errno.ENODEV])
def test_a_driver_without_modules_has_none(code: int) -> None:
    driver = _Driver(0, b"")
    driver.error = code

    assert ModuleReader(driver.memory()).read(7) is None


def test_an_ioctl_that_is_refused_names_what_was_refused() -> None:
    driver = _Driver(0, b"")
    driver.error = errno.EPERM

    with pytest.raises(NotPermittedError, match="module EEPROM of interface 7: EPERM; needs CAP"):
        ModuleReader(driver.memory()).read(7)


def test_examples() -> None:
    assert doctest.testmod(optics).failed == 0
