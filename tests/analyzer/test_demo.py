# SPDX-License-Identifier: Apache-2.0
import io
import threading
from dataclasses import replace

import pytest
from rich.console import Console
from rich.text import Text

from analyzer.pictures import fleet, status
from railwatch.clock import SystemClock
from railwatch.settings import ConfigError
from railwatch_analyzer.demo import demo, perform
from railwatch_analyzer.demonstration.narration import Announcement, announcements
from railwatch_analyzer.demonstration.reckoning import reckon
from railwatch_analyzer.demonstration.scenario import scenario
from railwatch_analyzer.demonstration.stage import LineStage, ScreenStage
from railwatch_analyzer.demonstration.summary import summary
from railwatch_analyzer.findings import Evidence, Finding, FindingKind, FindingState
from railwatch_analyzer.simulation.faults import LinkDown, TransmitCap
from railwatch_analyzer.terminal.picture import picture_of
from railwatch_analyzer.terminal.screen import Screen

CAP = TransmitCap(node="node07", rail=3, share=0.31, start=100.0, end=200.0)
DOWN = LinkDown(node="node02", rail=0, start=150.0, end=180.0)
NAMED = Finding(
    id="a",
    time=107.0,
    onset=100.0,
    kind=FindingKind.LINK_DEGRADED,
    state=FindingState.FIRING,
    node="node07",
    rail="3",
    device="mlx5_3",
    job_id="job1",
    cause="bandwidth",
    score=3.0,
    candidates=(),
    evidence=(
        Evidence("transmit_window_max_bytes_per_second", 15e9, 45e9, "bytes_per_second"),
        Evidence("queue_occupied_ratio", 0.7, 0.1, "ratio"),
    ),
)
RESOLVED = replace(NAMED, time=232.0, state=FindingState.RESOLVED)


def test_the_injected_link_and_no_other_is_exact() -> None:
    reckoning = reckon([CAP], [NAMED, RESOLVED])

    assert reckoning.exact
    assert reckoning.matches[0].named == NAMED
    assert reckoning.matches[0].resolved == RESOLVED


@pytest.mark.parametrize(
    "changes",
    [
        {"node": "node08"},
        {"rail": "4"},
        {"time": 99.0},
        {"time": 206.0},
        {"kind": FindingKind.LINK_DOWN},
    ],
)
def test_another_link_or_time_or_kind_is_wrong(changes: dict[str, object]) -> None:
    other = replace(NAMED, id="b", **changes)  # type: ignore[arg-type]  # any of its fields

    assert not reckon([CAP], [other]).exact
    assert not reckon([CAP], [NAMED, other]).exact
    assert reckon([CAP], [NAMED, other]).wrong == (other,)


def test_a_fault_that_nobody_named_is_not_exact() -> None:
    reckoning = reckon([CAP, DOWN], [NAMED])

    assert not reckoning.exact
    assert reckoning.matches[1].named is None


def test_a_change_of_cause_is_the_same_finding() -> None:
    changed = replace(NAMED, time=240.0, cause="loss")

    assert reckon([CAP], [NAMED, changed]).exact


def test_the_summary_says_what_was_named_how_soon_and_by_how_much() -> None:
    text = _plain(summary(reckon([CAP], [NAMED, RESOLVED]), links=128))

    assert (
        text
        == """\
what was simulated, and what railwatch said of it

simulated  node07 rail 3 transmitted at 31 % of line rate at most
           from 00:01:40 to 00:03:20
railwatch  node07 rail 3 (mlx5_3) degraded, cause bandwidth, 7 s after it began
           transmit peak   observed 120, expected 360 Gbit/s
           queue occupied  observed 70 %, expected 10 %
           resolved 32 s after the repair

1 of 1 faults named, 0 wrong accusations among 127 healthy links"""
    )


def test_the_summary_hides_no_failure() -> None:
    wrong = replace(NAMED, id="b", node="node09")

    text = _plain(summary(reckon([CAP, DOWN], [NAMED, wrong]), links=128))

    assert "not yet resolved" in text
    assert "did not name it" in text
    assert "wrong      node09 rail 3 (mlx5_3) degraded, cause bandwidth" in text
    assert text.endswith("1 of 2 faults named, 1 wrong accusations among 126 healthy links")


def test_a_demonstration_that_was_stopped_claims_nothing() -> None:
    stop = threading.Event()
    stop.set()

    told = perform(scenario(0), LineStage(), SystemClock(), stop, speed=float("inf"))

    assert told is None
    assert "nothing is claimed" in _plain(summary(None, links=128))


def test_seeds_draw_different_faults_and_each_the_same_again() -> None:
    plans = [scenario(seed) for seed in range(30)]

    assert [plan.faults for plan in plans] == [scenario(seed).faults for seed in range(30)]
    assert len({plan.faults[0].node for plan in plans}) > 5
    assert {len(plan.faults) for plan in plans} == {1, 2}
    assert {len(plan.simulation.jobs) for plan in plans} == {1, 2}


def test_what_is_announced_is_what_is_injected() -> None:
    plan = next(plan for plan in map(scenario, range(30)) if len(plan.faults) == 2)

    said = announcements(plan)

    faults = [one.seconds for one in said if one.is_fault]
    assert faults == [fault.start for fault in plan.faults]
    assert [one.seconds for one in said] == sorted(one.seconds for one in said)
    assert sum("repair" in one.text for one in said) == 2


def test_a_screen_keeps_the_simulation_apart_from_what_railwatch_sees() -> None:
    out = io.StringIO()
    console = Console(file=out, force_terminal=True, width=80, height=24, color_system=None)
    with ScreenStage(Screen(console)) as stage:
        stage.announce(Announcement(100.0, "fault: it is capped", is_fault=True))
        stage.show(picture_of(status(fleet()), []), [])
        drawn = out.getvalue()[-4000:]
        stage.leave([Text("the end")])

    told, seen = drawn.rindex("00:01:40  fault: it is capped"), drawn.rindex("what railwatch sees")
    assert told < seen < drawn.rindex("24 normal")
    assert out.getvalue().rstrip().endswith("the end")


def test_a_whole_demonstration_names_the_injected_links(
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Seed 5 caps a transmitter and takes another link down meanwhile."""
    code = demo(seed=5, speed=float("inf"))

    out = capsys.readouterr().out
    assert code == 0
    assert "2 of 2 faults named, 0 wrong accusations among 126 healthy links" in out
    assert "\x1b" not in out
    first = out.index("degraded, bandwidth")
    assert out.index("simulated  00:02:01  fault: node12 rail 7") < first
    assert out.index("railwatch  00:00:45  128 normal  trained") < first


@pytest.mark.parametrize(("seed", "speed"), [(-1, 1.0), (1, 0.0), (1, -2.0), (1, float("nan"))])
def test_seeds_and_speeds_that_mean_nothing_are_refused(seed: int, speed: float) -> None:
    with pytest.raises(ConfigError, match="--s"):
        demo(seed=seed, speed=speed)


def _plain(lines: list[Text]) -> str:
    return "\n".join(one.plain for one in lines)
