"""Close looks: which links are looked at, by asking agents that are web servers here."""

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import Any

import pytest

from analyzer.fleet import Fleet, capped
from analyzer.stories import fold, learned
from railwatch.clock import SystemClock
from railwatch.web import Request, Response, Server, guarded
from railwatch_analyzer.closeup import CloseUps, choose, compare
from railwatch_analyzer.findings import Evidence
from railwatch_analyzer.frame import Link
from railwatch_analyzer.service import Analyzer
from railwatch_analyzer.sources.http_client import Access, HttpClient
from railwatch_analyzer.state import State

_PATH = "/api/v1/microscope"
_PATIENCE_SECONDS = 20.0


def _seen(rail: str, peak: float) -> dict[str, Any]:
    rates = {"max_bytes_per_second": peak, "top_decile_bytes_per_second": peak / 2}
    return {"rail": rail, "interval_seconds": 0.005, "rates": {"transmit": rates}}


@dataclass
class _Agent:
    """An agent with a microscope that sees one peak."""

    peak: float
    status: int = 202
    asked: list[dict[str, str]] = field(default_factory=list)

    def __post_init__(self) -> None:
        routes = {
            f"POST {_PATH}": guarded(self._begin, lambda: "s3cret"),
            _PATH: guarded(self._answer, lambda: "s3cret"),
        }
        self.server = Server("127.0.0.1:0", routes)
        self.server.start()
        self.node = f"127.0.0.1:{self.server.port}"

    def _begin(self, request: Request) -> Response:
        self.asked.append(dict(request.query))
        return Response(b"{}", "application/json", self.status)

    def _answer(self, _: Request) -> Response:
        return Response(json.dumps(_seen("0", self.peak)).encode(), "application/json")


@dataclass
class _Cluster:
    """Eight agents, and an analyzer's state in which the first one's link is degraded."""

    agents: dict[str, _Agent]
    state: State
    bad: Link

    @property
    def pair(self) -> tuple[_Agent, _Agent]:
        """The agents of the bad link, and of the peer that it is compared with."""
        (pair,) = choose(self.state, {}, 0.0)
        return self.agents[pair.link.node], self.agents[pair.peer.node]


@pytest.fixture(scope="module")
def learned_cluster() -> Iterator[_Cluster]:
    agents = [_Agent(peak=1e9 * (number + 1)) for number in range(8)]
    fleet = Fleet()
    fleet.links = tuple(Link(agent.node, "0", "mlx5_0") for agent in agents)
    state, lines = fold(learned(fleet), [fleet.window({fleet.links[0]: capped(0.25)})])
    assert [line.node for line in lines] == [agents[0].node]
    yield _Cluster({agent.node: agent for agent in agents}, state, fleet.links[0])
    for agent in agents:
        agent.server.close()


@pytest.fixture
def cluster(learned_cluster: _Cluster) -> _Cluster:
    """The cluster, of which nobody has asked anything."""
    for agent in learned_cluster.agents.values():
        agent.asked, agent.status = [], 202
    return learned_cluster


@contextmanager
def _closing(token: str) -> Iterator[CloseUps]:
    access = Access(headers={"Authorization": f"Bearer {token}"})
    client = HttpClient(access, SystemClock(), most_bytes=100_000)
    made = CloseUps(client, SystemClock(), seconds=0.01)
    yield made
    made.close()


@pytest.fixture
def closeups() -> Iterator[CloseUps]:
    with _closing("s3cret") as made:
        yield made


def test_a_bad_link_and_a_healthy_peer_are_looked_at_in_the_same_seconds(
    cluster: _Cluster, closeups: CloseUps
) -> None:
    closeups.follow(cluster.state)
    closeups.wait(_PATIENCE_SECONDS)

    bad, peer = cluster.pair
    asked = {node: agent.asked for node, agent in cluster.agents.items() if agent.asked}
    look = {"rail": "0", "seconds": "0.01"}
    assert asked == {bad.node: [look], peer.node: [look]}
    assert closeups.evidence(bad.node, "0", "mlx5_0") == (
        Evidence("transmit_max_5ms", 1e9, peer.peak, "bytes_per_second"),
        Evidence("transmit_top_decile_5ms", 0.5e9, peer.peak / 2, "bytes_per_second"),
    )
    assert closeups.evidence(peer.node, "0", "mlx5_0") == ()


def test_a_link_that_stays_bad_is_not_looked_at_each_round(
    cluster: _Cluster, closeups: CloseUps
) -> None:
    for _ in range(3):
        closeups.follow(cluster.state)
        closeups.wait(_PATIENCE_SECONDS)

    assert len(cluster.pair[0].asked) == 1
    assert choose(cluster.state, {cluster.bad: 100.0}, 399.0) == []
    assert [pair.link for pair in choose(cluster.state, {cluster.bad: 100.0}, 400.0)] == [
        cluster.bad
    ]


def test_healthy_links_are_left_alone() -> None:
    fleet = Fleet()

    assert choose(learned(fleet), {}, 0.0) == []


@pytest.mark.parametrize("status", [401, 404, 429, 500])
def test_an_agent_that_does_not_look_costs_the_evidence_only(
    cluster: _Cluster, closeups: CloseUps, status: int, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    cluster.pair[1].status = status
    closeups.follow(cluster.state)
    closeups.wait(_PATIENCE_SECONDS)

    assert closeups.evidence(cluster.bad.node, "0", "mlx5_0") == ()
    assert f"answered {status}" in caplog.text


def test_a_wrong_token_looks_at_nothing(cluster: _Cluster) -> None:
    with _closing("wrong") as closeups:
        closeups.follow(cluster.state)
        closeups.wait(_PATIENCE_SECONDS)

        assert closeups.evidence(cluster.bad.node, "0", "mlx5_0") == ()
    assert cluster.pair[0].asked == []


def test_a_look_that_is_under_way_is_not_waited_for(cluster: _Cluster, closeups: CloseUps) -> None:
    closeups.follow(cluster.state)
    thread = closeups._thread
    closeups.follow(cluster.state)

    assert closeups._thread is thread
    assert thread is not threading.current_thread()
    closeups.wait(_PATIENCE_SECONDS)


def test_findings_carry_what_was_seen(cluster: _Cluster, closeups: CloseUps) -> None:
    closeups.follow(cluster.state)
    closeups.wait(_PATIENCE_SECONDS)
    analyzer = Analyzer(
        None,  # type: ignore[arg-type] # no round is made
        SystemClock(),
        interval_seconds=5.0,
        state=cluster.state,
        state_file=None,
        closeups=closeups,
    )
    (finding,) = json.loads(analyzer.routes()["/api/v1/findings"](Request({})).body)

    features = [evidence["feature"] for evidence in finding["evidence"]]
    assert features[-2:] == ["transmit_max_5ms", "transmit_top_decile_5ms"]
    assert finding["evidence"][-2]["observed"] == 1e9


def test_directions_that_one_agent_has_not_seen_are_left_out() -> None:
    nothing = {"rail": "0", "interval_seconds": 0.005, "rates": {}}

    assert compare(nothing, _seen("0", 1.0)) == ()
    assert compare(_seen("0", 1.0), nothing) == ()


@pytest.mark.parametrize(
    ("node", "url"),
    [
        ("n1", "http://n1:9810/api/v1/microscope"),
        ("n1:9900", "http://n1:9900/api/v1/microscope"),
        ("[2001:db8::1]", "http://[2001:db8::1]:9810/api/v1/microscope"),
        ("[2001:db8::1]:99", "http://[2001:db8::1]:99/api/v1/microscope"),
    ],
)
def test_an_agent_is_asked_at_its_node(closeups: CloseUps, node: str, url: str) -> None:
    assert closeups._url(Link(node, "0", "mlx5_0")) == url


def test_the_token_is_not_sent_to_another_machine_without_tls(
    cluster: _Cluster, caplog: pytest.LogCaptureFixture
) -> None:
    far = replace(
        cluster.state,
        links=tuple(
            replace(link, node=f"192.0.2.{at}") for at, link in enumerate(cluster.state.links)
        ),
    )
    with _closing("s3cret") as closeups:
        for _ in range(3):
            closeups.follow(far)
            closeups.wait(_PATIENCE_SECONDS)

    said = [line for line in caplog.messages if "could be read on the way" in line]
    assert len(said) == 1
    # Nobody was asked: that would be said at the level of information and name the node.
    assert not [line for line in caplog.messages if "192.0.2" in line]
