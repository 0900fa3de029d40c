# SPDX-License-Identifier: Apache-2.0
"""Memory of QSFP+ and QSFP28 modules (SFF-8636): a lower half, and upper halves by page.

Page 00h is identity, 03h the alarms. The lower half has measurements of the module and its lanes.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Final

from railwatch_agent.sources.optics import (
    HALF,
    Module,
    amperes_of_lanes,
    celsius,
    named,
    volts,
    watts_of_lanes,
    with_alarms,
)

ALARM_PAGE: Final = 3

_STATUS: Final = 2
_IS_FLAT: Final = 0b0000_0100
_IS_NOT_READY: Final = 0b0000_0001
_TEMPERATURE: Final = 22
_VOLTAGE: Final = 26
_RECEIVE: Final = 34
_BIAS: Final = 42
_TRANSMIT: Final = 50
_LANES: Final = range(1, 5)

# Bytes of upper halves are numbered from 128 in the standard.
_TECHNOLOGY: Final = 147 - HALF
_FIRST_COPPER: Final = 0xA
_PASSIVE: Final = (0xA, 0xB)
_VENDOR: Final = 148 - HALF
_PART: Final = 168 - HALF
_SERIAL: Final = 196 - HALF
_MONITORED: Final = 220 - HALF
_TRANSMIT_IS_MONITORED: Final = 0b0000_0100

_TEMPERATURE_HIGH_ALARM: Final = 128 - HALF
_RECEIVE_LOW_ALARM: Final = 178 - HALF
_TRANSMIT_LOW_ALARM: Final = 194 - HALF


def has_alarms(lower: bytes, upper: bytes) -> bool:
    """Whether there are pages beyond the first, and light to be alarmed about."""
    return not lower[_STATUS] & _IS_FLAT and _is_optical(upper)


def _is_optical(upper: bytes) -> bool:
    return upper[_TECHNOLOGY] >> 4 < _FIRST_COPPER


def decode(identifier: str, lower: bytes, upper: bytes, alarms: bytes | None) -> Module:
    """Return what the lower half and the upper halves 00h and 03h say."""
    module = named(identifier, upper, vendor=_VENDOR, part=_PART, serial=_SERIAL)
    if upper[_TECHNOLOGY] >> 4 in _PASSIVE or lower[_STATUS] & _IS_NOT_READY:
        return module
    # No module works at 0 V: one that says so measures neither.
    if volts(lower, _VOLTAGE):
        module = replace(
            module,
            temperature_celsius=celsius(lower, _TEMPERATURE),
            voltage_volts=volts(lower, _VOLTAGE),
        )
    if _is_optical(upper):
        has_transmit = upper[_MONITORED] & _TRANSMIT_IS_MONITORED
        module = replace(
            module,
            receive_watts=watts_of_lanes(lower, _RECEIVE, _LANES),
            transmit_watts=watts_of_lanes(lower, _TRANSMIT, _LANES) if has_transmit else {},
            bias_amperes=amperes_of_lanes(lower, _BIAS, _LANES),
        )
    if alarms is None:
        return module
    return with_alarms(
        module,
        alarms,
        temperature=_TEMPERATURE_HIGH_ALARM,
        receive=_RECEIVE_LOW_ALARM,
        transmit=_TRANSMIT_LOW_ALARM,
    )
