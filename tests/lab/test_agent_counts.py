"""What real agents count of real traffic, beside what the traffic's generator counts itself."""

from __future__ import annotations

import functools
from contextlib import ExitStack
from typing import TYPE_CHECKING, Self

import pytest

from lab import counters, faults
from lab.deployment import Agents, scrape
from lab.job import Job, Workload
from support.conditions import wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from agent.program import Metrics
    from lab.cluster import Cluster, Node

# Ethernet, IPv4 and TCP with time stamps; veth counts a GSO frame once and with one of each.
_HEADER_BYTES = 66
_PATIENCE_SECONDS = 30.0


class _Watched:
    """A cluster with an agent in every node."""

    def __init__(self, cluster: Cluster, directory: Path) -> None:
        self.cluster = cluster
        self._agents = Agents(cluster, directory, 1.0)
        self._open = ExitStack()

    def __enter__(self) -> Self:
        with ExitStack() as starting:
            starting.enter_context(self._agents)
            self._open = starting.pop_all()
        self.wait_until(
            lambda: all(self.rail(node, "receive_bytes_total", 1) >= 0 for node in self.nodes),
            "all agents to count bytes",
        )
        return self

    def __exit__(self, *exception: object) -> None:
        self._open.close()

    @property
    def nodes(self) -> tuple[Node, ...]:
        """The nodes of the cluster."""
        return tuple(self.cluster.nodes)

    def metrics(self, node: Node) -> Metrics:
        """Scrape the agent of a node."""
        return scrape(self.cluster, node)

    def rail(self, node: Node, what: str, rail: int, **labels: str) -> float:
        """Return a value of a rail as the agent of its node exposes it."""
        wanted = {("rail", str(rail)), *labels.items()}
        found = self.metrics(node)[f"railwatch_rail_{what}"]
        (value,) = [value for held, value in found.items() if wanted <= set(held)]
        return value

    def faults(self, kind: str, rail: int = 0) -> list[float]:
        """Return how many events of a kind each node has counted on a rail."""
        return [self.rail(node, "faults_total", rail, kind=kind) for node in self.nodes]

    def wait_until(self, condition: object, what: str) -> None:
        """Wait with patience; an agent may not answer yet."""

        def holds() -> bool:
            try:
                return bool(condition())  # type: ignore[operator] # a function without arguments
            except (OSError, KeyError, ValueError):
                return False

        wait_until(holds, _PATIENCE_SECONDS, what)


@pytest.fixture
def watched(cluster: Cluster, tmp_path: Path) -> Iterator[_Watched]:
    with _Watched(cluster, tmp_path) as running:
        yield running


def test_bytes_agree_with_the_generators_own_count(watched: _Watched) -> None:
    """Within half a percent: payload, what was sent again, and a header a frame."""
    names = ("transmit_bytes_total", "receive_bytes_total")
    packets = ("transmit_packets_total", "receive_packets_total")
    before = {
        (node.name, rail, name): watched.rail(node, name, rail)
        for node in watched.nodes
        for rail in range(watched.cluster.rails)
        for name in (*names, *packets)
    }
    with Job(watched.cluster, Workload(seconds=4.0)) as job:
        results = job.results()

    def payload(node: Node, rail: int, direction: int) -> float:
        moved, frames = (
            watched.rail(node, name, rail) - before[node.name, rail, name]
            for name in (names[direction], packets[direction])
        )
        return moved - _HEADER_BYTES * frames

    for rank, node in enumerate(watched.nodes):
        for rail in range(watched.cluster.rails):
            sent, received = results[rank].rails[rail], results[rank - 1].rails[rail]
            expected = (
                sent.sent_bytes + sent.retransmitted_bytes,
                received.sent_bytes + received.retransmitted_bytes,
            )
            # Packets are read each second: the last ones come with the next round.
            watched.wait_until(
                functools.partial(
                    lambda node, rail, expected: (
                        [payload(node, rail, direction) for direction in (0, 1)]
                        == [pytest.approx(value, rel=0.005) for value in expected]
                    ),
                    node,
                    rail,
                    expected,
                ),
                f"the bytes of {node.name} rail {rail} to be {expected}",
            )


def test_a_flap_is_two_carrier_changes_and_one_link_that_went_down(watched: _Watched) -> None:
    node = watched.nodes[1]
    before = counters.carrier_changes(watched.cluster, node, 0)
    downs, others = watched.faults("link_downed"), watched.faults("link_downed", rail=1)
    with faults.link_down(watched.cluster, node, 0):
        watched.wait_until(lambda: watched.rail(node, "up", 0) == 0, "the rail to be down")
    watched.wait_until(lambda: watched.rail(node, "up", 0) == 1, "the rail to be up")

    assert counters.carrier_changes(watched.cluster, node, 0) - before == 2
    expected = [count + (of is node) for count, of in zip(downs, watched.nodes, strict=True)]
    watched.wait_until(
        lambda: watched.faults("link_downed") == expected, "one link to have gone down once"
    )
    assert watched.faults("link_downed", rail=1) == others


def test_loss_is_retransmits_at_the_sender_and_out_of_order_at_the_receiver(
    watched: _Watched,
) -> None:
    """1 % of what node 1 sends on rail 0; its next in the ring receives it."""
    sender, receiver = 1, 2
    with Job(watched.cluster, Workload()) as job:
        job.wait_for_steps(3, 20.0)
        names = ("retransmit", "out_of_sequence")
        before = {name: watched.faults(name) for name in names}
        with faults.loss_transmit(watched.cluster, watched.nodes[1], 0, 0.01):

            def grown(name: str) -> list[float]:
                now = watched.faults(name)
                return [after - was for was, after in zip(before[name], now, strict=True)]

            watched.wait_until(
                lambda: (
                    grown("retransmit")[sender] > 50 and grown("out_of_sequence")[receiver] > 50
                ),
                "the loss to be seen at both ends",
            )
            retransmits, out_of_order = map(grown, names)
        job.stop()

    others = [count for rank, count in enumerate(retransmits) if rank != sender]
    assert retransmits[sender] > 5 * max(others)
    others = [count for rank, count in enumerate(out_of_order) if rank != receiver]
    assert out_of_order[receiver] > 2 * max(others)
