"""Settings of the link and pauses by priority: what the collector makes of them."""

import pytest

from agent import drivers
from agent.ethtool_rail import EthtoolRail
from agent.readings import Readings, golden, promtool_says, values
from railwatch.catalogue.metric import ReadFailure, Sample
from railwatch.catalogue.rail import (
    RAIL_LINK_INFO,
    RAIL_PRIORITY_PAUSE_FRAMES,
    RAIL_PRIORITY_PAUSE_SECONDS,
)
from railwatch.exposition import Renderer
from railwatch_agent.settings import EthtoolSettings
from railwatch_agent.sources.errors import SourceError
from railwatch_agent.sources.fec import Fec
from railwatch_agent.sources.link import LinkModes, LinkState, PauseSettings


def _up(settings: EthtoolSettings | None = None) -> EthtoolRail:
    """A rail whose driver tells all that can be asked."""
    made = EthtoolRail(drivers.mlx5(), settings=settings)
    made.answers.link_state.value = LinkState(is_up=True, down_reason=None)
    made.answers.link_modes.value = LinkModes(autonegotiates=True, duplex="full", lanes=4)
    made.answers.port.value = "direct_attach"
    made.answers.pause.value = PauseSettings(autonegotiates=False, receives=False, transmits=False)
    made.answers.fec.value = Fec(1, 2, 3, "rs")
    made.answers.pfc.value = (3,)
    return made


def _link(readings: Readings) -> dict[str, str]:
    """Return the labels of the one series that says how the link is set up."""
    (labels,) = values(readings, RAIL_LINK_INFO)
    return dict(zip(RAIL_LINK_INFO.labels[2:], labels, strict=True))


def test_a_link_that_is_up_says_how_it_is_set_up() -> None:
    assert _link(_up().collect()) == {
        "autonegotiation": "on",
        "duplex": "full",
        "lanes": "4",
        "fec": "rs",
        "port": "direct_attach",
        "pause": "off",
        "pause_autonegotiation": "off",
        "pfc": "3",
        "down_reason": "",
    }


@pytest.mark.parametrize(
    ("reason", "label"), [("no_cable", "no_cable"), (None, "unknown")], ids=["told", "not told"]
)
def test_a_link_that_is_down_says_why_in_the_next_round(reason: str | None, label: str) -> None:
    ethtool = _up()
    ethtool.collect()
    ethtool.answers.link_state.value = LinkState(is_up=False, down_reason=reason)

    assert _link(ethtool.collect())["down_reason"] == label


def test_settings_are_read_once_a_minute_and_the_state_in_each_round() -> None:
    ethtool = _up()
    for _ in range(13):
        assert _link(ethtool.collect())["lanes"] == "4"

    answers = ethtool.answers
    seldom = (answers.link_modes, answers.port, answers.pause, answers.pfc)
    assert [answer.asked for answer in seldom] == [2, 2, 2, 2]
    assert answers.link_state.asked == 13
    assert answers.fec.asked == 13


def test_a_round_that_begins_a_little_early_is_not_left_out() -> None:
    ethtool = _up()
    for _ in range(20):
        ethtool.collect()
        ethtool.clock.advance(-0.3)

    assert ethtool.answers.link_state.asked == 20


def test_one_setting_that_cannot_be_read_costs_its_label() -> None:
    ethtool = _up()
    ethtool.answers.pause.error = SourceError("EIO")
    readings = ethtool.collect()

    assert _link(readings)["pause"] == ""
    assert _link(readings)["duplex"] == "full"
    failures = [r for r in readings if isinstance(r, ReadFailure)]
    assert failures == [ReadFailure("pause settings of rail0", "EIO")]


def test_a_reading_that_two_parts_look_at_fails_once() -> None:
    ethtool = _up()
    ethtool.answers.fec.error = SourceError("EIO")
    failures = [r for r in ethtool.collect() if isinstance(r, ReadFailure)]

    assert failures == [ReadFailure("FEC counters of rail0", "EIO")]
    assert ethtool.answers.fec.asked == 1


def test_a_driver_that_tells_nothing_has_no_series() -> None:
    assert values(EthtoolRail(drivers.mlx5()).collect(), RAIL_LINK_INFO) == {}


@pytest.mark.parametrize(
    ("enabled", "label"), [((), "off"), ((3, 4), "3,4"), (None, "")], ids=["none", "two", "unknown"]
)
def test_priorities_that_are_off_are_not_unknown(
    enabled: tuple[int, ...] | None, label: str
) -> None:
    ethtool = _up()
    ethtool.answers.pfc.value = enabled

    assert _link(ethtool.collect())["pfc"] == label


@pytest.mark.parametrize(
    ("settings", "label"),
    [((True, False), "receive"), ((False, True), "transmit"), ((True, True), "both")],
)
def test_pause_has_directions(settings: tuple[bool, bool], label: str) -> None:
    ethtool = _up()
    ethtool.answers.pause.value = PauseSettings(True, *settings)

    assert _link(ethtool.collect())["pause"] == label


def test_infiniband_is_not_asked_about_what_is_ethernet() -> None:
    ethtool = EthtoolRail(drivers.mlx5(), kind="infiniband")
    ethtool.collect()

    assert ethtool.answers.fec.asked == 0
    assert ethtool.answers.pfc.asked == 0
    assert ethtool.answers.link_state.asked == 1


@pytest.mark.parametrize(
    ("driver", "kept", "frames", "seconds"),
    [
        ("mlx5_core", drivers.mlx5(), {"receive": 2, "transmit": 1}, {"receive": 2.5}),
        ("bnxt_en", drivers.bnxt(), {"receive": 3, "transmit": 4}, {"receive": 1.0}),
        ("ionic", drivers.ionic(), {}, {"receive": 1.5}),
    ],
)
def test_pauses_of_the_priorities_that_are_named(
    driver: str, kept: dict[str, int], frames: dict[str, int], seconds: dict[str, float]
) -> None:
    ethtool = EthtoolRail(kept, driver=driver, settings=EthtoolSettings(priorities=(3,)))
    readings = ethtool.collect()

    found = values(readings, RAIL_PRIORITY_PAUSE_FRAMES)
    assert found == {("3", direction): number for direction, number in frames.items()}
    paused = values(readings, RAIL_PRIORITY_PAUSE_SECONDS)
    assert paused["3", "receive"] == pytest.approx(seconds["receive"])
    assert len(paused) == 2


def test_a_priority_that_is_not_named_has_no_series_whatever_is_enabled() -> None:
    """By direction all priorities are in pause_seconds_total; apart, they would be many."""
    ethtool = EthtoolRail(drivers.mlx5())
    ethtool.answers.pfc.value = (3,)
    readings = ethtool.collect()

    assert values(readings, RAIL_PRIORITY_PAUSE_FRAMES) == {}
    assert values(readings, RAIL_PRIORITY_PAUSE_SECONDS) == {}


def test_settings_add_one_series_to_a_rail() -> None:
    before = EthtoolRail(drivers.mlx5())
    before.answers.fec.value = Fec(1, 2, 3)

    assert len(_up().collect()) - len(before.collect()) == 1


def test_the_exposition_of_a_link_is_the_golden_one_and_promtool_likes_it() -> None:
    """`RAILWATCH_GOLDEN=1` rewrites it; the difference is to be read."""
    shown = (RAIL_LINK_INFO, RAIL_PRIORITY_PAUSE_FRAMES, RAIL_PRIORITY_PAUSE_SECONDS)
    readings = _up().collect()
    samples = [r for r in readings if isinstance(r, Sample) and r.spec in shown]
    text = Renderer().render(samples).decode()

    assert text == golden("ethtool_link.prom", text)
    assert promtool_says(text) == []
