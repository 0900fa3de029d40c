# SPDX-License-Identifier: Apache-2.0
"""The analyzer as a service: what a failing round costs, what is kept, and what is answered."""

from __future__ import annotations

import logging
import threading
import urllib.error
import urllib.request
from contextlib import closing
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import orjson
import pytest

from analyzer.fleet import START, WINDOW, Fleet, capped
from analyzer.stories import learned
from railwatch.exposition import Reader
from railwatch.web import Request, Server
from railwatch_analyzer.service import Analyzer
from railwatch_analyzer.sources.errors import SourceError
from railwatch_analyzer.state import State, empty_state
from railwatch_analyzer.store import load

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from railwatch_analyzer.frame import Frame

_DOWN = SourceError("http://prometheus:9090: connection refused")


@dataclass
class _Clock:
    """Time that passes only when somebody waits, or when a test says so."""

    now: float = 0.0
    waits: list[float] = field(default_factory=list)

    def monotonic(self) -> float:
        return self.now

    def wall(self) -> float:
        return START + self.now

    def wait(self, event: threading.Event, seconds: float) -> bool:
        self.waits.append(seconds)
        self.now += seconds
        return event.is_set()


@dataclass
class _Source:
    """Answers with what was put into it, and then sets `stop`; each answer may take a time."""

    clock: _Clock
    answers: list[Frame | Exception] = field(default_factory=list)
    seconds: list[float] = field(default_factory=list)
    stop: threading.Event = field(default_factory=threading.Event)
    asked_at: list[float] = field(default_factory=list)

    def fetch(self) -> Frame:
        self.asked_at.append(self.clock.now)
        if self.seconds:
            self.clock.now += self.seconds.pop(0)
        answer = self.answers.pop(0)
        if not self.answers:
            self.stop.set()
        if isinstance(answer, Exception):
            raise answer
        return answer

    def close(self) -> None:
        """Nothing is open."""


@dataclass
class _Bench:
    """An analyzer of a small fleet, whose rounds a test makes one by one."""

    fleet: Fleet
    clock: _Clock
    source: _Source
    analyzer: Analyzer

    def round(self, *answers: Frame | Exception) -> None:
        for answer in answers:
            self.source.answers.append(answer)
            self.analyzer.round()

    def get(self, path: str, **query: str) -> Any:
        response = self.analyzer.routes()[path](Request(query))
        return orjson.loads(response.body) if "json" in response.content_type else response

    def metric(self, name: str, **labels: str) -> float:
        text = self.get("/metrics").body.decode()
        found = [
            value
            for series, value in Reader().read(text)
            if series.name == f"railwatch_{name}" and labels.items() <= dict(series.labels).items()
        ]
        assert len(found) == 1, f"{name} {labels}"
        return found[0]


def _bench(
    fleet: Fleet | None = None, *, state: State | None = None, state_file: Path | None = None
) -> _Bench:
    """A bench; with a *fleet*, one that was learned already."""
    clock = _Clock()
    source = _Source(clock)
    if state is None:
        state = empty_state() if fleet is None else learned(fleet)
    analyzer = Analyzer(source, clock, interval_seconds=5.0, state=state, state_file=state_file)
    return _Bench(fleet or Fleet(), clock, source, analyzer)


def test_a_failing_source_keeps_the_last_verdicts_and_counts() -> None:
    fleet = Fleet()
    bench = _bench(fleet)
    bad = fleet.links[3]
    bench.round(fleet.window({bad: capped(0.25)}))

    bench.clock.now += 5.0
    bench.round(_DOWN, _DOWN)

    assert bench.metric("link_verdict", node=bad.node) == 3
    assert bench.metric("link_degraded", node=bad.node) == 1
    assert bench.metric("analyzer_rounds_total") == 1
    assert bench.metric("analyzer_round_errors_total") == 2
    assert bench.metric("analyzer_last_round_timestamp_seconds") == START, "its age shows"
    assert [f["node"] for f in bench.get("/api/v1/findings")] == [bad.node]
    assert bench.get("/api/v1/links")["complaint"] == str(_DOWN)


def test_a_complaint_is_logged_once_per_change(caplog: pytest.LogCaptureFixture) -> None:
    bench = _bench()
    other = SourceError("http://prometheus:9090: answered 500")

    with caplog.at_level(logging.WARNING):
        bench.round(_DOWN, _DOWN, _DOWN, other, other, bench.fleet.window(), other)

    said = [record.getMessage() for record in caplog.records]
    assert said == [f"round failed: {complaint}" for complaint in (_DOWN, other, other)]
    assert bench.metric("analyzer_round_errors_total") == 6


def test_a_complaint_is_over_with_the_next_good_round() -> None:
    bench = _bench()

    bench.round(_DOWN, bench.fleet.window())

    assert bench.get("/api/v1/links")["complaint"] == ""


def test_a_fault_of_ours_costs_one_round_and_one_traceback(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """A frame that no source should give (columns are missing), and a source that breaks."""
    fleet = Fleet()
    bench = _bench(fleet)
    broken = fleet.window()
    broken = replace(broken, values=broken.values[:, :3])

    bench.round(broken, broken, fleet.window({fleet.links[3]: capped(0.25)}), KeyError("rail"))

    assert bench.metric("analyzer_round_errors_total") == 3
    assert bench.metric("analyzer_rounds_total") == 1
    assert bench.metric("link_verdict", node="n03") == 3
    assert len([r for r in caplog.records if r.exc_info]) == 2


def test_each_change_of_a_finding_is_told_once(caplog: pytest.LogCaptureFixture) -> None:
    fleet = Fleet()
    bench = _bench(fleet)
    bad = fleet.links[3]

    with caplog.at_level(logging.INFO, logger="railwatch_analyzer.service"):
        bench.round(*(fleet.window({bad: {"up": 0.0}}) for _ in range(3)), fleet.window())

    said = [record.getMessage() for record in caplog.records]
    assert [line.partition(" id=")[0] for line in said] == [
        f"finding {state} kind=link_down node=n03 rail=0 device=mlx5_0 job_id=77 cause=down"
        for state in ("firing", "resolved")
    ]


def test_rounds_keep_their_cadence_and_an_overlong_one_is_not_caught_up_with() -> None:
    bench = _bench()
    bench.source.answers = list(bench.fleet.windows(6))
    bench.source.seconds = [0.5, 12.0, 0.5, 5.0, 0.5, 0.5]

    bench.analyzer.run(bench.source.stop)

    assert bench.source.asked_at == [0.0, 5.0, 20.0, 25.0, 35.0, 40.0]
    assert min(bench.clock.waits) > 0


def test_a_failing_source_is_asked_at_the_same_cadence() -> None:
    bench = _bench()
    bench.source.answers = [_DOWN, _DOWN, _DOWN]

    bench.analyzer.run(bench.source.stop)

    assert bench.source.asked_at == [0.0, 5.0, 10.0]


def test_what_a_round_took_is_told_by_phase() -> None:
    bench = _bench()
    bench.source.seconds = [2.5]

    bench.round(bench.fleet.window())

    assert bench.metric("analyzer_round_duration_seconds", phase="fetch") == 2.5
    assert bench.metric("analyzer_round_duration_seconds", phase="judge") == 0.0
    assert bench.metric("analyzer_targets", state="seen") == 8


def test_the_state_is_saved_each_round_and_a_new_analyzer_goes_on_from_it(tmp_path: Path) -> None:
    fleet = Fleet()
    path = tmp_path / "state.npz"
    first = _bench(fleet, state_file=path)
    first.round(fleet.window({fleet.links[3]: capped(0.25)}))
    [standing] = first.get("/api/v1/findings")

    state = load(path)
    assert state is not None
    second = _bench(state=state, state_file=path)
    begun = second.get("/api/v1/findings")
    second.round(fleet.window())

    assert begun == [standing]
    assert second.metric("analyzer_trained") == 1
    saved = load(path)
    assert saved is not None
    assert saved.time == fleet.now


def test_a_state_that_cannot_be_saved_is_counted_and_costs_nothing_else(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    fleet = Fleet()
    bench = _bench(fleet, state_file=tmp_path / "no such folder" / "state.npz")

    bench.round(fleet.window({fleet.links[3]: capped(0.25)}), *fleet.windows(2))

    assert bench.metric("analyzer_state_save_errors_total") == 3
    assert bench.metric("analyzer_rounds_total") == 3
    assert bench.metric("link_degraded", node="n03") == 1
    [complaint] = [r.getMessage() for r in caplog.records if r.levelno == logging.WARNING]
    assert "state.npz" in complaint
    assert "No such file or directory" in complaint


def test_findings_are_answered_firing_first_and_ended_ones_newest_first() -> None:
    fleet = Fleet()
    bench = _bench(fleet)
    down = {"up": 0.0}
    a, b, c = fleet.links[:3]
    bench.round(fleet.window({a: down, b: down}), fleet.window({b: down}), fleet.window({c: down}))

    found = bench.get("/api/v1/findings")
    firing = bench.get("/api/v1/findings", state="firing")
    resolved = bench.get("/api/v1/findings", state="resolved")

    assert [(f["node"], f["state"]) for f in found] == [
        ("n02", "firing"),
        ("n01", "resolved"),
        ("n00", "resolved"),
    ]
    assert firing == found[:1]
    assert resolved == found[1:]
    assert bench.get("/api/v1/findings", state="pending") == []


@pytest.fixture
def served() -> Iterator[tuple[_Bench, str]]:
    """An analyzer of a learned fleet behind a real server, before its first round."""
    bench = _bench(Fleet())
    server = Server("127.0.0.1:0", bench.analyzer.routes())
    server.start()
    with closing(server):
        yield bench, f"http://127.0.0.1:{server.port}"


_DIRECT = urllib.request.build_opener(urllib.request.ProxyHandler({}))


def _get(url: str) -> tuple[int, str, bytes]:
    try:
        with _DIRECT.open(url, timeout=5) as answer:
            return answer.status, answer.headers["Content-Type"], answer.read()
    except urllib.error.HTTPError as answer:
        with answer:
            return answer.code, answer.headers["Content-Type"], answer.read()


def test_it_is_healthy_at_once_and_ready_after_a_round_even_one_that_failed(
    served: tuple[_Bench, str],
) -> None:
    bench, url = served

    before = [_get(url + path)[0] for path in ("/-/healthy", "/-/ready")]
    bench.round(_DOWN)
    after = [_get(url + path)[0] for path in ("/-/healthy", "/-/ready")]

    assert before == [200, 503]
    assert after == [200, 200]


def test_what_is_served_is_what_the_last_round_left(served: tuple[_Bench, str]) -> None:
    bench, url = served
    fleet = bench.fleet
    bench.round(fleet.window({fleet.links[3]: capped(0.25), fleet.links[5]: {"up": 0.0}}))
    bench.round(fleet.window({fleet.links[3]: capped(0.25)}))

    status, kind, metrics = _get(f"{url}/metrics")
    _, json_kind, findings = _get(f"{url}/api/v1/findings")
    _, _, firing = _get(f"{url}/api/v1/findings?state=firing")
    _, _, links = _get(f"{url}/api/v1/links")

    assert (status, kind) == (200, "text/plain; version=0.0.4; charset=utf-8")
    assert b'railwatch_link_degraded{node="n03",rail="0",device="mlx5_0"} 1\n' in metrics
    assert json_kind == "application/json"
    assert [(f["node"], f["state"]) for f in orjson.loads(findings)] == [
        ("n03", "firing"),
        ("n05", "resolved"),
    ]
    assert [f["node"] for f in orjson.loads(firing)] == ["n03"]
    answer = orjson.loads(links)
    assert (answer["rounds"], answer["nodes_seen"], answer["window_seconds"]) == (2, 8, WINDOW)
    assert answer["trained"] is True
    assert [link["verdict"] for link in answer["links"]].count("degraded") == 1


def test_before_the_first_round_everything_is_answered(served: tuple[_Bench, str]) -> None:
    bench, url = served

    answers = {path: _get(url + path)[0] for path in bench.analyzer.routes()}

    assert answers == dict.fromkeys(bench.analyzer.routes(), 200) | {"/-/ready": 503}
    assert bench.metric("analyzer_rounds_total") == 0


def test_the_analyzer_says_what_its_process_costs() -> None:
    text = _bench().get("/metrics").body.decode()

    found = {series.name for series, _ in Reader().read(text)}
    assert {"process_cpu_seconds_total", "process_resident_memory_bytes"} <= found
