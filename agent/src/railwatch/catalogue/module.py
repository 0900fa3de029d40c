# SPDX-License-Identifier: Apache-2.0
"""The metrics of the rails' pluggable modules, which are read where [ethtool] module says so."""

from __future__ import annotations

from railwatch.catalogue.metric import PREFIX, MetricSpec, MetricType, Scope

_RAIL = ("rail", "device")
_SOURCE = "ethtool MODULE_EEPROM_GET: SFF-8472, SFF-8636 or CMIS; needs CAP_NET_ADMIN"


def _module(what: str, text: str) -> MetricSpec:
    name = f"{PREFIX}rail_module_{what}"
    return MetricSpec(name, MetricType.GAUGE, text, _RAIL, Scope.MODULE, _SOURCE)


def _lane(what: str, text: str) -> MetricSpec:
    name = f"{PREFIX}rail_module_{what}"
    return MetricSpec(name, MetricType.GAUGE, text, (*_RAIL, "lane"), Scope.LANE, _SOURCE)


MODULE_INFO = MetricSpec(
    f"{PREFIX}rail_module_info",
    MetricType.INFO,
    "Which module or cable is plugged into a rail's port.",
    (*_RAIL, "identifier", "vendor", "part", "serial"),
    Scope.MODULE,
    _SOURCE,
)
MODULE_TEMPERATURE = _module("temperature_celsius", "Temperature of the module.")
MODULE_TEMPERATURE_MARGIN = _module(
    "temperature_margin_celsius",
    "How far the module is below its own high alarm; negative is beyond it.",
)
MODULE_VOLTAGE = _module("voltage_volts", "Supply voltage of the module.")
MODULE_RECEIVE_MARGIN = _module(
    "receive_power_margin_ratio",
    "Optical power received on the darkest lane, as a multiple of the module's own low alarm; "
    "below 1 is alarming.",
)
MODULE_TRANSMIT_MARGIN = _module(
    "transmit_power_margin_ratio",
    "Optical power sent on the darkest lane, as a multiple of the module's own low alarm; below 1 "
    "is alarming, as is the 0 of a laser that is switched off.",
)
MODULE_RECEIVE_POWER = _lane(
    "receive_power_watts", "Optical power received; 0 is darkness, or less than can be told."
)
MODULE_TRANSMIT_POWER = _lane(
    "transmit_power_watts", "Optical power sent; 0 is a laser that is switched off."
)
MODULE_BIAS = _lane(
    "bias_amperes", "Bias current of the laser; one that ages needs more for the same light."
)
