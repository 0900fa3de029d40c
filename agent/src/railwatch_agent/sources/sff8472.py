# SPDX-License-Identifier: Apache-2.0
"""Memory of SFP modules (SFF-8472): two devices on the bus, A0h for identity, A2h for diagnostics.

Only modules that calibrate themselves are read: those that leave it to the host were made for
1 Gbit/s, and their numbers without the calibration would be wrong.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Final

from railwatch_agent.sources.optics import (
    Module,
    amperes_of_lanes,
    celsius,
    named,
    volts,
    watts_of_lanes,
    with_alarms,
)

_CABLE: Final = 8
_COPPER: Final = 0b0000_1100
_VENDOR: Final = 20
_PART: Final = 40
_SERIAL: Final = 68
_DIAGNOSTICS: Final = 92
_ARE_KEPT: Final = 0b0100_0000
_ARE_CALIBRATED: Final = 0b0010_0000
_NEEDS_ADDRESS_CHANGE: Final = 0b0000_0100

_TEMPERATURE_HIGH_ALARM: Final = 0
_TRANSMIT_LOW_ALARM: Final = 26
_RECEIVE_LOW_ALARM: Final = 34
_TEMPERATURE: Final = 96
_VOLTAGE: Final = 98
_BIAS: Final = 100
_TRANSMIT: Final = 102
_RECEIVE: Final = 104


def has_diagnostics(identity: bytes) -> bool:
    """Whether the lower half of A2h can be read and means what it says; copper has no light."""
    kept = identity[_DIAGNOSTICS]
    is_readable = kept & _ARE_KEPT and kept & _ARE_CALIBRATED and not kept & _NEEDS_ADDRESS_CHANGE
    return bool(is_readable) and not identity[_CABLE] & _COPPER


def decode(identifier: str, identity: bytes, diagnostics: bytes | None) -> Module:
    """Return what the lower halves of A0h and A2h say."""
    module = named(identifier, identity, vendor=_VENDOR, part=_PART, serial=_SERIAL)
    if diagnostics is None:
        return module
    module = replace(
        module,
        temperature_celsius=celsius(diagnostics, _TEMPERATURE),
        voltage_volts=volts(diagnostics, _VOLTAGE),
        receive_watts=watts_of_lanes(diagnostics, _RECEIVE, (1,)),
        transmit_watts=watts_of_lanes(diagnostics, _TRANSMIT, (1,)),
        bias_amperes=amperes_of_lanes(diagnostics, _BIAS, (1,)),
    )
    return with_alarms(
        module,
        diagnostics,
        temperature=_TEMPERATURE_HIGH_ALARM,
        receive=_RECEIVE_LOW_ALARM,
        transmit=_TRANSMIT_LOW_ALARM,
    )
