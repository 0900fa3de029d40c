# SPDX-License-Identifier: Apache-2.0
"""A training job as it is described to `plan`: model, parallelism, work of a step, cluster."""

from __future__ import annotations

from dataclasses import dataclass

from railwatch_analyzer.plan.collectives import Algorithm

GBIT = 1e9 / 8
"""Bytes per second in 1 Gbit/s."""


@dataclass(frozen=True, slots=True)
class Model:
    """A transformer. What is not known of one is 0, and only what needs it asks for it."""

    parameters: float
    layers: int = 0
    hidden: int = 0
    sequence: int = 0
    experts: int = 0
    top_k: int = 1
    moe_layers: int = 0
    expert_parameters: float = 0.0
    """Of `parameters`, those of all experts together."""

    @property
    def active_parameters(self) -> float:
        """Those that a token meets."""
        if not self.experts:
            return self.parameters
        idle = 1 - self.top_k / self.experts
        return self.parameters - self.expert_parameters * idle


@dataclass(frozen=True, slots=True)
class Parallelism:
    """How the model and its batch are divided."""

    data: int = 1
    tensor: int = 1
    pipeline: int = 1
    expert: int = 1
    zero: int = 0
    sequence: bool = False


@dataclass(frozen=True, slots=True)
class Work:
    """What a replica does in a step."""

    micro_batch_size: int = 1
    micro_batches: int = 1
    gradient_bytes: float = 2.0
    parameter_bytes: float = 2.0
    activation_bytes: float = 2.0
    compute_seconds: float = 0.0
    overlap: float = 0.5
    """Share of the time in which bytes could be hidden that hides some."""


@dataclass(frozen=True, slots=True)
class Cluster:
    """Nodes, and what joins them."""

    nodes: int
    gpus_per_node: int
    nics_per_node: int
    line_rate: float
    """Of one NIC, in bytes per second."""
    efficiency: float = 0.8
    latency_seconds: float = 15e-6
    algorithm: Algorithm = Algorithm.RING
    nvlink: float = 0.0
    """What a GPU sends to others of its node, in bytes per second; 0: left out."""

    @property
    def gpus(self) -> int:
        """All of them."""
        return self.nodes * self.gpus_per_node

    @property
    def rail_rate(self) -> float:
        """What a NIC is taken to reach."""
        return self.line_rate * self.efficiency


@dataclass(frozen=True, slots=True)
class Job:
    """All of it."""

    model: Model
    parallelism: Parallelism
    work: Work
    cluster: Cluster


def parameters_of(layers: int, hidden: int, vocabulary: int, sequence: int) -> float:
    """Return the parameters of a GPT: Narayanan et al. 2021, equation 2.

    >>> round(parameters_of(96, 12288, 51200, 2048) / 1e9, 1)
    174.6
    """
    inner = 12 * layers * hidden**2 + 13 * layers * hidden
    return inner + (vocabulary + sequence) * hidden


def compute_seconds(job: Job, peak_flops: float, utilization: float) -> float:
    """Return the compute time of a step on one GPU: 6 FLOPs a parameter and token (Kaplan 2020)."""
    work, split = job.work, job.parallelism
    tokens = work.micro_batch_size * work.micro_batches * job.model.sequence
    flops = 6 * job.model.active_parameters * tokens / (split.tensor * split.pipeline)
    return flops / (peak_flops * utilization)
