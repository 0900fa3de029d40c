# SPDX-License-Identifier: Apache-2.0
"""The traffic of one job: its steps, and the bytes of every edge as functions of time.

A step's rings move their chunks in lockstep, so a slow edge sets the pace of its rail and the
slowest rail the end of the step. This is the paced model, for thousands of links; `fabric` has the
finer one (flows, queues, congestion control) behind the same `Traffic`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

import numpy as np

from railwatch_analyzer.simulation.edges import edges
from railwatch_analyzer.simulation.model import Stream, stream

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from railwatch_analyzer.simulation.jobs import Job
    from railwatch_analyzer.simulation.model import Simulation

# Faults are looked up once a run of chunks; a healthy run lasts at most this long.
_RUN_SECONDS = 0.05


class Traffic(Protocol):
    """What both models tell of a job's traffic; shapes and limits as in `JobTraffic`."""

    job: Job
    rows: NDArray[np.intp]

    def advance(self, until: float) -> None:
        """Generate all steps that begin by *until*."""
        ...

    def forget(self, before: float) -> None:
        """Drop the steps that ended by *before*."""
        ...

    def sent(
        self, rail: int, nodes: NDArray[np.intp], times: NDArray[np.float64]
    ) -> NDArray[np.float64]:
        """Return the bytes that *nodes* have sent on *rail* by *times*, (nodes, ticks)."""
        ...

    def received(
        self, rail: int, nodes: NDArray[np.intp], times: NDArray[np.float64]
    ) -> NDArray[np.float64]:
        """Return the bytes that *nodes* have received on *rail* by *times*, (nodes, ticks)."""
        ...


@dataclass(frozen=True, slots=True)
class Step:
    """One step; seconds since the simulation began.

    Attributes
    ----------
    number, start, end
        The step ends on all nodes when the slowest rail's last run has ended.
    ready
        Shape (nodes,), when each node has computed and may communicate.
    begin, pace
        Shape (runs, rails): when a run of chunks begins, and what each of its chunks takes.
    first, rate
        Shape (runs, rails, edges): when an edge's first chunk begins, and its bytes per second.
    """

    number: int
    start: float
    end: float
    ready: NDArray[np.float64]
    begin: NDArray[np.float64]
    pace: NDArray[np.float64]
    first: NDArray[np.float64]
    rate: NDArray[np.float64]


class JobTraffic:
    """Generates a job's steps as time goes on, and answers what its edges have moved."""

    def __init__(self, simulation: Simulation, number: int, nic_rate: NDArray[np.float64]) -> None:
        """Take job *number* of *simulation*; *nic_rate* is the factor of every NIC, (links,)."""
        self.job: Job = simulation.jobs[number]
        topology = simulation.topology
        number_of = {node: position for position, node in enumerate(topology.names)}
        nodes = np.array([number_of[node] for node in self.job.nodes])
        # Row of each (rail, node); an edge has the row of the node that sends.
        self.rows = nodes[None, :] * topology.rails + np.arange(topology.rails)[:, None]
        self._simulation = simulation
        self._number = number
        self._edges = edges(simulation, self.job)
        self._nic_rate = nic_rate[self.rows]
        self._chunk_bytes = self.job.bytes_per_step / self.job.chunks_per_step
        self._runs = _runs(self.job)
        self._steps: list[Step] = []

    @property
    def steps(self) -> tuple[Step, ...]:
        """The steps that are remembered, oldest first."""
        return tuple(self._steps)

    def advance(self, until: float) -> None:
        """Generate all steps that begin by *until*."""
        start = self._steps[-1].end if self._steps else self.job.start
        while start <= until and start < self.job.end:
            number = self._steps[-1].number + 1 if self._steps else 0
            self._steps.append(self._step(number, start))
            start = self._steps[-1].end

    def forget(self, before: float) -> None:
        """Drop the steps that ended by *before*; nobody asks about them any more."""
        while len(self._steps) > 1 and self._steps[0].end <= before:
            del self._steps[0]

    def received(
        self, rail: int, nodes: NDArray[np.intp], times: NDArray[np.float64]
    ) -> NDArray[np.float64]:
        """Return what the edges to *nodes* have moved: nothing is under way."""
        return self.sent(rail, (nodes - 1) % self.rows.shape[1], times)

    def sent(
        self, rail: int, nodes: NDArray[np.intp], times: NDArray[np.float64]
    ) -> NDArray[np.float64]:
        """Return the bytes that edges of *rail* have moved by *times*.

        Parameters
        ----------
        nodes
            Shape (edges,), positions in the job of the nodes that send.
        times
            Shape (edges, ticks), not later than `advance` went and not before `forget`.

        Returns
        -------
        bytes
            Shape (edges, ticks), since the job started.
        """
        if not self._steps:
            return np.zeros_like(times)
        times = np.minimum(times, self.job.end)
        begin = np.concatenate([step.begin[:, rail] for step in self._steps])
        run = np.maximum(np.searchsorted(begin, times, side="right") - 1, 0)
        entry = run * self.rows.shape[1] + nodes[:, None]
        first = np.concatenate([step.first[:, rail] for step in self._steps]).take(entry)
        rate = np.concatenate([step.rate[:, rail] for step in self._steps]).take(entry)
        elapsed = np.maximum(times - first, 0.0)
        return self._before(run) + self._within(rail, run, elapsed, rate)

    def _before(self, run: NDArray[np.intp]) -> NDArray[np.float64]:
        """Bytes of each edge before each remembered *run*."""
        chunks = np.concatenate(([0], np.cumsum(self._runs)[:-1]))
        step, within = np.divmod(np.arange(len(self._steps) * len(self._runs)), len(self._runs))
        first = self._steps[0].number * self.job.bytes_per_step
        before = first + step * self.job.bytes_per_step + chunks[within] * self._chunk_bytes
        return np.asarray(before.take(run))

    def _within(
        self,
        rail: int,
        run: NDArray[np.intp],
        elapsed: NDArray[np.float64],
        rate: NDArray[np.float64],
    ) -> NDArray[np.float64]:
        if self._runs.max() == 1:
            return np.minimum(elapsed * rate, self._chunk_bytes)
        pace = np.concatenate([step.pace[:, rail] for step in self._steps]).take(run)
        last = np.tile(self._runs, len(self._steps)).take(run) - 1.0
        chunk = np.minimum(np.floor(elapsed / pace), last)
        inside = np.minimum((elapsed - chunk * pace) * rate, self._chunk_bytes)
        return np.asarray(chunk * self._chunk_bytes + inside)

    def _step(self, number: int, start: float) -> Step:
        noise, job = self._simulation.noise, self.job
        draw = stream(self._simulation, Stream.STEP, self._number, number)
        compute = job.compute_seconds * (1.0 + job.jitter * np.clip(draw.normal(), -3.0, 3.0))
        late = noise.start_jitter_seconds * np.abs(draw.standard_normal(len(job.nodes)))
        if job.checkpoint_steps and number and number % job.checkpoint_steps == 0:
            compute += job.checkpoint_seconds
        ready = start + compute * self._edges.node_factors(start) + late
        shaken = np.clip(draw.standard_normal(self.rows.shape), -3.0, 3.0)
        return self._communicate(number, start, ready, 1.0 + noise.step_rate * shaken)

    def _communicate(
        self, number: int, start: float, ready: NDArray[np.float64], noise: NDArray[np.float64]
    ) -> Step:
        """Let the rings run once all that an edge needs (both its ends) is ready."""
        wanted = self.job.burst_rate * self._nic_rate
        first = np.broadcast_to(np.maximum(ready, np.roll(ready, -1)), self.rows.shape)
        begins, paces, firsts, rates = [], [], [], []
        for chunks in self._runs:
            begin = first.min(axis=1)
            rate = self._edges.limit(begin, wanted, noise)
            seconds = self._chunk_bytes / rate
            pace = seconds.max(axis=1)
            first = self._edges.wait_for_links(first, seconds * chunks)
            begins.append(begin)
            paces.append(pace)
            firsts.append(first)
            rates.append(rate)
            # Nobody goes on before the edge that began last has kept the pace of the slowest.
            over = first.max(axis=1) + chunks * pace
            first = np.broadcast_to(over[:, None], self.rows.shape)
        return Step(
            number=number,
            start=start,
            end=float(first.max()),
            ready=ready,
            begin=np.array(begins),
            pace=np.array(paces),
            first=np.array(firsts),
            rate=np.array(rates),
        )


def _runs(job: Job) -> NDArray[np.intp]:
    """Chunks of each run; the first run is one chunk, as its edges begin one by one."""
    chunk_seconds = job.bytes_per_step / job.chunks_per_step / job.burst_rate
    most = max(int(_RUN_SECONDS / chunk_seconds), 1)
    whole, rest = divmod(job.chunks_per_step - 1, most)
    return np.array([1, *[most] * whole, *([rest] if rest else [])])
