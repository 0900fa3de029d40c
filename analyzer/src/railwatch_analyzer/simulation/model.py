# SPDX-License-Identifier: Apache-2.0
"""The description of a simulated fleet, and where its randomness comes from."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import IntEnum, StrEnum
from itertools import combinations
from typing import TYPE_CHECKING, TypeAlias, get_args

import numpy as np

from railwatch_analyzer.simulation.faults import (
    Flap,
    LinkDown,
    LinkFault,
    PacedFault,
    SwitchFault,
)
from railwatch_analyzer.simulation.jobs import overlap

if TYPE_CHECKING:
    from railwatch_analyzer.simulation.faults import Fault, Outage
    from railwatch_analyzer.simulation.jobs import Job
    from railwatch_analyzer.simulation.topology import Topology

Range: TypeAlias = tuple[float, float]


@dataclass(frozen=True, slots=True, kw_only=True)
class Noise:
    """How far a healthy fleet is from a perfect one.

    Attributes
    ----------
    rate, step_rate, nic_offset
        Standard deviations, shares of a rate: from tick to tick, from step to step, and what a
        NIC differs by for good.
    nic_drift
        Standard deviation, a share of a rate, of what a NIC differs by for some minutes. Flow
        model only.
    pauses_per_hour, pause_seconds
        How often a whole job stands still, and for how long. Flow model only.
    start_jitter_seconds
        Scale of the half-normal delay with which each node begins to communicate.
    background_bytes_per_second
        Mean of what a NIC moves beside its job, in each direction.
    retransmits_per_second, out_of_sequence_per_second
        Of a node as a whole while its job runs, each node its own; from the namespace lab.
    queue_occupied
        Share of fast samples that find the queue occupied while a job runs; from the same.
    gusts_per_second, gust_share
        How often something else takes up to this share of a switch port for half a millisecond,
        while the job communicates; each NIC has a rate of its own around this mean. Flow model
        only: what makes healthy queues mark a packet now and then.
    bit_error_ratio
        Before FEC, each link its own; flow model only.
    """

    rate: float = 0.015
    step_rate: float = 0.01
    nic_offset: float = 0.01
    nic_drift: float = 0.0
    pauses_per_hour: float = 0.0
    pause_seconds: Range = (0.0, 0.0)
    start_jitter_seconds: float = 0.002
    background_bytes_per_second: float = 50e3
    retransmits_per_second: Range = (1.0, 2.0)
    out_of_sequence_per_second: Range = (2.0, 10.0)
    queue_occupied: Range = (0.13, 0.18)
    gusts_per_second: float = 4.0
    gust_share: float = 0.6
    bit_error_ratio: Range = (1e-9, 1e-7)


# A perfect fleet: for tests of the physics alone.
SILENT = Noise(
    rate=0.0,
    step_rate=0.0,
    nic_offset=0.0,
    start_jitter_seconds=0.0,
    background_bytes_per_second=0.0,
    retransmits_per_second=(0.0, 0.0),
    out_of_sequence_per_second=(0.0, 0.0),
    gusts_per_second=0.0,
    bit_error_ratio=(0.0, 0.0),
)


class Fidelity(StrEnum):
    """How the traffic of a job is computed."""

    PACED = "paced"
    """Rings in lockstep: quick enough for thousands of links; byte rates, loss, lost links."""
    FLOW = "flow"
    """Flows, queues, ECN, pauses and losses: every counter emerges from the same state."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Simulation:
    """Everything that decides what a simulated fleet does."""

    topology: Topology
    jobs: tuple[Job, ...] = ()
    faults: tuple[Fault, ...] = ()
    seed: int = 0
    noise: Noise = field(default_factory=Noise)
    tick_seconds: float = 0.02
    fidelity: Fidelity = Fidelity.PACED

    def __post_init__(self) -> None:
        for job in self.jobs:
            self._check_job(job)
        for one, other in combinations(self.jobs, 2):
            if overlap(one, other):
                raise ValueError(f"jobs {one.job_id!r} and {other.job_id!r} share a node")
        for fault in self.faults:
            self._check_fault(fault)
        outages = [fault for fault in self.faults if isinstance(fault, LinkDown | Flap)]
        for first, second in combinations(outages, 2):
            _check_apart(first, second)

    def _check_job(self, job: Job) -> None:
        unknown = set(job.nodes) - set(self.topology.names)
        if unknown:
            raise ValueError(f"job {job.job_id!r} wants unknown nodes {sorted(unknown)}")
        if job.burst_rate > self.topology.line_rate * (1 + 1e-9):
            raise ValueError(
                f"job {job.job_id!r} would send {job.burst_rate:.3g} B/s,"
                f" more than the line rate of {self.topology.line_rate:.3g}"
            )

    def _check_fault(self, fault: Fault) -> None:
        if self.fidelity is Fidelity.PACED and not isinstance(fault, get_args(PacedFault)):
            raise ValueError(f"the paced model knows nothing of {type(fault).__name__}")
        if isinstance(fault, SwitchFault):
            if fault.switch not in self.topology.switches:
                raise ValueError(f"a fault is on unknown switch {fault.switch!r}")
            return
        if fault.node not in self.topology.names:
            raise ValueError(f"a fault is on unknown node {fault.node!r}")
        if isinstance(fault, LinkFault) and not 0 <= fault.rail < self.topology.rails:
            raise ValueError(f"a fault is on unknown rail {fault.rail!r}")


def _check_apart(one: Outage, other: Outage) -> None:
    same = (one.node, one.rail) == (other.node, other.rail)
    if same and one.start < other.stop and other.start < one.stop:
        raise ValueError(f"rail {one.rail} of {one.node!r} cannot be down twice at a time")


class Stream(IntEnum):
    """Independent sources of randomness, so that a fault leaves the noise of others alone."""

    NIC = 0
    STEP = 1
    TRANSMIT = 2
    RECEIVE = 3
    QUEUE = 4
    RETRANSMIT = 5
    OUT_OF_SEQUENCE = 6
    LOSS = 7
    UPLINK = 8
    GUST = 9
    COUNT = 10
    POLL = 11


def stream(simulation: Simulation, purpose: Stream, *numbers: int) -> np.random.Generator:
    """Return the generator for *purpose* (of step, fault, … *numbers*)."""
    return np.random.default_rng([simulation.seed, purpose, *numbers])
