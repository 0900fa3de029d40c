# SPDX-License-Identifier: Apache-2.0
"""A job's steps in time by the flow-level model, and what its links have counted by any moment."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from railwatch_analyzer.simulation.fabric.burst import Burst
from railwatch_analyzer.simulation.fabric.conditions import conditions, edges_of
from railwatch_analyzer.simulation.fabric.steps import FlowStep, Steps, step_of
from railwatch_analyzer.simulation.fabric.trail import Signal
from railwatch_analyzer.simulation.fabric.wiring import wiring
from railwatch_analyzer.simulation.topology import Layer

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from railwatch_analyzer.simulation.fabric.conditions import Conditions
    from railwatch_analyzer.simulation.fabric.steps import Draw
    from railwatch_analyzer.simulation.fabric.trail import Trail
    from railwatch_analyzer.simulation.jobs import Job
    from railwatch_analyzer.simulation.model import Simulation

# Steps are computed side by side as long as nothing changes meanwhile: so many flows at once.
_FLOWS_AT_ONCE = 4096
_MOST_AT_ONCE = 64
_FEWEST_AT_ONCE = 4
# How far ahead moments are looked up at which a flapping link changes.
_AHEAD_SECONDS = 60.0
_AHEAD_STEPS = 50


class FlowTraffic:
    """Generates a job's steps as time goes on, and answers what its links have counted."""

    def __init__(
        self,
        simulation: Simulation,
        number: int,
        nic_rate: NDArray[np.float64],
        *,
        most_at_once: int = _MOST_AT_ONCE,
    ) -> None:
        """Take job *number* of *simulation*; *nic_rate* is the factor of every NIC, (links,).

        At *most_at_once* steps are computed side by side; how many changes nothing but the cost.
        """
        self.job: Job = simulation.jobs[number]
        self._wiring = wiring(simulation, self.job, number)
        self.rows = self._wiring.rows
        self._simulation = simulation
        self._steps = Steps(simulation, number, self._wiring, nic_rate[self.rows].ravel())
        self._at_once = min(max(_FLOWS_AT_ONCE // self._wiring.flows, 1), most_at_once)
        self._kept: list[FlowStep] = []
        # What was counted before the first step that is kept.
        self._before = np.zeros((len(Signal), self._wiring.links))
        self._curve: tuple[NDArray[np.float64], NDArray[np.float64]] | None = None

    @property
    def steps(self) -> tuple[FlowStep, ...]:
        """The steps that are remembered, oldest first."""
        return tuple(self._kept)

    def advance(self, until: float) -> None:
        """Generate all steps that begin by *until*."""
        start = self._kept[-1].end if self._kept else self.job.start
        while start <= until and start < self.job.end:
            self._kept += self._next(start)
            self._curve = None
            start = self._kept[-1].end

    def forget(self, before: float) -> None:
        """Drop the steps that ended by *before*; nobody asks about them any more."""
        while len(self._kept) > 1 and self._kept[0].end <= before:
            self._before = self._before + self._kept.pop(0).counted[-1]
            self._curve = None

    def sent(
        self, rail: int, nodes: NDArray[np.intp], times: NDArray[np.float64]
    ) -> NDArray[np.float64]:
        """Return the bytes that *nodes* have sent on *rail* by *times*, (nodes, ticks)."""
        return self._bytes(Signal.SENT, rail, nodes, times)

    def received(
        self, rail: int, nodes: NDArray[np.intp], times: NDArray[np.float64]
    ) -> NDArray[np.float64]:
        """Return the bytes that *nodes* have received on *rail* by *times*, (nodes, ticks)."""
        return self._bytes(Signal.RECEIVED, rail, nodes, times)

    def counted(self, times: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return all signals by *times*, shape (signals, links, ticks)."""
        if not self._kept:
            return np.zeros((*self._before.shape, times.size))
        at, curve = self._curves()
        after, share = _between(at, np.minimum(times, self.job.end))
        low, high = curve[after - 1], curve[after]
        return np.moveaxis(low + (high - low) * share[:, None, None], 0, -1)

    def _bytes(
        self, signal: Signal, rail: int, nodes: NDArray[np.intp], times: NDArray[np.float64]
    ) -> NDArray[np.float64]:
        if not self._kept:
            return np.zeros_like(times)
        at, curve = self._curves()
        after, share = _between(at, np.minimum(times, self.job.end))
        links = (rail * self._wiring.nodes + nodes)[:, None]
        counter = curve[:, signal]
        low, high = counter[after - 1, links], counter[after, links]
        return np.asarray(low + (high - low) * share)

    def _curves(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Times, and all signals as (times, signals, links), over the steps that are kept."""
        if self._curve is None:
            times, parts, before = [], [], self._before
            for step in self._kept:
                times.append(step.times)
                parts.append(before + step.counted)
                before = parts[-1][-1]
            self._curve = np.concatenate(times), np.concatenate(parts)
        return self._curve

    def _next(self, start: float) -> list[FlowStep]:
        """Return the steps from *start* until something changes, one at least."""
        number = self._kept[-1].number + 1 if self._kept else 0
        edges = self._edges(start)
        last = self._kept[-1].end - self._kept[-1].start if self._kept else self.job.step_seconds
        now = conditions(self._simulation, self.job, start)
        # More and more of them: who looks at a few steps does not pay for many.
        count = min(self._at_once, max(number, _FEWEST_AT_ONCE))
        if edges:
            count = min(int((edges[0] - start) / last), count)
        if count > 0:
            steps = self._batch(number, start, count, now)
            within = [step for step in steps if not edges or step.end <= edges[0]]
            if within:
                return within
        draw = self._steps.draw(number, now)
        later = [(at - start, conditions(self._simulation, self.job, at)) for at in edges]
        trail = self._burst([draw], [(0.0, now), *later])
        return [step_of(number, start, draw, trail, 0)]

    def _batch(self, first: int, start: float, count: int, now: Conditions) -> list[FlowStep]:
        draws = [self._steps.draw(first + number, now) for number in range(count)]
        trail = self._burst(draws, [(0.0, now)])
        steps: list[FlowStep] = []
        for place, draw in enumerate(draws):
            steps.append(step_of(first + place, start, draw, trail, place))
            start = steps[-1].end
        return steps

    def _burst(self, draws: list[Draw], schedule: list[tuple[float, Conditions]]) -> Trail:
        topology = self._simulation.topology
        burst = Burst(
            self._wiring,
            self._steps.demand(draws),
            line_rate=topology.line_rate,
            marks=topology.layer is Layer.ROCE,
        )
        return burst.run(schedule)

    def _edges(self, start: float) -> list[float]:
        """Return the moments after *start* at which conditions change, as far as is looked."""
        ahead = start + _AHEAD_SECONDS + _AHEAD_STEPS * self.job.step_seconds
        moments = {at for fault in self._simulation.faults for at in edges_of(fault, start, ahead)}
        return sorted(at for at in moments if at > start)


def _between(
    at: NDArray[np.float64], times: NDArray[np.float64]
) -> tuple[NDArray[np.intp], NDArray[np.float64]]:
    """Return, for each of *times*, the place in *at* after it and how much of the way it went."""
    after = np.clip(np.searchsorted(at, times, side="right"), 1, at.size - 1)
    length = np.maximum(at[after] - at[after - 1], 1e-12)
    return after, np.clip((times - at[after - 1]) / length, 0.0, 1.0)
