# SPDX-License-Identifier: Apache-2.0
"""The module in a rail's port: its light, its temperature, and how far both are from its alarms."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from railwatch.catalogue.metric import Sample
from railwatch.catalogue.module import (
    MODULE_BIAS,
    MODULE_INFO,
    MODULE_RECEIVE_MARGIN,
    MODULE_RECEIVE_POWER,
    MODULE_TEMPERATURE,
    MODULE_TEMPERATURE_MARGIN,
    MODULE_TRANSMIT_MARGIN,
    MODULE_TRANSMIT_POWER,
    MODULE_VOLTAGE,
)

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from railwatch_agent.collectors.doors import Doors
    from railwatch_agent.collectors.pacing import Attempts, Pacer
    from railwatch_agent.inventory import Rail
    from railwatch_agent.sources.optics import Module

# Half a dozen pages over a slow bus; light and temperature change over minutes.
_INTERVAL_SECONDS: Final = 60.0


class ModuleReadings:
    """The module of one device."""

    def __init__(self, doors: Doors, pacer: Pacer) -> None:
        self._module = pacer.reading("module", doors.module, _INTERVAL_SECONDS)

    def samples(self, rail: Rail, attempts: Attempts) -> Iterator[Sample]:
        """Yield what the module says of itself; a passive cable says what it is, and no more."""
        module = attempts.value(self._module)
        if module is None:
            return
        named = (module.identifier, module.vendor, module.part, module.serial)
        yield Sample(MODULE_INFO, (*rail.labels, *named), 1)
        numbers = {
            MODULE_TEMPERATURE: module.temperature_celsius,
            MODULE_TEMPERATURE_MARGIN: _temperature_margin(module),
            MODULE_VOLTAGE: module.voltage_volts,
            MODULE_RECEIVE_MARGIN: _margin(module.receive_watts, module.receive_low_alarm_watts),
            MODULE_TRANSMIT_MARGIN: _margin(module.transmit_watts, module.transmit_low_alarm_watts),
        }
        for spec, number in numbers.items():
            if number is not None:
                yield Sample(spec, rail.labels, number)
        lanes = {
            MODULE_RECEIVE_POWER: module.receive_watts,
            MODULE_TRANSMIT_POWER: module.transmit_watts,
            MODULE_BIAS: module.bias_amperes,
        }
        for spec, by_lane in lanes.items():
            for lane, number in by_lane.items():
                yield Sample(spec, (*rail.labels, str(lane)), number)


def _temperature_margin(module: Module) -> float | None:
    alarm, now = module.temperature_high_alarm_celsius, module.temperature_celsius
    return None if alarm is None or now is None else alarm - now


def _margin(lanes: Mapping[int, float], low_alarm: float | None) -> float | None:
    return min(lanes.values()) / low_alarm if lanes and low_alarm is not None else None
