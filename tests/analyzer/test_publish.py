# SPDX-License-Identifier: Apache-2.0
"""What Prometheus reads of the analyzer: the exposition of a small fleet, word for word."""

from __future__ import annotations

import os
import re
import subprocess
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from analyzer.fleet import START, Fleet, capped, without
from analyzer.stories import fold, learned
from railwatch.catalogue.metric import MetricType
from railwatch.exposition import Reader, Renderer
from railwatch_analyzer.causes import Cause
from railwatch_analyzer.claims import claims_of
from railwatch_analyzer.detectors.shortfall import ShortfallDetector
from railwatch_analyzer.detectors.state import Rule, Ruling
from railwatch_analyzer.features import FEATURES
from railwatch_analyzer.findings import Accusation, Candidate, Evidence, follow
from railwatch_analyzer.publish import Meters, link_samples, self_samples
from railwatch_analyzer.round import judge
from railwatch_analyzer.state import State, empty_state
from railwatch_analyzer.verdicts import Status

_GOLDEN = Path(__file__).with_name("golden") / "analyzer_metrics.txt"
_METERS = Meters(
    rounds=720,
    round_errors=2,
    fetch_seconds=0.125,
    judge_seconds=0.015625,
    last_round=START + 0.5,
    seen=4,
    missed=1,
)
_BUILD = re.compile(r"(railwatch_analyzer_build_info)\{.*\}")


def _exposition(state: State, meters: Meters) -> str:
    return Renderer().render([*self_samples(state, meters), *link_samples(state)]).decode()


def _value(text: str, name: str, **labels: str) -> float | None:
    """The value of the one series of *name* with these *labels*, None if there is none."""
    found = [
        value
        for series, value in Reader().read(text)
        if series.name == name and labels.items() <= dict(series.labels).items()
    ]
    assert len(found) < 2
    return found[0] if found else None


def _four_links() -> State:
    """Degraded, down, normal and never judged; written by hand, so that no digit can differ."""
    links = Fleet(nodes=4).links
    state = empty_state(links)
    degraded, down = links[0], links[1]
    nan = np.nan
    status = Status(
        pressure=np.array([4.0, 0, 0, 0]),
        clear=np.array([0, 9, 9, 0]),
        degraded=np.array([True, True, False, False]),
        score=np.array([6.5, 1.25, 0.125, nan]),
        judged_at=np.array([START, START, START, nan]),
        onset=np.array([START - 5, START - 5, nan, nan]),
    )
    slow = Accusation(
        cause=Cause.BANDWIDTH,
        score=6.5,
        candidates=(Candidate(degraded.node, degraded.rail, degraded.device, 1.0),),
        evidence=(
            Evidence("transmit_window_top_decile_bytes_per_second", 10e9, 40e9, "bytes_per_second"),
            Evidence("queue_occupied_ratio", 0.8125, 0.15625, "ratio"),
        ),
    )
    state = replace(
        state,
        job_id=("77", "77", "77", ""),
        roster=replace(state.roster, seen_at=np.full(4, START)),
        status=status,
        detector=ShortfallDetector.restored(np.zeros((1, len(FEATURES))), -8.0),
        time=START,
        ruled={down: Ruling(Rule.DOWN, "up", 0.0, 1.0, "state")},
        accused={degraded: slow, down: slow},
    )
    standing, _ = follow({}, claims_of(state), START)
    return replace(state, standing=standing)


def test_the_golden_exposition_is_what_prometheus_reads() -> None:
    """Rewritten with RAILWATCH_GOLDEN=1; review it as a diff."""
    text = _BUILD.sub(r'\1{version="X",python_version="Y"}', _exposition(_four_links(), _METERS))

    if os.environ.get("RAILWATCH_GOLDEN") == "1":
        _GOLDEN.parent.mkdir(exist_ok=True)
        _GOLDEN.write_text(text, encoding="utf-8")
    assert text == _GOLDEN.read_text(encoding="utf-8")


@pytest.mark.parametrize("trouble", [False, True], ids=["from the start", "in trouble"])
def test_promtool_finds_nothing_to_say(*, trouble: bool) -> None:
    state, meters = (_four_links(), _METERS) if trouble else (empty_state(), Meters())

    found = subprocess.run(
        ["promtool", "check", "metrics"],
        input=_exposition(state, meters).encode(),
        capture_output=True,
        check=False,
    )

    assert (found.returncode, found.stdout, found.stderr) == (0, b"", b"")


def test_every_counter_is_there_at_zero_before_the_first_round() -> None:
    samples = list(self_samples(empty_state(), Meters()))

    counters = {s.spec.name: s.value for s in samples if s.spec.type is MetricType.COUNTER}
    assert counters == {
        "railwatch_analyzer_rounds_total": 0,
        "railwatch_analyzer_round_errors_total": 0,
        "railwatch_analyzer_state_save_errors_total": 0,
    }
    text = _exposition(empty_state(), Meters())
    assert _value(text, "railwatch_analyzer_links", verdict="degraded") == 0
    assert _value(text, "railwatch_analyzer_last_round_timestamp_seconds") is None


def test_a_degraded_link_that_goes_down_is_down_and_no_longer_degraded() -> None:
    """One alert is enough for one fault; when it is up again the other stands again."""
    fleet = Fleet()
    bad = fleet.links[3]
    state, _ = judge(learned(fleet), fleet.window({bad: capped(0.25)}))
    steps = []
    for cells in (capped(0.25), {"up": 0.0}, capped(0.25)):
        state, _ = judge(state, fleet.window({bad: cells}))
        text = _exposition(state, _METERS)
        steps.append(
            (
                _value(text, "railwatch_link_degraded", node=bad.node),
                _value(text, "railwatch_link_verdict", node=bad.node),
                _value(text, "railwatch_link_cause_info", node=bad.node, cause="down"),
            )
        )

    assert steps == [(1, 3, None), (0, 4, 1), (1, 3, None)]


def test_degraded_holds_while_the_verdict_is_unknown() -> None:
    fleet = Fleet()
    bad = fleet.links[3]
    state, _ = judge(learned(fleet), fleet.window({bad: capped(0.25)}))

    state, _ = fold(state, (without(fleet.window(), bad) for _ in range(20)))

    text = _exposition(state, _METERS)
    assert _value(text, "railwatch_link_degraded", node=bad.node) == 1
    assert _value(text, "railwatch_link_verdict", node=bad.node) == 0


def test_only_links_with_a_finding_have_a_cause_and_evidence() -> None:
    fleet = Fleet()
    bad = fleet.links[3]
    state, _ = judge(learned(fleet), fleet.window({bad: capped(0.25)}))

    series = [s for s, _ in Reader().read(_exposition(state, _METERS))]

    accused = [
        s for s in series if s.name in ("railwatch_link_cause_info", "railwatch_link_evidence")
    ]
    assert {dict(s.labels)["node"] for s in accused} == {bad.node}
    evidence = [s.labels for s in accused if s.name == "railwatch_link_evidence"]
    assert 2 <= len(evidence) == len(set(evidence)) <= 10
