"""judge(state, frame) told as stories of small fleets."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import pytest

from analyzer.fleet import START, WINDOW, Fleet, capped, without
from analyzer.stories import fold, learned
from railwatch_analyzer.baseline import WARM_UP
from railwatch_analyzer.frame import POSITION
from railwatch_analyzer.round import judge, verdicts_of
from railwatch_analyzer.state import Silence, State, empty_state
from railwatch_analyzer.verdicts import CLEAR_WINDOWS, HOLD_SECONDS, Verdict

if TYPE_CHECKING:
    from railwatch_analyzer.frame import Link

WARM = WARM_UP + 6


def verdict(state: State, link: Link) -> Verdict:
    return Verdict(int(verdicts_of(state)[state.links.index(link)]))


def test_nothing_is_judged_before_it_was_learned() -> None:
    fleet = Fleet()

    state, _ = fold(empty_state(), fleet.windows(WARM_UP - 1))

    assert set(verdicts_of(state)) == {Verdict.UNKNOWN}
    assert set(state.picture.silence) == {Silence.LEARNING}


def test_a_healthy_fleet_is_normal_and_silent() -> None:
    fleet = Fleet(nodes=16, rails=2)

    state, lines = fold(empty_state(), fleet.windows(200))

    assert lines == []
    assert set(verdicts_of(state)) == {Verdict.NORMAL}
    assert np.nanmax(state.status.score) < 1.0


def test_a_cap_to_a_quarter_is_named_with_its_evidence_after_one_window() -> None:
    fleet = Fleet()
    state = learned(fleet)
    bad = fleet.links[3]

    state, lines = judge(state, fleet.window({bad: capped(0.25)}))

    assert [(f.node, f.rail, f.state, f.cause) for f in lines] == [
        (bad.node, bad.rail, "firing", "bandwidth")
    ]
    evidence = {item.feature: item for item in lines[0].evidence}
    burst = evidence["transmit_window_top_decile_bytes_per_second"]
    assert burst.observed == pytest.approx(10e9)
    assert burst.expected == pytest.approx(40e9, rel=0.03)
    assert verdict(state, bad) is Verdict.DEGRADED


def test_a_mild_cap_needs_several_windows() -> None:
    fleet = Fleet()
    state = learned(fleet)
    bad = fleet.links[3]

    state, first = judge(state, fleet.window({bad: capped(0.75)}))
    suspected = verdict(state, bad)
    state, later = fold(state, (fleet.window({bad: capped(0.75)}) for _ in range(4)))

    assert first == []
    assert suspected is Verdict.SUSPECT
    assert [f.node for f in later] == [bad.node]


def test_a_deviation_of_a_few_per_cent_is_nobodys_business() -> None:
    fleet = Fleet()
    state = learned(fleet)

    _, lines = fold(state, (fleet.window({fleet.links[3]: capped(0.92)}) for _ in range(50)))

    assert lines == []


def test_an_alarm_ends_after_a_row_of_clear_windows_and_not_before() -> None:
    fleet = Fleet()
    state = learned(fleet)
    state, begun = judge(state, fleet.window({fleet.links[3]: capped(0.25)}))

    state, early = fold(state, fleet.windows(CLEAR_WINDOWS - 1))
    state, late = fold(state, fleet.windows(1))

    assert early == []
    assert [(f.id, f.state) for f in late] == [(begun[0].id, "resolved")]


def test_the_receiver_of_a_capped_sender_is_a_victim_and_stays_a_candidate() -> None:
    """The sender's own queue tells the two ends of the edge apart."""
    fleet = Fleet()
    state = learned(fleet)
    sender, receiver = fleet.links[3], fleet.links[4]
    starved = capped(0.25, "receive")

    state, lines = judge(state, fleet.window({sender: capped(0.25), receiver: starved}))

    assert [f.node for f in lines] == [sender.node]
    assert {c.node for c in lines[0].candidates} == {sender.node, receiver.node}
    assert verdict(state, receiver) is Verdict.SUSPECT


def test_a_capped_receiver_is_named_when_its_senders_queue_is_empty() -> None:
    fleet = Fleet()
    state = learned(fleet)
    sender, receiver = fleet.links[3], fleet.links[4]
    slowed = {**capped(0.4), "queue_occupied_ratio": 0.0}

    _, lines = judge(state, fleet.window({sender: slowed, receiver: capped(0.25, "receive")}))

    assert [f.node for f in lines] == [receiver.node]


def test_a_victim_is_not_accused_while_the_culprit_cannot_be_seen() -> None:
    """The culprit's agent restarts in the middle of its alarm."""
    fleet = Fleet()
    state = learned(fleet)
    sender, receiver = fleet.links[3], fleet.links[4]
    both = {sender: capped(0.25), receiver: capped(0.25, "receive")}
    state, begun = judge(state, fleet.window(both))

    state, lines = fold(state, (without(fleet.window(both), sender) for _ in range(4)))

    assert [f.node for f in begun] == [sender.node]
    assert lines == []


def test_a_victim_is_not_accused_in_a_window_that_holds_half_a_pause() -> None:
    """Another rail's outage: bursts are as low as ever, and half as long does the queue stand."""
    fleet = Fleet()
    state = learned(fleet)
    sender, receiver = fleet.links[3], fleet.links[4]
    starved = capped(0.25, "receive")
    both = {sender: capped(0.25), receiver: starved}
    state, begun = fold(state, (fleet.window(both) for _ in range(6)))
    halved = {sender: {**capped(0.25), "queue_occupied_ratio": 0.2}, receiver: starved}

    state, lines = fold(state, (fleet.window(halved) for _ in range(2)))

    assert [f.node for f in begun] == [sender.node]
    assert lines == []


def test_what_happens_around_a_fault_teaches_nothing() -> None:
    """A receiver that was a victim for long is found as quickly when the fault is its own."""
    fleet = Fleet()
    state = learned(fleet)
    sender, receiver = fleet.links[3], fleet.links[4]
    starved = capped(0.25, "receive")
    both = {sender: capped(0.25), receiver: starved}
    state, _ = fold(state, (fleet.window(both) for _ in range(60)))
    state, _ = fold(state, fleet.windows(30))

    slowed = {**capped(0.4), "queue_occupied_ratio": 0.0}
    state, lines = judge(state, fleet.window({sender: slowed, receiver: starved}))

    assert [(f.node, f.state) for f in lines] == [(receiver.node, "firing")]
    assert state.detector is not None
    assert state.detector.centers_.max() < 5.0


def test_nobody_is_accused_in_one_window_that_lacks_a_peer() -> None:
    """Whoever was not heard may be the culprit: its victim alone would look like one."""
    fleet = Fleet()
    state = learned(fleet)
    sender, receiver = fleet.links[3], fleet.links[4]
    both = {sender: capped(0.25), receiver: capped(0.25, "receive")}
    late = without(fleet.window(both), sender)
    state, early = fold(state, [late, replace(late, time=late.time + 2 * WINDOW)])

    state, lines = judge(state, fleet.window(both))

    assert early == []
    assert [f.node for f in lines] == [sender.node]


def test_a_link_that_was_blamed_too_early_is_let_go() -> None:
    """At first only the sender shows; then the receiver does, and is to blame."""
    fleet = Fleet()
    state = learned(fleet)
    sender, receiver = fleet.links[3], fleet.links[4]
    slowed = {**capped(0.25), "queue_occupied_ratio": 0.0}
    state, early = judge(state, fleet.window({sender: slowed}))

    both = {sender: slowed, receiver: capped(0.25, "receive")}
    _, lines = fold(state, (fleet.window(both) for _ in range(CLEAR_WINDOWS)))

    assert [f.node for f in early] == [sender.node]
    assert [(f.node, f.state) for f in lines] == [
        (receiver.node, "firing"),
        (sender.node, "resolved"),
    ]


def test_two_faults_in_one_group_are_both_named() -> None:
    fleet = Fleet()
    state = learned(fleet)
    bad = {fleet.links[1]: capped(0.25), fleet.links[5]: capped(0.25)}

    _, lines = judge(state, fleet.window(bad))

    assert {f.node for f in lines} == {"n01", "n05"}


def test_a_pause_of_the_whole_job_is_no_fault() -> None:
    fleet = Fleet()
    state = learned(fleet)

    pause = dict.fromkeys(fleet.links, capped(1e-4) | capped(1e-4, "receive"))

    state, lines = fold(state, (fleet.window(pause) for _ in range(9)))

    assert lines == []
    assert set(state.picture.silence) == {Silence.IDLE}


def test_a_link_that_left_the_job_is_idle_and_not_degraded() -> None:
    fleet = Fleet()
    state = learned(fleet)
    left = fleet.links[2]
    idle = capped(1e-5) | capped(1e-5, "receive") | {"queue_occupied_ratio": 0.0}

    state, lines = fold(state, (fleet.window({left: idle}) for _ in range(9)))

    assert lines == []
    assert state.picture.silence[2] == Silence.IDLE


def test_a_fault_that_was_there_from_the_start_does_not_become_normal() -> None:
    fleet = Fleet()
    bad = fleet.links[3]

    _, lines = fold(empty_state(), (fleet.window({bad: capped(0.25)}) for _ in range(WARM)))

    assert [(f.node, f.state) for f in lines] == [(bad.node, "firing")]


def test_a_fault_that_lasts_for_hours_does_not_become_normal() -> None:
    fleet = Fleet()
    state = learned(fleet)
    bad = fleet.links[3]

    _, lines = fold(state, (fleet.window({bad: capped(0.5)}) for _ in range(1000)))

    assert [(f.node, f.state) for f in lines] == [(bad.node, "firing")]


def test_a_stable_offset_of_a_link_is_learned() -> None:
    fleet = Fleet()
    other = fleet.links[3]

    _, lines = fold(empty_state(), (fleet.window({other: capped(0.9)}) for _ in range(100)))

    assert lines == []


def test_lost_packets_are_named_as_loss() -> None:
    fleet = Fleet()
    state = learned(fleet)
    bad = fleet.links[3]

    _, lines = fold(
        state, (fleet.window({bad: {"faults_total_retransmit": 400.0}}) for _ in range(3))
    )

    assert [(f.node, f.cause) for f in lines] == [(bad.node, "loss")]


def test_a_link_down_is_a_finding_at_once_and_over_when_it_is_up() -> None:
    fleet = Fleet()
    state = learned(fleet)
    bad = fleet.links[3]

    state, down = judge(state, fleet.window({bad: {"up": 0.0}}))
    verdict_down = verdict(state, bad)
    state, up = judge(state, fleet.window())

    assert [(f.kind, f.node, f.cause) for f in down] == [("link_down", bad.node, "down")]
    assert verdict_down is Verdict.DOWN
    assert [(f.id, f.state) for f in up] == [(down[0].id, "resolved")]


def test_what_others_suffer_in_an_outage_is_not_held_against_them() -> None:
    """Its neighbour resends what the dead link does not take, and receives less for a while."""
    fleet = Fleet()
    state = learned(fleet)
    dead, neighbour = fleet.links[3], fleet.links[2]
    suffering = {**capped(0.25, "receive"), "faults_total_retransmit": 400.0}

    state, during = judge(state, fleet.window({dead: {"up": 0.0}, neighbour: suffering}))
    _, after = judge(state, fleet.window({neighbour: suffering}))

    assert [(f.node, f.kind) for f in during] == [(dead.node, "link_down")]
    assert [(f.node, f.state) for f in after] == [(dead.node, "resolved")]


def test_a_link_that_the_administrator_took_down_is_no_fault() -> None:
    fleet = Fleet()
    state = learned(fleet)

    _, lines = judge(state, fleet.window({fleet.links[3]: {"up": 0.0, "admin_up": 0.0}}))

    assert lines == []


def test_a_missing_device_is_down() -> None:
    fleet = Fleet()
    state = learned(fleet)

    _, lines = judge(state, fleet.window({fleet.links[3]: {"present": 0.0, "up": 0.0}}))

    assert [f.kind for f in lines] == ["link_down"]


def test_three_downs_in_ten_minutes_are_flapping() -> None:
    fleet = Fleet()
    state = learned(fleet)
    bad = fleet.links[3]
    flap = {bad: {"faults_total_link_downed": 1.0}}

    state, first = fold(state, [fleet.window(flap), fleet.window(), fleet.window(flap)])
    state, third = judge(state, fleet.window(flap))
    state, later = fold(state, fleet.windows(130))

    assert first == []
    assert [(f.kind, f.cause) for f in third] == [("link_degraded", "flapping")]
    assert [f.state for f in later] == ["resolved"]


def test_downs_that_were_counted_before_the_first_round_are_no_flapping() -> None:
    fleet = Fleet()
    fleet.values[3, POSITION["faults_total_link_downed"]] = 50.0

    _, lines = fold(empty_state(), fleet.windows(WARM))

    assert lines == []


def test_a_link_slower_than_its_rail_is_degraded_for_its_speed() -> None:
    fleet = Fleet()
    state = learned(fleet)
    bad = fleet.links[3]

    _, lines = judge(state, fleet.window({bad: {"speed_bytes_per_second": 25e9}}))

    assert [(f.node, f.cause) for f in lines] == [(bad.node, "speed")]
    assert lines[0].evidence[0].expected == 50e9


def test_a_scrape_gap_leaves_the_verdict_unknown_and_the_alarm_standing() -> None:
    fleet = Fleet()
    state = learned(fleet)
    bad = fleet.links[3]
    state, _ = judge(state, fleet.window({bad: capped(0.25)}))

    for _ in range(20):
        state, lines = judge(state, without(fleet.window(), bad))
        assert lines == []

    assert verdict(state, bad) is Verdict.UNKNOWN
    assert bool(state.status.degraded[3])


def test_an_alarm_without_news_ends_after_a_quarter_of_an_hour() -> None:
    fleet = Fleet()
    state = learned(fleet)
    bad = fleet.links[3]
    state, _ = judge(state, fleet.window({bad: capped(0.25)}))
    gone = int(HOLD_SECONDS / WINDOW) + 2

    state, lines = fold(state, (without(fleet.window(), bad) for _ in range(gone)))

    assert [(f.node, f.state) for f in lines] == [(bad.node, "resolved")]


def test_a_link_down_holds_while_its_agent_is_silent() -> None:
    fleet = Fleet()
    state = learned(fleet)
    bad = fleet.links[3]
    state, _ = judge(state, fleet.window({bad: {"up": 0.0}}))

    state, lines = fold(state, (without(fleet.window(), bad) for _ in range(20)))

    assert lines == []
    assert verdict(state, bad) is Verdict.UNKNOWN


def test_three_links_are_too_few_to_blame_one() -> None:
    """Without peers a link may look suspect against its own past, and no more."""
    fleet = Fleet(nodes=3)
    state = learned(fleet)
    bad = fleet.links[1]

    state, lines = fold(state, (fleet.window({bad: capped(0.25)}) for _ in range(9)))

    assert lines == []
    assert verdict(state, bad) is Verdict.SUSPECT


def test_a_new_job_is_learned_anew() -> None:
    fleet = Fleet()
    state = learned(fleet)
    fleet.job_id = "78"

    state, lines = fold(state, fleet.windows(2))

    assert lines == []
    assert set(state.picture.silence) == {Silence.LEARNING}


def test_a_repeated_window_is_not_judged_twice() -> None:
    fleet = Fleet()
    state = learned(fleet)
    state, _ = judge(state, fleet.window({fleet.links[3]: capped(0.75)}))
    pressure = state.status.pressure[3]

    state, lines = judge(state, fleet.frame())

    assert lines == []
    assert state.status.pressure[3] == pressure > 0


def test_a_counter_reset_is_unknown_and_no_burst_of_faults() -> None:
    fleet = Fleet()
    fleet.values[:, POSITION["faults_total_retransmit"]] = 1e9
    state = learned(fleet)
    fleet.values[3, POSITION["faults_total_retransmit"]] = 0.0
    fleet.values[3, POSITION["transmit_bytes_total"]] = 0.0

    _, lines = fold(state, fleet.windows(5))

    assert lines == []


def test_links_may_come_and_go_without_touching_the_others() -> None:
    fleet = Fleet(nodes=9)
    newcomer = fleet.links[0]
    state, _ = fold(empty_state(), (without(f, newcomer) for f in fleet.windows(WARM)))
    bad = fleet.links[4]

    state, lines = judge(state, fleet.window({bad: capped(0.25)}))

    assert [f.node for f in lines] == [bad.node]
    assert verdict(state, newcomer) is Verdict.UNKNOWN


def test_the_inputs_of_a_round_are_left_alone() -> None:
    fleet = Fleet()
    state = learned(fleet)
    frame = fleet.window({fleet.links[3]: capped(0.25)})
    before = (frame.values.copy(), state.status.pressure.copy(), state.baseline.usual.copy())

    judge(state, frame)
    _, again = judge(state, frame)

    assert np.array_equal(frame.values, before[0], equal_nan=True)
    assert np.array_equal(state.status.pressure, before[1])
    assert np.array_equal(state.baseline.usual, before[2])
    assert [f.node for f in again] == ["n03"]


def test_the_onset_lies_before_the_finding_and_after_the_last_healthy_window() -> None:
    fleet = Fleet()
    state = learned(fleet)

    state, lines = judge(state, fleet.window({fleet.links[3]: capped(0.25)}))

    assert lines[0].onset == START + (fleet.number - 1) * WINDOW
    assert lines[0].time == fleet.now


def test_a_frame_without_any_link_is_no_news() -> None:
    fleet = Fleet()
    state = learned(fleet)
    frame = without(fleet.window(), *fleet.links)

    state, lines = judge(state, replace(frame, missed=("n00",)))

    assert lines == []
    assert len(state.links) == 8
