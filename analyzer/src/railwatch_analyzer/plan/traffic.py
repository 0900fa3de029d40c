# SPDX-License-Identifier: Apache-2.0
"""Which collectives a step needs, how large they are, and where they run.

GPUs are numbered as Megatron-LM does: tensor parallelism innermost, then data parallelism (expert
parallelism within it), pipeline stages outermost; nodes are filled in that order.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

from railwatch_analyzer.plan.collectives import Collective, Group, sent_by_node, sent_by_rank

if TYPE_CHECKING:
    from collections.abc import Iterator

    from railwatch_analyzer.plan.collectives import Algorithm
    from railwatch_analyzer.plan.job import Cluster, Job


class Source(StrEnum):
    """What the bytes are for."""

    DATA = "data"
    TENSOR = "tensor"
    PIPELINE = "pipeline"
    EXPERT = "expert"


class Window(StrEnum):
    """The compute under which bytes can be hidden."""

    NONE = "none"
    """What follows needs them at once."""
    FORWARD = "forward"
    """The forward pass of one micro-batch: a third of its compute."""
    BACKWARD = "backward"
    """The backward pass of one micro-batch: two thirds."""
    COMPUTE = "compute"
    """All of the step's compute."""


@dataclass(frozen=True, slots=True)
class Flow:
    """One kind of collective in a step."""

    source: Source
    collective: Collective
    group: Group
    message_bytes: float
    times: int
    """How often a step has it."""
    groups: int
    """How many groups a node has a part in: they share its rails."""
    window: Window

    def node_bytes(self, algorithm: Algorithm) -> float:
        """Return what a node sends over its rails for it in a step."""
        one = sent_by_node(self.collective, algorithm, self.group, self.message_bytes)
        return one * self.times * self.groups

    def gpu_bytes(self) -> float:
        """Return what a GPU sends for it in a step, wherever to."""
        return self.times * sent_by_rank(self.collective, self.group.size, self.message_bytes)


def flows(job: Job) -> list[Flow]:
    """Return what a step of *job* has to send."""
    found = [*_data(job), *_tensor(job), *_pipeline(job), *_expert(job)]
    return [flow for flow in found if flow.group.size > 1]


def placed(size: int, stride: int, cluster: Cluster) -> Group:
    """Return the group of every *stride*-th of *size* x *stride* GPUs that follow each other."""
    local = min(size, max(1, cluster.gpus_per_node // stride))
    return Group(size, size // local)


def _groups_of_a_node(group: Group, cluster: Cluster) -> int:
    return cluster.gpus_per_node * group.nodes // group.size


def _data(job: Job) -> Iterator[Flow]:
    split, model = job.parallelism, job.model
    shards = split.tensor * split.pipeline
    dense = (model.parameters - model.expert_parameters) / shards
    yield from _replicated(job, dense, placed(split.data, split.tensor, job.cluster))
    if model.expert_parameters:
        experts = model.expert_parameters / (shards * split.expert)
        stride = split.tensor * split.expert
        yield from _replicated(
            job, experts, placed(split.data // split.expert, stride, job.cluster)
        )


def _replicated(job: Job, parameters: float, group: Group) -> Iterator[Flow]:
    """Gradients and parameters: Rajbhandari et al. 2020 (ZeRO), section 7.

    Stages 2 and 3 keep a share of the gradients only, so that each micro-batch is reduced; stage 3
    gathers parameters before each forward and each backward.
    """
    groups = _groups_of_a_node(group, job.cluster)
    work, stage = job.work, job.parallelism.zero
    gradients, weights = parameters * work.gradient_bytes, parameters * work.parameter_bytes
    often = work.micro_batches if stage >= 2 else 1

    def flow(collective: Collective, size: float, times: int, window: Window) -> Flow:
        return Flow(Source.DATA, collective, group, size, times, groups, window)

    if stage == 0:
        yield flow(Collective.ALL_REDUCE, gradients, 1, Window.BACKWARD)
        return
    yield flow(Collective.REDUCE_SCATTER, gradients, often, Window.BACKWARD)
    if stage < 3:
        yield flow(Collective.ALL_GATHER, weights, 1, Window.FORWARD)
        return
    yield flow(Collective.ALL_GATHER, weights, often, Window.FORWARD)
    yield flow(Collective.ALL_GATHER, weights, often, Window.BACKWARD)


def _activations(job: Job) -> float:
    """Bytes between two layers for one micro-batch."""
    work = job.work
    elements = work.micro_batch_size * job.model.sequence * job.model.hidden
    return elements * work.activation_bytes


def _stage_layers(layers: int, job: Job) -> int:
    return math.ceil(layers / job.parallelism.pipeline)


def _tensor(job: Job) -> Iterator[Flow]:
    """Four all-reduces a layer and micro-batch: Narayanan et al. 2021, section 3.2.

    With sequence parallelism each is a reduce-scatter and an all-gather (Korthikanti et al. 2022).
    """
    split = job.parallelism
    group = placed(split.tensor, 1, job.cluster)
    groups = _groups_of_a_node(group, job.cluster)
    times = 4 * _stage_layers(job.model.layers, job) * job.work.micro_batches
    kinds = (
        (Collective.REDUCE_SCATTER, Collective.ALL_GATHER)
        if split.sequence
        else (Collective.ALL_REDUCE,)
    )
    for kind in kinds:
        size = _activations(job)
        yield Flow(Source.TENSOR, kind, group, size, times, groups, Window.NONE)


def _pipeline(job: Job) -> Iterator[Flow]:
    """One send a micro-batch and direction: Narayanan et al. 2021, sections 3.2 and 4.1.

    Each GPU of a stage sends all of the activations, or with sequence parallelism its share.
    """
    split, cluster = job.parallelism, job.cluster
    if split.pipeline == 1:
        return
    stage = split.tensor * split.data
    leaving = min(stage, cluster.gpus_per_node)
    # Of two such sets of nodes the first sends forward and the second backward only.
    sets = split.pipeline * leaving // cluster.gpus_per_node
    directions = 2 if sets > 2 else 1
    size = _activations(job) / (split.tensor if split.sequence else 1)
    times = directions * job.work.micro_batches
    group = Group(2, 2 if sets > 1 else 1)
    yield Flow(Source.PIPELINE, Collective.SEND, group, size, times, leaving, Window.COMPUTE)


def _expert(job: Job) -> Iterator[Flow]:
    """Dispatch and combine, forward and backward: GShard (Lepikhin 2020), Switch (Fedus 2022)."""
    split, model = job.parallelism, job.model
    if split.expert == 1:
        return
    group = placed(split.expert, split.tensor, job.cluster)
    groups = _groups_of_a_node(group, job.cluster)
    size = _activations(job) * model.top_k / (split.tensor if split.sequence else 1)
    times = 4 * _stage_layers(model.moe_layers, job) * job.work.micro_batches
    yield Flow(Source.EXPERT, Collective.ALL_TO_ALL, group, size, times, groups, Window.NONE)
