# SPDX-License-Identifier: Apache-2.0
"""What a pluggable module says of itself, whichever standard its memory follows (SFF-8024).

SFF-8472, SFF-8636 and CMIS have the same units: two bytes, the higher one first.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

# Memory is read in halves of a page: one question to the kernel, which allows no more.
HALF: Final = 128
_NAME_BYTES: Final = 16

_U16: Final = struct.Struct(">H")
_S16: Final = struct.Struct(">h")


@dataclass(frozen=True, slots=True)
class Module:
    """One module; None and empty where it has no such thing, as copper has no optical power.

    Lanes are numbered from 1, as in the standards. The alarms are the module's own limits.
    """

    identifier: str
    vendor: str = ""
    part: str = ""
    serial: str = ""
    temperature_celsius: float | None = None
    voltage_volts: float | None = None
    receive_watts: Mapping[int, float] = field(default_factory=dict)
    transmit_watts: Mapping[int, float] = field(default_factory=dict)
    bias_amperes: Mapping[int, float] = field(default_factory=dict)
    temperature_high_alarm_celsius: float | None = None
    receive_low_alarm_watts: float | None = None
    transmit_low_alarm_watts: float | None = None


def text(data: bytes, at: int) -> str:
    """Return a name from a module's memory: 16 bytes of ASCII, filled up with spaces.

    >>> text(b"ACME CORP       4711", 0)
    'ACME CORP'
    """
    characters = data[at : at + _NAME_BYTES].decode("ascii", "replace")
    return "".join(c if c.isascii() and c.isprintable() else "?" for c in characters).strip(" ?")


def named(identifier: str, data: bytes, *, vendor: int, part: int, serial: int) -> Module:
    """Return a module of which nothing is known but the names at these places."""
    return Module(identifier, text(data, vendor), text(data, part), text(data, serial))


def celsius(data: bytes, at: int) -> float:
    """Return a temperature, in 1/256 degrees."""
    return float(_S16.unpack_from(data, at)[0]) / 256


def volts(data: bytes, at: int) -> float:
    """Return a voltage, in 100 microvolts."""
    return float(_U16.unpack_from(data, at)[0]) / 10_000


def watts(data: bytes, at: int) -> float:
    """Return an optical power, in tenths of a microwatt; 0 is darkness, or less than can be told.

    >>> watts(bytes([0x13, 0x94]), 0)
    0.0005012
    """
    return float(_U16.unpack_from(data, at)[0]) / 10_000_000


def amperes(data: bytes, at: int) -> float:
    """Return a laser's bias current, in 2 microamperes."""
    return float(_U16.unpack_from(data, at)[0]) / 500_000


def watts_of_lanes(data: bytes, at: int, lanes: Iterable[int]) -> dict[int, float]:
    """Return the optical power of each of *lanes*; that of lane 1 is *at*."""
    return {lane: watts(data, at + 2 * (lane - 1)) for lane in lanes}


def amperes_of_lanes(
    data: bytes, at: int, lanes: Iterable[int], scale: int = 1
) -> dict[int, float]:
    """Return the bias current of each of *lanes*; that of lane 1 is *at*."""
    return {lane: scale * amperes(data, at + 2 * (lane - 1)) for lane in lanes}


def with_alarms(
    module: Module, data: bytes, *, temperature: int, receive: int, transmit: int
) -> Module:
    """Return *module* with the alarms at these places; one of 0 is not set."""
    return replace(
        module,
        temperature_high_alarm_celsius=celsius(data, temperature) or None,
        receive_low_alarm_watts=watts(data, receive) or None,
        transmit_low_alarm_watts=watts(data, transmit) or None,
    )
