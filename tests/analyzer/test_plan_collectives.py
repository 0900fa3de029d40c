"""What collectives send: by hand, as invariants, and against rings played step by step."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from railwatch_analyzer.plan.collectives import (
    Algorithm,
    Collective,
    Group,
    hops,
    sent_by_node,
    sent_by_rank,
)

_RANKS = st.integers(min_value=2, max_value=4096)
_SIZES = st.floats(min_value=1.0, max_value=1e13)
_SCATTER, _GATHER = Collective.REDUCE_SCATTER, Collective.ALL_GATHER


class Ring:
    """Ranks in a ring, each with an array of one number a chunk, that count what they send."""

    def __init__(self, ranks: int) -> None:
        self.ranks = ranks
        self.arrays = [[float(rank + 1) * (chunk + 1) for chunk in range(ranks)]
                       for rank in range(ranks)]  # fmt: skip
        self.sent = [0] * ranks
        self.rounds = 0

    def step(self, first: int, *, add: bool) -> None:
        """Each rank sends one chunk to the next, all at once."""
        chunks = [(rank + first) % self.ranks for rank in range(self.ranks)]
        moving = [self.arrays[rank][chunks[rank]] for rank in range(self.ranks)]
        for rank, value in enumerate(moving):
            to = self.arrays[(rank + 1) % self.ranks]
            to[chunks[rank]] = to[chunks[rank]] + value if add else value
            self.sent[rank] += 1
        self.rounds += 1

    def all_reduce(self) -> None:
        """Reduce-scatter, then all-gather."""
        for round_ in range(self.ranks - 1):
            self.step(-round_, add=True)
        for round_ in range(self.ranks - 1):
            self.step(1 - round_, add=False)


@pytest.mark.parametrize("ranks", [2, 3, 4, 7, 16])
def test_a_ring_played_step_by_step_sends_what_the_formula_says(ranks: int) -> None:
    ring = Ring(ranks)
    total = ranks * (ranks + 1) / 2

    ring.all_reduce()

    assert ring.arrays == [[total * (chunk + 1) for chunk in range(ranks)]] * ranks
    # A chunk is 1, so the array is as large as there are ranks.
    assert ring.sent == [sent_by_rank(Collective.ALL_REDUCE, ranks, ranks)] * ranks
    assert ring.rounds == hops(Collective.ALL_REDUCE, Algorithm.RING, Group(ranks, ranks))


@pytest.mark.parametrize(
    ("collective", "algorithm", "group", "sent", "messages"),
    [
        (Collective.ALL_REDUCE, Algorithm.RING, Group(32, 4), 2 * 31 / 32, 62),
        (Collective.ALL_REDUCE, Algorithm.HIERARCHICAL, Group(32, 4), 1.5, 6),
        (Collective.ALL_REDUCE, Algorithm.TREE, Group(32, 4), 2.0, 4),
        (Collective.ALL_REDUCE, Algorithm.TREE, Group(16, 2), 1.0, 2),
        (Collective.ALL_GATHER, Algorithm.RING, Group(8, 8), 7 / 8, 7),
        (Collective.ALL_GATHER, Algorithm.TREE, Group(8, 4), 7 / 8, 7),
        # Four members in each of two nodes, each sends half of its array to the other node.
        (Collective.ALL_TO_ALL, Algorithm.RING, Group(8, 2), 2.0, 7),
        (Collective.SEND, Algorithm.RING, Group(2, 2), 1.0, 1),
        (Collective.ALL_REDUCE, Algorithm.RING, Group(8, 1), 0.0, 0),
    ],
)
def test_a_node_sends_and_waits_as_reckoned_by_hand(
    collective: Collective, algorithm: Algorithm, group: Group, sent: float, messages: int
) -> None:
    assert sent_by_node(collective, algorithm, group, 1.0) == pytest.approx(sent)
    assert hops(collective, algorithm, group) == messages


@settings(deadline=None)
@given(ranks=_RANKS, size=_SIZES)
def test_scattering_and_gathering_send_what_an_all_reduce_does(ranks: int, size: float) -> None:
    both = sent_by_rank(_SCATTER, ranks, size) + sent_by_rank(_GATHER, ranks, size)

    assert both == pytest.approx(sent_by_rank(Collective.ALL_REDUCE, ranks, size))


@settings(deadline=None)
@given(ranks=_RANKS, size=_SIZES)
def test_bytes_of_a_ring_grow_towards_twice_the_array(ranks: int, size: float) -> None:
    sent = sent_by_rank(Collective.ALL_REDUCE, ranks, size)

    assert sent <= sent_by_rank(Collective.ALL_REDUCE, ranks + 1, size) <= 2 * size
    assert sent >= 2 * size * (1 - 1.001 / ranks)


@settings(deadline=None)
@given(nodes=st.integers(2, 512), local=st.integers(1, 16), size=_SIZES)
def test_nothing_sends_less_than_the_hierarchical_ring(nodes: int, local: int, size: float) -> None:
    group = Group(nodes * local, nodes)
    least = sent_by_node(Collective.ALL_REDUCE, Algorithm.HIERARCHICAL, group, size)

    for algorithm in Algorithm:
        sent = sent_by_node(Collective.ALL_REDUCE, algorithm, group, size)
        assert sent >= least * (1 - 1e-12)


# Tang et al. 2021 (1-bit Adam), table 1: seconds of an all-reduce of BERT-large in half precision.
_MEASURED = {
    4: {2: 1.89721, 4: 2.13324, 8: 2.17335, 16: 2.27543},
    8: {2: 0.18374, 4: 0.29728, 8: 0.33640},
}


@pytest.mark.parametrize(
    ("gpus", "algorithm", "errors"),
    [
        (4, Algorithm.RING, [0, -5, -3, -6]),
        (4, Algorithm.HIERARCHICAL, [0, 33, 53, 56]),
        (8, Algorithm.RING, [0, -36, -43]),
        (8, Algorithm.HIERARCHICAL, [0, -7, -4]),
    ],
)
def test_published_all_reduces_are_missed_by_what_the_page_says(
    gpus: int, algorithm: Algorithm, errors: list[int]
) -> None:
    """In percent; the rate is fitted to the two nodes."""
    measured = _MEASURED[gpus]
    sent = {
        nodes: sent_by_node(Collective.ALL_REDUCE, algorithm, Group(nodes * gpus, nodes), 680e6)
        for nodes in measured
    }
    rate = sent[2] / measured[2]

    missed = [round(100 * (sent[nodes] / rate / measured[nodes] - 1)) for nodes in measured]

    assert missed == errors
