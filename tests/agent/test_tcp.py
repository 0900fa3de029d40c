# SPDX-License-Identifier: Apache-2.0
"""Attribution of what sockets repaired to rails, with lists of sockets made up."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from railwatch.catalogue.metric import ReadFailure, Sample
from railwatch.catalogue.rail import RAIL_FAULTS
from railwatch_agent.collectors.tcp import Growth, Seen, TcpCollector, advance
from railwatch_agent.sources.errors import SourceError
from railwatch_agent.sources.inet_diag import SocketReader, TcpSocket, packed_address

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator

A, B = packed_address("10.0.0.1"), packed_address("10.0.0.2")
RAILS = {"10.0.0.1": ("0", "rail0"), "10.0.0.2": ("1", "rail1")}


def tcp(name: str, retransmits: int, out_of_order: int | None = 0, local: bytes = A) -> TcpSocket:
    return TcpSocket(name.encode(), local, retransmits, out_of_order, None)


class FakeReader(SocketReader):
    """Lists what it is told, or fails in the middle of it."""

    def __init__(self) -> None:
        super().__init__()
        self.sockets: list[TcpSocket] = []
        self.failing = False
        self.asked: list[set[bytes]] = []

    def read(self, addresses: Collection[bytes]) -> Iterator[TcpSocket]:
        """Yield the sockets at these addresses."""
        self.asked.append(set(addresses))
        yield from (each for each in self.sockets if each.local in addresses)
        if self.failing:
            raise SourceError("socket dump: no answer within 1.0 s")


class Node:
    """A collector over a fake reader, and what it says."""

    def __init__(self) -> None:
        self.reader = FakeReader()
        self.rails = dict(RAILS)
        self.now = 0.0
        self.cpu = 0.0
        self.collector = TcpCollector(
            lambda: self.rails,
            self.reader,
            monotonic=lambda: self.now,
            cpu=lambda: self.cpu,
        )

    def totals(self, *sockets: TcpSocket) -> dict[tuple[str, ...], float]:
        """Totals by rail and kind after a round that lists *sockets*."""
        self.reader.sockets = list(sockets)
        self.now += 1
        samples = [each for each in self.collector.collect() if isinstance(each, Sample)]
        assert all(each.spec is RAIL_FAULTS for each in samples)
        return {(each.labels[0], each.labels[2]): float(str(each.value)) for each in samples}


def test_every_rail_with_an_address_is_at_0_from_the_start() -> None:
    assert Node().totals() == {
        ("0", "retransmit"): 0,
        ("0", "out_of_sequence"): 0,
        ("1", "retransmit"): 0,
        ("1", "out_of_sequence"): 0,
    }


def test_what_a_socket_repaired_before_the_agent_began_does_not_count() -> None:
    node = Node()

    assert node.totals(tcp("old", 500, 60))["0", "retransmit"] == 0
    assert node.totals(tcp("old", 503, 61))["0", "retransmit"] == 3
    assert node.totals(tcp("old", 503, 61))["0", "out_of_sequence"] == 1


def test_a_socket_opened_between_two_rounds_counts_whole() -> None:
    node = Node()
    node.totals()

    assert node.totals(tcp("new", 7, 2, B)) == {
        ("0", "retransmit"): 0,
        ("0", "out_of_sequence"): 0,
        ("1", "retransmit"): 7,
        ("1", "out_of_sequence"): 2,
    }


def test_a_socket_that_vanished_takes_nothing_back() -> None:
    node = Node()
    node.totals(tcp("x", 0))
    node.totals(tcp("x", 9))

    assert node.totals()["0", "retransmit"] == 9


def test_a_socket_missing_from_one_list_is_not_counted_twice() -> None:
    node = Node()
    node.totals(tcp("x", 500))
    node.totals()
    node.totals()

    assert node.totals(tcp("x", 501))["0", "retransmit"] == 1


def test_a_socket_that_was_reset_begins_anew() -> None:
    node = Node()
    node.totals(tcp("x", 500))

    assert node.totals(tcp("x", 2))["0", "retransmit"] == 0
    assert node.totals(tcp("x", 3))["0", "retransmit"] == 1


def test_a_socket_listed_twice_counts_once() -> None:
    node = Node()
    node.totals()

    assert node.totals(tcp("x", 4), tcp("x", 4))["0", "retransmit"] == 4


def test_a_socket_that_closes_while_it_is_listed_is_as_it_was() -> None:
    node = Node()
    node.totals(tcp("x", 500))
    node.totals(TcpSocket(b"x", A, None, None, None))

    assert node.totals(tcp("x", 502))["0", "retransmit"] == 2


def test_sockets_at_an_address_that_is_new_to_the_rail_are_only_compared() -> None:
    node = Node()
    del node.rails["10.0.0.2"]
    node.totals(tcp("old", 500, 0, B))
    node.rails = dict(RAILS)
    node.totals(tcp("old", 600, 0, B))

    assert node.totals(tcp("old", 601, 0, B))["1", "retransmit"] == 1


def test_a_total_survives_the_loss_of_the_address() -> None:
    node = Node()
    node.totals()
    node.totals(tcp("x", 4))
    node.rails = {}
    assert node.totals() == {}
    node.rails = dict(RAILS)

    assert node.totals()["0", "retransmit"] == 4


def test_a_kernel_that_does_not_count_out_of_order_packets_has_no_series_for_them() -> None:
    assert set(Node().totals(tcp("x", 4, None))) == {("0", "retransmit"), ("1", "retransmit")}


def test_a_list_that_breaks_off_costs_one_reading_and_nothing_is_lost() -> None:
    node = Node()
    node.totals(tcp("x", 0))
    node.reader.failing = True
    node.reader.sockets = [tcp("x", 3)]
    node.now += 1
    failures = list(node.collector.collect())
    node.reader.failing = False

    assert failures == [ReadFailure("tcp", "socket dump: no answer within 1.0 s")]
    assert node.totals(tcp("x", 5), tcp("y", 2))["0", "retransmit"] == 7


def test_a_dear_list_is_made_less_often() -> None:
    """100 ms of computing at 1 % of a core are paid off after 10 s."""
    node = Node()

    def dear() -> dict[str, tuple[str, str]]:
        node.cpu += 0.1
        return RAILS

    node.collector = TcpCollector(
        dear, node.reader, monotonic=lambda: node.now, cpu=lambda: node.cpu
    )
    shown = [node.totals(tcp("x", second))["0", "retransmit"] for second in range(12)]

    assert shown == [0] * 10 + [10, 10]
    assert len(node.reader.asked) == 2


def test_a_share_of_nothing_is_refused() -> None:
    with pytest.raises(ValueError, match=r"cpu_share must be .*, got 0"):
        TcpCollector(dict, cpu_share=0)


NAMES = st.sampled_from(["a", "b", "c", "d"])
LISTS = st.lists(
    st.lists(
        st.builds(tcp, NAMES, st.integers(0, 50), st.integers(0, 50), st.sampled_from([A, B])),
        max_size=6,
    ),
    max_size=12,
)


@given(LISTS)
def test_totals_never_fall_whatever_is_listed(rounds: list[list[TcpSocket]]) -> None:
    """Sockets vanish, come back, are reset, listed twice, and change their address here."""
    node = Node()
    shown = [node.totals(*sockets) for sockets in rounds]

    for before, after in pairwise(shown):
        assert all(after[key] >= total for key, total in before.items())


@given(LISTS, st.randoms(use_true_random=False))
def test_the_order_of_a_list_does_not_matter(rounds: list[list[TcpSocket]], random: object) -> None:
    one, other = Node(), Node()
    for sockets in rounds:
        each = list({socket.identity: socket for socket in sockets}.values())
        shuffled = list(each)
        random.shuffle(shuffled)  # type: ignore[attr-defined]  # hypothesis does not export its type

        assert one.totals(*each) == other.totals(*shuffled)


@given(st.lists(st.lists(st.integers(0, 9), min_size=3, max_size=3), min_size=1, max_size=20))
def test_nothing_that_was_seen_is_lost_or_counted_twice(growths: list[list[int]]) -> None:
    """Three sockets, open throughout, that began with 100: the totals are all that they added."""
    node = Node()
    counts = [100, 100, 100]
    node.totals(*(tcp(str(number), count) for number, count in enumerate(counts)))
    for grown in growths:
        counts = [count + more for count, more in zip(counts, grown, strict=True)]
        shown = node.totals(*(tcp(str(number), count) for number, count in enumerate(counts)))

    assert shown["0", "retransmit"] == sum(counts) - 300


def test_sockets_that_are_gone_are_forgotten() -> None:
    known: dict[bytes, Seen] = {b"x": Seen(A, Growth(1, 0), 0)}
    for _ in range(4):
        known, _ = advance(known, [], {A})

    assert known == {}
