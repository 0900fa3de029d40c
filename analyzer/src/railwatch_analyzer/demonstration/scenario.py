# SPDX-License-Identifier: Apache-2.0
"""What happens in the demonstration: a small cluster, its jobs and its faults, all from a seed."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from railwatch_analyzer.simulation.faults import LinkDown, TransmitCap
from railwatch_analyzer.simulation.jobs import Job
from railwatch_analyzer.simulation.model import Simulation
from railwatch_analyzer.simulation.topology import Topology

# Long enough to learn what is healthy (40 s of traffic) and to be calm for a while.
_CALM_SECONDS = (100.0, 125.0)
_CAP_SECONDS = (110.0, 130.0)
_CAP_SHARE = (0.25, 0.5)
# A second fault comes while the first stands, and is over before it.
_DOWN_CHANCE = 0.4
_DOWN_AFTER_SECONDS = (40.0, 55.0)
_DOWN_SECONDS = (25.0, 35.0)
# A finding ends half a minute after its cause did.
_AFTER_SECONDS = 60.0
_SMALLEST_JOB = 6


@dataclass(frozen=True, slots=True)
class Scenario:
    """A simulation and the second at which there is no more to see of it."""

    simulation: Simulation
    end: float

    @property
    def faults(self) -> tuple[TransmitCap | LinkDown, ...]:
        """The faults of the simulation in the order in which they begin."""
        kinds = (TransmitCap, LinkDown)
        return tuple(fault for fault in self.simulation.faults if isinstance(fault, kinds))


def scenario(seed: int) -> Scenario:
    """Draw what happens from *seed*."""
    draw = np.random.default_rng(seed)
    topology = Topology()
    jobs = _jobs(draw, topology)
    node, other = (topology.names[number] for number in draw.permutation(topology.nodes)[:2])
    start = _between(draw, _CALM_SECONDS)
    end = start + _between(draw, _CAP_SECONDS)
    cap = TransmitCap(
        node=node,
        rail=int(draw.integers(topology.rails)),
        share=_between(draw, _CAP_SHARE),
        start=start,
        end=end,
    )
    down = start + _between(draw, _DOWN_AFTER_SECONDS)
    outage = LinkDown(
        node=other,
        rail=int(draw.integers(topology.rails)),
        start=down,
        end=down + _between(draw, _DOWN_SECONDS),
    )
    faults = (cap, outage) if draw.random() < _DOWN_CHANCE else (cap,)
    simulation = Simulation(topology=topology, jobs=jobs, faults=faults, seed=seed)
    return Scenario(simulation, end + _AFTER_SECONDS)


def _jobs(draw: np.random.Generator, topology: Topology) -> tuple[Job, ...]:
    """One job on all nodes, or two that share them out."""
    names = topology.names
    first = int(draw.integers(_SMALLEST_JOB, topology.nodes - _SMALLEST_JOB + 1))
    shares = (names[:first], names[first:]) if draw.random() < 0.5 else (names,)
    return tuple(
        _job(draw, f"job{number}", nodes, topology.line_rate)
        for number, nodes in enumerate(shares, start=1)
    )


def _job(draw: np.random.Generator, name: str, nodes: tuple[str, ...], line_rate: float) -> Job:
    step_seconds = _between(draw, (1.0, 1.5))
    compute_share = _between(draw, (0.5, 0.6))
    burst_rate = line_rate * _between(draw, (0.8, 0.92))
    # The ring moves in the simulation's usual pieces, 50 to 94 ms here. In pieces of microseconds
    # the peaks of all NICs sink together, and byte rates alone name nobody (see `Job`).
    return Job(
        job_id=name,
        nodes=nodes,
        step_seconds=step_seconds,
        compute_share=compute_share,
        bytes_per_step=burst_rate * step_seconds * (1.0 - compute_share),
    )


def _between(draw: np.random.Generator, bounds: tuple[float, float]) -> float:
    return float(draw.uniform(*bounds))
