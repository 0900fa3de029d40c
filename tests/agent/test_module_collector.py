"""The module in a rail's port: what the collector makes of it."""

import pytest

from agent import modules
from agent.ethtool_rail import EthtoolRail
from agent.modules import FakeMemory
from agent.readings import golden, promtool_says, value, values
from railwatch.catalogue import METRICS
from railwatch.catalogue.metric import ReadFailure, Sample, Scope
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
from railwatch.exposition import Renderer
from railwatch_agent.collectors.pacing import RETRY_SECONDS
from railwatch_agent.settings import EthtoolSettings
from railwatch_agent.sources.errors import NotPermittedError
from railwatch_agent.sources.module import ModuleReader
from railwatch_agent.sources.optics import Module


def _modular(memory: modules.Memory) -> EthtoolRail:
    made = EthtoolRail(settings=EthtoolSettings(module=True))
    made.answers.module.value = ModuleReader(FakeMemory(memory)).read(7)
    return made


def test_modules_are_not_asked_for_by_default() -> None:
    ethtool = EthtoolRail()
    ethtool.answers.module.value = Module("osfp")

    assert ethtool.collect() == []
    assert ethtool.answers.module.asked == 0


def test_a_module_says_how_far_it_is_from_its_alarms() -> None:
    readings = _modular(modules.qsfp_dd()).collect()

    assert values(readings, MODULE_INFO) == {("qsfp-dd", "ACME OPTICS", "QDD-DR4", "D4-0001"): 1}
    assert value(readings, MODULE_TEMPERATURE) == 52
    assert value(readings, MODULE_TEMPERATURE_MARGIN) == 23
    assert value(readings, MODULE_VOLTAGE) == 3.31
    assert value(readings, MODULE_RECEIVE_MARGIN) == pytest.approx(0.5)
    assert value(readings, MODULE_TRANSMIT_MARGIN) == pytest.approx(11000 / 1995)
    assert values(readings, MODULE_RECEIVE_POWER)["2",] == 0.00005
    assert values(readings, MODULE_TRANSMIT_POWER).keys() == {("1",), ("2",), ("3",), ("4",)}
    assert values(readings, MODULE_BIAS)["1",] == 0.05


def test_darkness_is_a_margin_of_zero() -> None:
    assert value(_modular(modules.qsfp28()).collect(), MODULE_RECEIVE_MARGIN) == 0


def test_a_passive_cable_has_no_series_but_its_name() -> None:
    readings = _modular(modules.osfp_passive_copper()).collect()

    assert [r.spec for r in readings if isinstance(r, Sample)] == [MODULE_INFO]


def test_a_module_has_as_many_series_as_the_catalogue_says() -> None:
    each = {
        scope: sum(spec.series for spec in METRICS if spec.scope is scope)
        for scope in (Scope.MODULE, Scope.LANE)
    }
    readings = _modular(modules.osfp()).collect()

    assert len(readings) == each[Scope.MODULE] + 8 * each[Scope.LANE]


def test_a_module_is_read_once_a_minute_and_shown_in_between() -> None:
    ethtool = _modular(modules.sfp28())
    rounds = [ethtool.collect() for _ in range(13)]

    assert ethtool.answers.module.asked == 2
    assert all(value(readings, MODULE_TEMPERATURE) == 41.5 for readings in rounds)


def test_a_module_that_is_pulled_takes_its_series_along() -> None:
    ethtool = _modular(modules.sfp28())
    ethtool.collect()
    ethtool.answers.module.value = None
    for _ in range(12):
        ethtool.collect()

    assert ethtool.collect() == []


def test_modules_that_this_user_may_not_read_are_asked_for_seldom_and_say_why() -> None:
    """Trap: some functions write every such question into the kernel's log."""
    ethtool = EthtoolRail(settings=EthtoolSettings(module=True))
    reason = "cannot read module EEPROM of interface 7: EPERM; needs CAP_NET_ADMIN"
    ethtool.answers.module.error = NotPermittedError(reason)
    rounds = [ethtool.collect() for _ in range(60)]

    assert ethtool.answers.module.asked == 60 * 5 / RETRY_SECONDS
    assert rounds == [[ReadFailure("module of rail0", reason)]] * 60


def test_the_exposition_of_a_module_is_the_golden_one_and_promtool_likes_it() -> None:
    """`RAILWATCH_GOLDEN=1` rewrites it; the difference is to be read."""
    readings = _modular(modules.qsfp_dd()).collect()
    text = Renderer().render([r for r in readings if isinstance(r, Sample)]).decode()

    assert text == golden("ethtool_module.prom", text)
    assert promtool_says(text) == []
