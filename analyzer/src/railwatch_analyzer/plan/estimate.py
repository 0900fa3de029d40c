# SPDX-License-Identifier: Apache-2.0
"""How long a step takes at least, and how much of its communication nothing hides.

A step is compute, the pipeline's bubble of (p-1)/m of it (Narayanan et al. 2021, section 2.2.1),
what GPUs exchange within nodes where NVLink is given, and communication that is not hidden. What
can be hidden depends on what is waiting for it: gradients go under the backward pass, parameters
under the forward pass, of the one micro-batch that is last or first where a step has one such
collective; activations between stages under any compute; tensor and expert parallelism under none.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING

from railwatch_analyzer.plan.collectives import Algorithm, hops
from railwatch_analyzer.plan.traffic import Flow, Window, flows

if TYPE_CHECKING:
    from railwatch_analyzer.plan.job import Job

_SHARE = {Window.NONE: 0.0, Window.FORWARD: 1 / 3, Window.BACKWARD: 2 / 3, Window.COMPUTE: 1.0}


@dataclass(frozen=True, slots=True)
class Timed:
    """A flow and what it costs the rails in a step."""

    flow: Flow
    rail_bytes: float
    latency_seconds: float
    transfer_seconds: float
    hideable_seconds: float

    @property
    def seconds(self) -> float:
        """All of it."""
        return self.latency_seconds + self.transfer_seconds


@dataclass(frozen=True, slots=True)
class Estimate:
    """What a step of a job is made of."""

    flows: tuple[Timed, ...]
    """Those that use rails."""
    inside: tuple[Flow, ...]
    """Those that stay within nodes."""
    compute_seconds: float
    bubble_seconds: float
    node_seconds: float
    """In collectives within nodes; 0 where NVLink is not given."""
    overlap: float
    efficiency: float

    @property
    def rail_bytes(self) -> float:
        """What a rail sends in a step."""
        return sum(timed.rail_bytes for timed in self.flows)

    @property
    def network_seconds(self) -> float:
        """What the rails need for it."""
        return sum(timed.seconds for timed in self.flows)

    @property
    def busy_seconds(self) -> float:
        """A step that waits for no rail."""
        return self.compute_seconds + self.bubble_seconds + self.node_seconds

    def exposed_seconds(self, overlap: float) -> float:
        """Return what is not hidden while such a share of each window hides something."""
        exposed = 0.0
        for window in _windows(self.flows):
            needed = sum(timed.seconds for timed in window)
            exposed += max(0.0, needed - overlap * window[0].hideable_seconds)
        # However it is hidden, a step lasts at least as long as its bytes take.
        return max(exposed, self.network_seconds - self.busy_seconds)

    def step_seconds(self, overlap: float) -> float:
        """Return the length of such a step."""
        return self.busy_seconds + self.exposed_seconds(overlap)

    def exposed_share(self, overlap: float) -> float:
        """Return the exposed part of it."""
        return self.exposed_seconds(overlap) / self.step_seconds(overlap)

    @property
    def sufficient_line_rate(self) -> float | None:
        """The least that hides all that can be, 0 if nothing can; None if none is enough."""
        least = 0.0
        for window in _windows(self.flows):
            room = self.overlap * window[0].hideable_seconds
            if window[0].flow.window is Window.NONE:
                continue
            room -= sum(timed.latency_seconds for timed in window)
            if room <= 0:
                return None
            sent = sum(timed.rail_bytes for timed in window)
            least = max(least, sent / (room * self.efficiency))
        return least

    @property
    def never_hidden_seconds(self) -> float:
        """What compute waits for, whatever the overlap."""
        return sum(timed.seconds for timed in self.flows if timed.flow.window is Window.NONE)


def estimate(job: Job) -> Estimate:
    """Return what a step of *job* is made of."""
    work, split, cluster = job.work, job.parallelism, job.cluster
    found = flows(job)
    timed = tuple(_timed(job, flow) for flow in found if flow.group.crosses)
    inside = tuple(flow for flow in found if not flow.group.crosses)
    within = sum(flow.gpu_bytes() for flow in inside)
    return Estimate(
        timed,
        inside,
        compute_seconds=work.compute_seconds,
        bubble_seconds=work.compute_seconds * (split.pipeline - 1) / work.micro_batches,
        node_seconds=within / cluster.nvlink if cluster.nvlink else 0.0,
        overlap=work.overlap,
        efficiency=cluster.efficiency,
    )


def seconds(job: Job, flow: Flow, algorithm: Algorithm) -> tuple[float, float]:
    """Return latency and transfer of *flow* in a step.

    All groups of a node send at once, and its rails share their bytes evenly.
    """
    cluster = job.cluster
    latency = flow.times * hops(flow.collective, algorithm, flow.group) * cluster.latency_seconds
    sent = flow.node_bytes(algorithm) / cluster.nics_per_node
    return latency, sent / cluster.rail_rate


def _timed(job: Job, flow: Flow) -> Timed:
    algorithm = job.cluster.algorithm
    latency, transfer = seconds(job, flow, algorithm)
    sent = flow.node_bytes(algorithm) / job.cluster.nics_per_node
    return Timed(flow, sent, latency, transfer, _hideable(job, flow))


def _hideable(job: Job, flow: Flow) -> float:
    compute = job.work.compute_seconds * _SHARE[flow.window]
    once = flow.times == 1 and flow.window is not Window.COMPUTE
    return compute / job.work.micro_batches if once else compute


def _windows(flows_: tuple[Timed, ...]) -> list[list[Timed]]:
    found: dict[Window, list[Timed]] = defaultdict(list)
    for timed in flows_:
        found[timed.flow.window].append(timed)
    return list(found.values())
