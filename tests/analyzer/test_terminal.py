# SPDX-License-Identifier: Apache-2.0
import dataclasses
import io
import unicodedata
from typing import Any

import pytest
from rich.console import Console, Group
from rich.text import Text

from analyzer.pictures import finding, fleet, link, status
from railwatch_analyzer.frame import Link
from railwatch_analyzer.state import empty_state
from railwatch_analyzer.terminal.layout import Size, draw
from railwatch_analyzer.terminal.picture import PictureError, picture_of
from railwatch_analyzer.terminal.wording import compared, line, of_line_rate, quantity, rate
from railwatch_analyzer.view import links_view


def _capped() -> list[dict[str, Any]]:
    links = fleet()
    links[21] |= {"verdict": "degraded", "score": 3.3, "transmit_max_bytes_per_second": 16e9}
    return links


def _shown(
    answer: dict[str, Any], findings: list[dict[str, Any]], width: int = 80, height: int = 24
) -> str:
    return _text(draw(picture_of(answer, findings), Size(width, height)), width)


def _text(lines: list[Text], width: int) -> str:
    console = Console(
        record=True, width=width, file=io.StringIO(), markup=False, emoji=False, highlight=False
    )
    console.print(Group(*lines))
    return "\n".join(row.rstrip() for row in console.export_text().splitlines())


def test_a_degraded_link_is_shown_with_its_node_first_and_its_evidence() -> None:
    shown = _shown(status(_capped()), [finding()], height=40)

    assert (
        shown
        == """\
railwatch   14:03:25 UTC   12 nodes seen   trained
✖ 0 down   ▲ 1 degraded   ◆ 0 suspect   ● 23 normal   · 0 unknown

node    0 1
node10  ● ▲
node0   ● ●
node1   ● ●
node2   ● ●
node3   ● ●
node4   ● ●
node5   ● ●
node6   ● ●
node7   ● ●
node8   ● ●
node9   ● ●
node11  ● ●

▲ node10 rail 1 (mlx5_1)   degraded   score 3.3   job1
  cause     bandwidth, since 14:03:10
  transmit  128 of 400 Gbit/s        ██████░░░░░░░░░░░░░░
  receive   360 of 400 Gbit/s        ██████████████████░░
  evidence           observed → expected
    transmit bursts  125 → 360 Gbit/s
    queue occupied   66 % → 12 %
  or else   node11 rail 1 (mlx5_1) 49 %"""
    )


def test_a_wide_terminal_has_the_worst_links_beside_the_matrix() -> None:
    shown = _shown(status(_capped()), [finding()], width=120).splitlines()

    assert shown[3] == "node    0 1     ▲ node10 rail 1 (mlx5_1)   degraded   score 3.3   job1"


def test_nodes_that_do_not_fit_are_counted_and_called_normal() -> None:
    shown = _shown(status(fleet(nodes=500)), []).splitlines()

    assert len(shown) <= 24
    drawn = sum(row.count("node") for row in shown if "●" in row and "normal" not in row)
    assert f"and {500 - drawn} more nodes, all normal" in shown


def test_nodes_that_do_not_fit_are_not_called_normal_if_they_are_not() -> None:
    links = [link(f"node{number}", verdict="suspect") for number in range(500)]

    assert "of them abnormal" in _shown(status(links), [])


def test_every_verdict_reads_without_colour() -> None:
    names = ("unknown", "normal", "suspect", "degraded", "down")
    links = [link("a", str(rail), verdict=name) for rail, name in enumerate(names)] + fleet()

    row = next(row for row in _shown(status(links), []).splitlines() if row.startswith("a "))

    assert row.split()[:6] == ["a", "·", "●", "◆", "▲", "✖"]


def test_few_links_have_a_line_each_with_their_rates() -> None:
    links = [link("host", "0", note="no peers (fewer than 4 links to compare), idle")]
    links += [link("host", "1", verdict="unknown", score=None, speed_bytes_per_second=None)]

    shown = _shown(status(links), []).splitlines()

    assert shown[3:7] == [
        "  link                  verdict        transmit peak  receive peak  line rate",
        "● host rail 0 (mlx5_0)  normal 0.1     360 Gbit/s     360 Gbit/s    400 Gbit/s",
        "  no peers (fewer than 4 links to compare), idle",
        "· host rail 1 (mlx5_1)  unknown        360 Gbit/s     360 Gbit/s    unknown",
    ]


def test_what_cannot_be_known_yet_is_said() -> None:
    note = "learning, 40 s of traffic to go"
    links = [
        one | {"verdict": "unknown", "note": note, "learning_seconds": 40.0} for one in fleet()
    ]

    shown = _shown(status(links, trained=False), [])

    assert "learning, 40 s to go" in shown.splitlines()[0]
    assert "24 links: learning, 40 s of traffic to go" in shown


def test_the_real_view_of_a_new_fleet_can_be_read() -> None:
    links = tuple(Link(f"node{number}", "0", "mlx5_0") for number in range(9))

    picture = picture_of(status(links_view(empty_state(links), 5.0), trained=False), [])

    assert {one.learning_seconds for one in picture.links} == {40.0}
    assert "no data" in _text(draw(picture, Size(80, 24)), 80)


def test_an_empty_fleet_says_so() -> None:
    shown = _shown(status([], rounds=0, time=0.0, trained=False), [])

    assert "no links are known yet" in shown
    assert "no round yet" in shown


def test_a_failed_round_and_missed_nodes_are_said() -> None:
    shown = _shown(status(fleet(), complaint="no agent answers", nodes_missed=3), [])

    assert "the last round failed: no agent answers" in shown
    assert "12 nodes seen, 3 missed" in shown


def test_hostile_names_are_shown_and_do_nothing() -> None:
    name = "[red]x\x1b[2J\r\n\u202e[/red]"
    links = [link(name), *fleet()]
    answer = status(links, complaint=name)

    for width in (80, 120):
        shown = _shown(answer, [finding(name, cause=name, job_id=name)], width=width, height=60)
        assert "[red]x\ufffd[2J\ufffd\ufffd\ufffd[/red]" in shown
        assert {char for char in shown if unicodedata.category(char) in {"Cc", "Cf"}} == {"\n"}


def test_an_endless_name_costs_one_line() -> None:
    shown = _shown(status([link("x" * 10_000), *fleet()]), [])

    assert max(map(len, shown.splitlines())) <= 80


@pytest.mark.parametrize("size", [(20, 3), (40, 8), (80, 24), (100, 10), (300, 100)])
def test_no_size_is_overdrawn(size: tuple[int, int]) -> None:
    findings = [finding(f"node{number}") for number in range(12)]

    drawn = draw(picture_of(status(_capped()), findings), Size(*size))

    assert len(drawn) <= size[1]
    assert max(row.cell_len for row in drawn) <= size[0]


def test_a_low_terminal_mentions_every_finding_on_a_line() -> None:
    findings = [finding(f"node{number}") for number in range(4)]

    shown = _shown(status(_capped()), findings)

    for number in range(4):
        assert f"▲ node{number} rail 1 (mlx5_1) degraded, bandwidth" in shown


def test_a_resolved_finding_is_told_as_past() -> None:
    shown = _shown(status(fleet()), [finding(state="resolved")])

    assert "14:03:25  node10 rail 1 (mlx5_1) no longer degraded" in shown
    assert "no link stands out" in shown


def test_a_round_is_one_line() -> None:
    down = finding("node3", "0", kind="link_down", cause="down", score=1.0, evidence=[])
    picture = picture_of(status(_capped()), [finding(), down])

    assert line(picture) == (
        "14:03:25  12 nodes seen  1 degraded, 23 normal  trained  worst: node3 rail 0 (mlx5_0) down"
    )
    without = dataclasses.replace(picture, findings=picture.findings[:1])
    assert line(without).endswith("degraded, bandwidth, transmit bursts 125 → 360 Gbit/s")


@pytest.mark.parametrize(
    ("answer", "findings"),
    [
        ([], []),
        ({}, []),
        (status([link(verdict="fine")]), []),
        (status([]) | {"links": ["link"]}, []),
        (status([], time="now"), []),
        (status([], time=True), []),
        (status([]), {}),
        (status([]), [{}]),
    ],
)
def test_what_no_analyzer_answers_is_refused(answer: object, findings: object) -> None:
    with pytest.raises(PictureError):
        picture_of(answer, findings)


def test_rates_are_in_bits_with_three_digits() -> None:
    shown = [rate(value) for value in (None, 0.0, 124.9, 125.0, 1.2345e6, 124.99e6, 50e9, 1e12)]

    assert shown == [
        "unknown",
        "0 bit/s",
        "999 bit/s",
        "1.00 kbit/s",
        "9.88 Mbit/s",
        "1.00 Gbit/s",
        "400 Gbit/s",
        "8000 Gbit/s",
    ]


def test_units_are_said_once_where_they_are_the_same() -> None:
    assert of_line_rate(25e9, 50e9) == "200 of 400 Gbit/s"
    assert of_line_rate(25e6, 50e9) == "200 Mbit/s of 400 Gbit/s"
    assert of_line_rate(25e9, None) == "200 Gbit/s of unknown"
    assert of_line_rate(None, None) == "unknown"
    assert compared(0.66, 0.1, "ratio", between=" → ") == "66 % → 10 %"
    assert compared(0.0, 1.0, "state", between=" → ") == "down → up"
    assert compared(None, 1e9, "bytes_per_second", between=" → ") == "unknown → 8.00 Gbit/s"
    assert quantity(123.4, "events_per_second") == "123/s"


def test_jobs_are_a_line_each_and_those_in_trouble_come_first() -> None:
    well = {"job_id": "41", "nodes": ["a"], "step_seconds": 0.4, "stragglers": []}
    bad = {
        "job_id": "77",
        "nodes": ["b", "c"],
        "step_seconds": 0.52,
        "exposed_communication_ratio": 0.27,
        "communication_bound": True,
        "slowdown_ratio": 1.3,
        "cause": "straggler",
        "stragglers": [{"node": "c", "kind": "compute"}],
    }
    slow = finding(kind="step_slowdown", node="", rail="", device="")

    picture = picture_of(status(fleet()), [slow], {"jobs": [well, bad]})

    shown = [
        line for line in _text(draw(picture, Size(120, 30)), 120).splitlines() if "job" in line
    ]
    assert shown[0].strip().startswith("job 77  2 nodes  step 0.52 s (1.30 times the usual), 27 %")
    assert shown[0].strip().endswith("communication-bound: straggler, waits for c (compute)")
    assert shown[1].strip() == "job 41  1 node  step 0.4 s"
    assert "job 77: straggler" in line(picture)
    assert picture.findings == ()
