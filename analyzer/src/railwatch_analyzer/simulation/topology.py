# SPDX-License-Identifier: Apache-2.0
"""A rail-optimised fabric: nodes with the same rails, and a leaf switch per rail and pod."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from railwatch_analyzer.frame import Link


class Layer(StrEnum):
    """What the links speak, and so which counters they have."""

    ROCE = "roce"
    """Ethernet: ECN, congestion notifications and pauses."""
    INFINIBAND = "infiniband"
    """Credits: a sender without any waits, and counts that it did."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Topology:
    """Nodes times rails; `line_rate` in bytes per second and direction (400 Gbit/s).

    Each leaf has `uplinks` of line rate, over which flows to other pods are hashed.
    """

    nodes: int = 16
    rails: int = 8
    line_rate: float = 50e9
    nodes_per_pod: int = 32
    uplinks: int = 16
    layer: Layer = Layer.ROCE

    def __post_init__(self) -> None:
        counts = (self.nodes, self.rails, self.nodes_per_pod, self.uplinks)
        if min(counts) < 1 or self.line_rate <= 0:
            raise ValueError(f"a topology needs nodes, rails and a line rate, got {self!r}")

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the nodes, in the order of their numbers."""
        width = len(str(self.nodes - 1))
        return tuple(f"node{number:0{width}d}" for number in range(self.nodes))

    @property
    def links(self) -> tuple[Link, ...]:
        """Every link, node by node: the row of rail r of node n is n * rails + r."""
        rails = [(str(rail), f"mlx5_{rail}") for rail in range(self.rails)]
        return tuple(Link(node, rail, device) for node in self.names for rail, device in rails)

    @property
    def switches(self) -> tuple[str, ...]:
        """The leaf switch of every link, in the order of `links`."""
        return tuple(
            f"leaf-pod{node // self.nodes_per_pod}-rail{rail}"
            for node in range(self.nodes)
            for rail in range(self.rails)
        )

    def row(self, node: str, rail: int) -> int:
        """Return the row of *rail* of *node*."""
        return self.names.index(node) * self.rails + rail
