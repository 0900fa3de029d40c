# SPDX-License-Identifier: Apache-2.0
"""The life of a finding: a line when it begins, when its cause changes, and when it ends."""

from __future__ import annotations

from dataclasses import replace

import orjson

from analyzer.fleet import Fleet, capped
from analyzer.stories import fold, learned
from railwatch_analyzer.causes import Cause
from railwatch_analyzer.findings import (
    Accusation,
    Candidate,
    Claim,
    Evidence,
    Finding,
    FindingKind,
    FindingState,
    Key,
    follow,
)
from railwatch_analyzer.frame import Link
from railwatch_analyzer.round import judge

_LINK = Link("n03", "0", "mlx5_0")
_BANDWIDTH = Accusation(
    cause=Cause.BANDWIDTH,
    score=6.5,
    candidates=(Candidate("n03", "0", "mlx5_0", 0.6), Candidate("n04", "0", "mlx5_0", 0.4)),
    evidence=(Evidence("queue_occupied_ratio", 0.8, 0.15, "ratio"),),
)
_CLAIM = Claim(_LINK, FindingKind.LINK_DEGRADED, 90.0, "77", _BANDWIDTH)
_OF_THE_CONTRACT = (
    "id time onset kind state node rail device job_id cause score candidates evidence"
)


def _told(
    *rounds: list[Claim], standing: dict[Key, Finding] | None = None, start: float = 100.0
) -> tuple[dict[Key, Finding], list[list[Finding]]]:
    standing, told = standing or {}, []
    for number, claims in enumerate(rounds):
        standing, lines = follow(standing, claims, start + number)
        told.append(lines)
    return standing, told


def test_a_finding_begins_with_all_that_is_held_against_the_link() -> None:
    standing, [[line]] = _told([_CLAIM])

    assert list(standing.values()) == [line]
    assert orjson.loads(orjson.dumps(line.as_json())) == {
        "id": line.id,
        "time": 100.0,
        "onset": 90.0,
        "kind": "link_degraded",
        "state": "firing",
        "node": "n03",
        "rail": "0",
        "device": "mlx5_0",
        "job_id": "77",
        "cause": "bandwidth",
        "score": 6.5,
        "candidates": [
            {"node": "n03", "rail": "0", "device": "mlx5_0", "weight": 0.6},
            {"node": "n04", "rail": "0", "device": "mlx5_0", "weight": 0.4},
        ],
        "evidence": [
            {
                "feature": "queue_occupied_ratio",
                "observed": 0.8,
                "expected": 0.15,
                "unit": "ratio",
            }
        ],
    }
    assert " ".join(line.as_json()) == _OF_THE_CONTRACT


def test_what_only_goes_on_is_no_line_and_keeps_its_evidence_fresh() -> None:
    worse = replace(_CLAIM, onset=95.0, accusation=replace(_BANDWIDTH, score=9.0, evidence=()))

    standing, told = _told([_CLAIM], [_CLAIM], [worse])

    assert [len(lines) for lines in told] == [1, 0, 0]
    [finding] = standing.values()
    assert (finding.id, finding.onset) == (told[0][0].id, 90.0)
    assert (finding.score, finding.evidence, finding.time) == (9.0, (), 102.0)


def test_a_change_of_cause_is_a_line_of_the_same_finding() -> None:
    lossy = replace(_CLAIM, accusation=replace(_BANDWIDTH, cause=Cause.LOSS))

    _, told = _told([_CLAIM], [lossy], [lossy])

    assert [[line.cause for line in lines] for lines in told] == [["bandwidth"], ["loss"], []]
    assert told[1][0].id == told[0][0].id


def test_a_finding_ends_with_the_last_that_was_said_of_it() -> None:
    standing, told = _told([_CLAIM], [])

    assert standing == {}
    assert told[1] == [replace(told[0][0], time=101.0, state=FindingState.RESOLVED)]


def test_after_it_ended_the_next_is_another_even_with_the_same_onset() -> None:
    """A link that was down in between is still degraded since the same moment."""
    _, told = _told([_CLAIM], [], [_CLAIM])

    assert told[2][0].id != told[0][0].id


def test_links_and_kinds_have_findings_of_their_own() -> None:
    others = [
        replace(_CLAIM, link=replace(_LINK, node="n04")),
        replace(_CLAIM, link=replace(_LINK, rail="1")),
        replace(_CLAIM, link=replace(_LINK, device="mlx5_1")),
        replace(_CLAIM, kind=FindingKind.LINK_DOWN),
    ]

    standing, [first, then] = _told([_CLAIM, *others], [_CLAIM])

    assert len({line.id for line in first}) == 5
    assert [f.id for f in standing.values()] == [first[0].id]
    assert {line.id for line in then} == {line.id for line in first[1:]}


def test_two_analyzers_that_see_the_same_say_the_same() -> None:
    assert _told([_CLAIM])[1] == _told([_CLAIM])[1]


def test_no_identity_fires_again_when_a_degraded_link_goes_down_and_comes_back() -> None:
    fleet = Fleet()
    state = learned(fleet)
    bad = fleet.links[3]

    _, lines = fold(
        state,
        [
            fleet.window({bad: capped(0.25)}),
            fleet.window({bad: {"up": 0.0}}),
            fleet.window({bad: capped(0.25)}),
        ],
    )

    assert [(f.kind, f.state) for f in lines] == [
        ("link_degraded", "firing"),
        ("link_down", "firing"),
        ("link_degraded", "resolved"),
        ("link_degraded", "firing"),
        ("link_down", "resolved"),
    ]
    begun = [f.id for f in lines if f.state == "firing"]
    assert len(set(begun)) == 3


def test_a_flapping_link_that_is_also_slow_is_one_finding_whose_cause_changes() -> None:
    fleet = Fleet()
    state = learned(fleet)
    bad = fleet.links[3]
    state, [slow] = judge(state, fleet.window({bad: capped(0.25)}))

    _, lines = judge(state, fleet.window({bad: capped(0.25) | {"faults_total_link_downed": 3.0}}))

    assert [(f.id, f.cause, f.state) for f in lines] == [(slow.id, "flapping", "firing")]
