# SPDX-License-Identifier: Apache-2.0
"""What varies from step to step of a job, and what each step leaves behind."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from railwatch_analyzer.simulation.fabric.burst import TICK_SECONDS
from railwatch_analyzer.simulation.fabric.trail import Demand
from railwatch_analyzer.simulation.jobs import FOREVER
from railwatch_analyzer.simulation.model import Stream, stream

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from railwatch_analyzer.simulation.fabric.conditions import Conditions
    from railwatch_analyzer.simulation.fabric.trail import Trail
    from railwatch_analyzer.simulation.fabric.wiring import Wiring
    from railwatch_analyzer.simulation.jobs import Job
    from railwatch_analyzer.simulation.model import Simulation

# Gusts are drawn for so many ticks and then come again: longer than a fast sample by far.
_GUST_TICKS = 256
# How much more often than usual, as the spread of a logarithm, one NIC meets gusts than another.
_GUST_SPREAD = 0.5
# What drifts does so in waves of these lengths, seconds: minutes, and in no rhythm.
_DRIFT_PERIODS = (187.0, 411.0, 997.0)
# A host whose processors are taken is late by up to this share of its compute time.
_BUSY_LATENESS = 0.3


@dataclass(frozen=True, slots=True)
class Draw:
    """One step's chances.

    Attributes
    ----------
    late, compute, begin, ready
        Shape (nodes,), seconds: how late the input is, how long the node computes, and how long
        after the step began its first and its last bytes are ready.
    feed
        Shape (flows,), bytes per second.
    gusts
        Shape (ticks, links), None where nothing else is on the switch ports.
    rival_phase
        0 to 1.
    """

    late: NDArray[np.float64]
    compute: NDArray[np.float64]
    begin: NDArray[np.float64]
    ready: NDArray[np.float64]
    feed: NDArray[np.float64]
    gusts: NDArray[np.float32] | None
    rival_phase: float


@dataclass(frozen=True, slots=True)
class FlowStep:
    """One step as it was; `start` and `end` are seconds since the simulation began.

    Attributes
    ----------
    times
        Shape (notes,), seconds since the simulation began.
    counted
        Shape (notes, signals, links), since the step began.
    compute, communication, exposed, stalled, idle
        Shape (nodes,), seconds. compute + exposed + stalled + idle is the step.
    """

    number: int
    start: float
    end: float
    times: NDArray[np.float64]
    counted: NDArray[np.float64]
    compute: NDArray[np.float64]
    communication: NDArray[np.float64]
    exposed: NDArray[np.float64]
    stalled: NDArray[np.float64]
    idle: NDArray[np.float64]


class Steps:
    """Draws the steps of one job, each from a stream of its own."""

    def __init__(
        self, simulation: Simulation, number: int, wiring: Wiring, nic_rate: NDArray[np.float64]
    ) -> None:
        """Take job *number* of *simulation*; *nic_rate* is the factor of its NICs, (links,)."""
        self._simulation, self._number, self._wiring = simulation, number, wiring
        self._job: Job = simulation.jobs[number]
        self._feed = np.tile(nic_rate, wiring.rings) * (self._job.burst_rate / wiring.rings)
        habits = stream(simulation, Stream.GUST, number).standard_normal(wiring.links)
        often = simulation.noise.gusts_per_second * TICK_SECONDS
        self._gust_chance = (often * np.exp(_GUST_SPREAD * habits)).astype(np.float32)

    def draw(self, number: int, now: Conditions) -> Draw:
        """Return step *number* as it is when it begins under the conditions of *now*."""
        noise, job, wiring = self._simulation.noise, self._job, self._wiring
        chance = stream(self._simulation, Stream.STEP, self._number, number)
        compute = job.compute_seconds * (1.0 + job.jitter * np.clip(chance.normal(), -3.0, 3.0))
        starts = noise.start_jitter_seconds * np.abs(chance.standard_normal(wiring.nodes))
        shaken = np.clip(chance.standard_normal((wiring.rails, wiring.nodes)), -3.0, 3.0)
        computes = compute * now.slowness
        starts += now.busy * computes * _BUSY_LATENESS * chance.random(wiring.nodes)
        stutter = 1.0 - now.busy * chance.random(wiring.nodes)
        pause = job.checkpoint_seconds if self._saves(number) else 0.0
        pause += self._pause(chance)
        before = now.late + pause
        rates = ((1.0 + noise.step_rate * shaken) * stutter).ravel() * self._drift(number)
        feed = self._feed * np.tile(rates, wiring.rings)
        return Draw(
            late=before,
            compute=computes,
            begin=before + computes * (1.0 - job.overlap) + starts,
            ready=before + computes + starts,
            feed=np.minimum(feed, self._simulation.topology.line_rate),
            gusts=self._gusts(chance),
            rival_phase=float(chance.random()),
        )

    def demand(self, draws: Sequence[Draw]) -> Demand:
        """Return what the steps *draws* want of the network."""
        rails, job = self._wiring.rails, self._job
        gusts = [draw.gusts for draw in draws if draw.gusts is not None]
        return Demand(
            begin=np.array([np.tile(draw.begin, rails) for draw in draws]),
            full=np.array([np.tile(draw.ready, rails) for draw in draws]),
            feed=np.array([draw.feed for draw in draws]),
            gusts=np.array(gusts) if gusts else None,
            rival_phase=np.array([draw.rival_phase for draw in draws]),
            flow_bytes=job.bytes_per_step / self._wiring.rings,
            chunk_bytes=job.bytes_per_step / self._wiring.rings / job.chunks_per_step,
        )

    def _saves(self, number: int) -> bool:
        every = self._job.checkpoint_steps
        return bool(every and number and number % every == 0)

    def _pause(self, chance: np.random.Generator) -> float:
        """Seconds for which the job stands still before a step, for whatever reason."""
        noise = self._simulation.noise
        often, long = chance.random(2)
        if often >= noise.pauses_per_hour * self._job.step_seconds / 3600.0:
            return 0.0
        return float(noise.pause_seconds[0] + long * np.ptp(noise.pause_seconds))

    def _drift(self, number: int) -> NDArray[np.float64]:
        """Return the factor by which each NIC has drifted by step *number*, (links,)."""
        if not self._simulation.noise.nic_drift:
            return np.ones(self._wiring.links)
        chance = stream(self._simulation, Stream.GUST, self._number, 1)
        phases = chance.random((len(_DRIFT_PERIODS), self._wiring.links))
        turns = number * self._job.step_seconds / np.array(_DRIFT_PERIODS)
        waves = np.sin(2.0 * np.pi * (phases + turns[:, None])).sum(axis=0)
        spread = np.sqrt(len(_DRIFT_PERIODS) / 2.0)
        return np.asarray(1.0 + self._simulation.noise.nic_drift / spread * waves)

    def _gusts(self, chance: np.random.Generator) -> NDArray[np.float32] | None:
        if not self._simulation.noise.gusts_per_second:
            return None
        uniform = chance.random((_GUST_TICKS, self._wiring.links), dtype=np.float32)
        share = np.float32(self._simulation.noise.gust_share) * (uniform / self._gust_chance)
        return np.where(uniform < self._gust_chance, share, np.float32(0.0))


def step_of(number: int, start: float, draw: Draw, trail: Trail, place: int) -> FlowStep:
    """Return the step at *place* of a batch that left *trail*, if it begins at *start*."""
    origin, length = float(trail.origin[place]), float(trail.end[place])
    known = np.searchsorted(trail.times, length - origin, side="left") + 1
    times, moving = trail.times[:known], trail.moving[:known, place]
    computed = draw.late + draw.compute
    communication = moving[-1]
    hidden = [
        np.interp(at - origin, times, moving[:, node]) for node, at in enumerate(computed.tolist())
    ]
    exposed = communication - np.array(hidden)
    lasts = min(length, FOREVER)
    return FlowStep(
        number=number,
        start=start,
        end=start + lasts,
        times=start + origin + times,
        counted=trail.counted[:known, :, place],
        compute=draw.compute,
        communication=communication,
        exposed=exposed,
        stalled=np.maximum(lasts - draw.late - draw.compute - exposed, 0.0),
        idle=draw.late,
    )
