# SPDX-License-Identifier: Apache-2.0
"""A synchronous training job: every step computes, then all-reduces around one ring a rail."""

from __future__ import annotations

from dataclasses import dataclass

# Stands for "no end" where a number is needed: inf - inf would be NaN.
FOREVER = 1e12


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """What a job asks of its nodes; seconds count from the beginning of the simulation.

    Attributes
    ----------
    nodes
        Names, in the order of the ring: each sends to the next, the last to the first.
    step_seconds, compute_share
        A healthy step and the share of it that computes while the rails are idle.
    bytes_per_step
        Sent by each NIC in each step. While communicating a NIC therefore runs at
        `burst_rate`, and its mean utilisation is bytes_per_step / step_seconds / line rate.
    chunks_per_step
        Pieces that the ring moves in lockstep: none begins before all edges have moved the last.
        It decides what the victims of a slow edge look like. Pieces longer than a fast sample
        (the default, 50 ms) keep the victims' peaks and tear gaps between their bursts. Those of
        a real ring at 400 Gbit/s last microseconds: take 10_000 to see all peaks sink together.
    jitter
        Standard deviation of the compute time from step to step, the same on all nodes; a share.
    overlap
        Share of the compute time under which communication is hidden: bytes become ready evenly
        over the last part of it. Flow model only.
    rings
        1, or 2 for a second ring the other way round that carries half of the bytes. Flow model
        only.
    checkpoint_steps, checkpoint_seconds
        Every so many steps all nodes pause this long; 0 steps is never.
    gpus_per_node
        How many GPUs wait when a node waits.
    """

    job_id: str
    nodes: tuple[str, ...]
    step_seconds: float = 1.0
    compute_share: float = 0.6
    bytes_per_step: float = 18e9
    chunks_per_step: int = 8
    jitter: float = 0.01
    overlap: float = 0.0
    rings: int = 1
    checkpoint_steps: int = 0
    checkpoint_seconds: float = 0.0
    gpus_per_node: int = 8
    start: float = 0.0
    stop: float | None = None

    def __post_init__(self) -> None:
        if len(set(self.nodes)) != len(self.nodes) or len(self.nodes) < 2:
            raise ValueError(f"a ring needs at least two nodes, each once, got {self.nodes!r}")
        if not 0.0 <= self.compute_share < 1.0:
            raise ValueError(f"compute_share must be in [0, 1), got {self.compute_share!r}")
        if self.step_seconds <= 0 or self.bytes_per_step <= 0 or self.chunks_per_step < 1:
            raise ValueError(f"a step needs time, bytes and chunks, got {self!r}")
        if not 0.0 <= self.overlap < 1.0 or self.rings not in {1, 2}:
            raise ValueError(f"overlap must be in [0, 1) and rings 1 or 2, got {self!r}")

    @property
    def compute_seconds(self) -> float:
        """Time of a healthy step in which nothing is sent."""
        return self.step_seconds * self.compute_share

    @property
    def burst_rate(self) -> float:
        """Bytes per second of a NIC while a healthy step communicates."""
        return self.bytes_per_step / (self.step_seconds - self.compute_seconds)

    @property
    def end(self) -> float:
        """When the job stops."""
        return FOREVER if self.stop is None else self.stop

    def runs_at(self, seconds: float) -> bool:
        """Whether the job owns its nodes at *seconds*."""
        return self.start <= seconds < self.end


def overlap(one: Job, other: Job) -> bool:
    """Whether two jobs want a node at the same time."""
    shared = not set(one.nodes).isdisjoint(other.nodes)
    return shared and one.start < other.end and other.start < one.end
