# SPDX-License-Identifier: Apache-2.0
"""The live picture as JSON: every link, and in words why one is not judged."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import orjson
import pytest

from analyzer.fleet import SPEED, WINDOW, Fleet, capped, without
from analyzer.stories import fold, learned
from railwatch_analyzer.baseline import WARM_UP
from railwatch_analyzer.round import judge
from railwatch_analyzer.state import empty_state
from railwatch_analyzer.view import links_view

if TYPE_CHECKING:
    from railwatch_analyzer.frame import Link
    from railwatch_analyzer.state import State

_IDLE = capped(1e-5) | capped(1e-5, "receive")


def _shown(state: State, link: Link) -> dict[str, Any]:
    shown = links_view(state, WINDOW)[state.links.index(link)]
    assert (shown["node"], shown["rail"], shown["device"]) == (link.node, link.rail, link.device)
    return shown


def test_a_judged_link_is_shown_with_its_peaks_and_nothing_to_add() -> None:
    fleet = Fleet()
    bad = fleet.links[3]
    state, _ = judge(learned(fleet), fleet.window({bad: capped(0.25)}))

    shown = _shown(state, bad)

    assert shown == {
        "node": bad.node,
        "rail": "0",
        "device": "mlx5_0",
        "job_id": "77",
        "verdict": "degraded",
        "score": pytest.approx(state.status.score[3]),
        "transmit_max_bytes_per_second": pytest.approx(10.2e9),
        "receive_max_bytes_per_second": pytest.approx(42e9, rel=0.05),
        "speed_bytes_per_second": SPEED,
        "learning_seconds": 0.0,
        "note": "",
    }
    assert _shown(state, fleet.links[0])["verdict"] == "normal"


def test_what_is_unknown_is_null_and_the_whole_is_json() -> None:
    fleet = Fleet()
    frame = fleet.window()
    frame.values[:] = float("nan")
    frame.values[:, 0] = 1.0
    state, _ = judge(empty_state(), frame)

    answered = links_view(state, WINDOW)

    assert orjson.loads(orjson.dumps(answered)) == answered
    assert len(answered) == 8
    for name in ("score", "transmit_max_bytes_per_second", "speed_bytes_per_second"):
        assert {link[name] for link in answered} == {None}
    assert {link["verdict"] for link in answered} == {"unknown"}
    assert all("no window yet" in link["note"] for link in answered)


def test_learning_counts_down_in_seconds_of_traffic() -> None:
    fleet = Fleet()
    state = empty_state()
    left = []
    for frame in fleet.windows(WARM_UP + 2):
        state, _ = judge(state, frame)
        left.append(_shown(state, fleet.links[0])["learning_seconds"])

    assert left[0] > left[1] > 0
    assert left == sorted(left, reverse=True)
    assert left[-1] == 0.0


def test_learning_is_said_in_words() -> None:
    fleet = Fleet()
    state, _ = fold(empty_state(), fleet.windows(3))

    shown = _shown(state, fleet.links[0])

    assert shown["note"] == f"learning, {shown['learning_seconds']:.0f} s of traffic to go"


def test_the_note_says_why_a_link_is_not_judged() -> None:
    fleet = Fleet()
    state = learned(fleet)
    idle, gone = fleet.links[2], fleet.links[5]
    other = fleet.links[4]
    fifth = dict.fromkeys(("transmit_bytes_total", "receive_bytes_total"), -80e9)
    frame = fleet.window({idle: _IDLE, other: fifth})
    state, _ = judge(state, without(frame, gone))
    state, _ = judge(state, without(replace(frame, time=frame.time + WINDOW / 2), gone))

    notes = {link.node: _shown(state, link)["note"] for link in fleet.links}
    assert notes[idle.node] == "idle"
    assert notes[other.node] == "does other work than its peers"
    assert notes[gone.node] == "no data"
    assert notes["n00"] == ""


def test_a_link_without_peers_says_so_beside_what_else_there_is_to_say() -> None:
    fleet = Fleet(nodes=3)
    state, _ = fold(empty_state(), fleet.windows(3))

    note = _shown(state, fleet.links[0])["note"]

    assert note.startswith("no peers (fewer than 4 links to compare), learning, ")
