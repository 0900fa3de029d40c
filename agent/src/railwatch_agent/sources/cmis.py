# SPDX-License-Identifier: Apache-2.0
"""Memory of QSFP-DD, OSFP and newer QSFP modules (OIF-CMIS 5): pages of upper halves.

Page 00h is identity, 01h which measurements there are, 02h the alarms, 11h the measurements of the
first eight lanes. A module with flat memory, a passive cable, has the lower half and 00h only; an
active cable measures its temperature and no light, and says so in 01h.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Final, NamedTuple

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

MONITOR_PAGE: Final = 0x01
ALARM_PAGE: Final = 0x02
LANE_PAGE: Final = 0x11

_MEMORY: Final = 2
_IS_FLAT: Final = 0b1000_0000
_TEMPERATURE: Final = 14
_VOLTAGE: Final = 16

# Bytes of upper halves are numbered from 128 in the standard.
_VENDOR: Final = 129 - HALF
_PART: Final = 148 - HALF
_SERIAL: Final = 166 - HALF
# A bit for each of the lanes that are not there.
_MISSING_LANES: Final = 210 - HALF

_MODULE_MONITORS: Final = 159 - HALF
_HAS_TEMPERATURE: Final = 0b0000_0001
_HAS_VOLTAGE: Final = 0b0000_0010
_LANE_MONITORS: Final = 160 - HALF
_HAS_BIAS: Final = 0b0000_0001
_HAS_TRANSMIT: Final = 0b0000_0010
_HAS_RECEIVE: Final = 0b0000_0100
_BIAS_SCALES: Final = (1, 2, 4, 1)

_TEMPERATURE_HIGH_ALARM: Final = 128 - HALF
_TRANSMIT_LOW_ALARM: Final = 178 - HALF
_RECEIVE_LOW_ALARM: Final = 194 - HALF

_TRANSMIT: Final = 154 - HALF
_BIAS: Final = 170 - HALF
_RECEIVE: Final = 186 - HALF


class Pages(NamedTuple):
    """Upper halves beyond the first; None where the module does not have one."""

    monitors: bytes | None = None
    alarms: bytes | None = None
    lanes: bytes | None = None


def is_flat(lower: bytes) -> bool:
    """Whether there are no pages beyond the first."""
    return bool(lower[_MEMORY] & _IS_FLAT)


def decode(identifier: str, lower: bytes, upper: bytes, pages: Pages) -> Module:
    """Return what the lower half and the upper halves say."""
    module = named(identifier, upper, vendor=_VENDOR, part=_PART, serial=_SERIAL)
    if pages.monitors is None:
        return module
    of_module = pages.monitors[_MODULE_MONITORS]
    module = replace(
        module,
        temperature_celsius=celsius(lower, _TEMPERATURE) if of_module & _HAS_TEMPERATURE else None,
        voltage_volts=volts(lower, _VOLTAGE) if of_module & _HAS_VOLTAGE else None,
    )
    if pages.lanes is not None:
        module = _with_lanes(module, upper[_MISSING_LANES], pages.monitors, pages.lanes)
    if pages.alarms is None:
        return module
    return with_alarms(
        module,
        pages.alarms,
        temperature=_TEMPERATURE_HIGH_ALARM,
        receive=_RECEIVE_LOW_ALARM,
        transmit=_TRANSMIT_LOW_ALARM,
    )


def _with_lanes(module: Module, missing: int, monitors: bytes, data: bytes) -> Module:
    kept = monitors[_LANE_MONITORS]
    scale = _BIAS_SCALES[kept >> 3 & 3]
    lanes = [lane for lane in range(1, 9) if not missing & 1 << lane - 1]
    return replace(
        module,
        receive_watts=watts_of_lanes(data, _RECEIVE, lanes) if kept & _HAS_RECEIVE else {},
        transmit_watts=watts_of_lanes(data, _TRANSMIT, lanes) if kept & _HAS_TRANSMIT else {},
        bias_amperes=amperes_of_lanes(data, _BIAS, lanes, scale) if kept & _HAS_BIAS else {},
    )
