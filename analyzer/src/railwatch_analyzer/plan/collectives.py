# SPDX-License-Identifier: Apache-2.0
"""What collectives send, and how long they take: the alpha-beta model.

A message of B bytes takes alpha + B x beta seconds (Hockney). Ring: Thakur, Rabenseifner, Gropp,
IJHPCA 2005, whose costs stand in MPICH's sources too, (p-1).alpha + n.((p-1)/p).beta for a ring
all-gather, and Patarasuk, Yuan, JPDC 2009, for 2(n-1)/n S being the least that an all-reduce can
send; nccl-tests' PERFORMANCE.md has the same factors. Tree: two binary trees of half the data each
(Sanders, Speck, Traeff 2009), as NCCL has since 2.4.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from enum import StrEnum


class Collective(StrEnum):
    """What a group of GPUs does together."""

    ALL_REDUCE = "all-reduce"
    REDUCE_SCATTER = "reduce-scatter"
    ALL_GATHER = "all-gather"
    ALL_TO_ALL = "all-to-all"
    SEND = "send"


class Algorithm(StrEnum):
    """How it is done between nodes; values of the flag `--algorithm`."""

    RING = "ring"
    """One ring through all GPUs, as NCCL builds it."""
    HIERARCHICAL = "hierarchical"
    """Within nodes first, then a ring of nodes: the fewest bytes on the rails."""
    TREE = "tree"
    """Two binary trees of nodes, for all-reduce; the others take the ring."""


@dataclass(frozen=True, slots=True)
class Group:
    """GPUs that communicate, evenly spread over nodes."""

    size: int
    nodes: int = 1

    @property
    def crosses(self) -> bool:
        """Whether it uses rails."""
        return self.nodes > 1


def sent_by_rank(collective: Collective, ranks: int, message_bytes: float) -> float:
    """Return what each of so many ranks sends; the message is the whole array, as in nccl-tests.

    >>> sent_by_rank(Collective.ALL_REDUCE, 4, 100.0)
    150.0
    """
    if collective is Collective.SEND:
        return message_bytes
    rounds = 2 if collective is Collective.ALL_REDUCE else 1
    return rounds * (ranks - 1) / ranks * message_bytes


def sent_by_node(
    collective: Collective, algorithm: Algorithm, group: Group, message_bytes: float
) -> float:
    """Return what a node sends over its rails for one group, the busiest node's where they differ.

    In a ring each hop carries what a rank sends, and one hop leaves each node.
    """
    if not group.crosses:
        return 0.0
    if collective is Collective.ALL_TO_ALL:
        local = group.size / group.nodes
        return local * sent_by_rank(collective, group.nodes, message_bytes)
    if algorithm is Algorithm.TREE and collective is Collective.ALL_REDUCE:
        # With two nodes each is the root of one tree; of more, one inside a tree has two children.
        return message_bytes if group.nodes == 2 else 2 * message_bytes
    ranks = group.nodes if algorithm is Algorithm.HIERARCHICAL else group.size
    return sent_by_rank(collective, ranks, message_bytes)


def hops(collective: Collective, algorithm: Algorithm, group: Group) -> int:
    """Return how many messages follow each other on the longest way between nodes."""
    if not group.crosses:
        return 0
    if collective is Collective.SEND:
        return 1
    if algorithm is Algorithm.TREE and collective is Collective.ALL_REDUCE:
        return 2 * math.ceil(math.log2(group.nodes))
    flat = algorithm is not Algorithm.HIERARCHICAL or collective is Collective.ALL_TO_ALL
    rounds = 2 if collective is Collective.ALL_REDUCE else 1
    return rounds * ((group.size if flat else group.nodes) - 1)
