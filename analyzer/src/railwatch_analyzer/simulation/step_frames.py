# SPDX-License-Identifier: Apache-2.0
"""Frames of a simulated job: what its agents count of its steps, with a rail for each node."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from railwatch.catalogue.rail import (
    RAIL_ADMIN_UP,
    RAIL_CONGESTION,
    RAIL_FAULTS,
    RAIL_PRESENT,
    RAIL_RECEIVE_BYTES,
    RAIL_SPEED,
    RAIL_TRANSMIT_BYTES,
    RAIL_UP,
    TRANSMIT_WINDOW,
    Congestion,
    Fault,
)
from railwatch.catalogue.step import StepSource
from railwatch_analyzer.frame import COLUMNS, POSITION, Frame, Link, column
from railwatch_analyzer.simulation.step_jobs import Simulated, StepJob, Trouble, simulated_steps
from railwatch_analyzer.step_frame import JobFrame, StepCounters

if TYPE_CHECKING:
    from collections.abc import Iterator

LINE_RATE = 50e9
_CALM = 0.4
_FULL = 0.93
_MARKS = 2000.0
_LEAST_MARKS = 2.0


def job_frames(
    job: StepJob, *, start: float, interval_seconds: float = 5.0, job_id: str = "77", gpus: int = 8
) -> Iterator[tuple[Frame, Simulated]]:
    """Yield a frame each interval and the newest step in it, for ever."""
    counted = _Counted(job, job_id, gpus)
    steps, now = simulated_steps(job), start
    step = next(steps)
    while True:
        now += interval_seconds
        last = step
        while start + step.start + step.seconds <= now:
            counted.add(step)
            last, step = step, next(steps)
        counted.pass_time(interval_seconds, last)
        yield counted.frame(now, last), last


class _Counted:
    """What the agents of the job have counted."""

    def __init__(self, job: StepJob, job_id: str, gpus: int) -> None:
        self._job, self._job_id, self._gpus = job, job_id, gpus
        self._links = tuple(Link(f"n{node}", "0", "mlx5_0") for node in range(job.nodes))
        names = ("steps", "seconds", "compute", "communication", "exposed", "stalled", "idle")
        self._steps = {name: np.zeros(job.nodes) for name in (*names, "transmitted")}
        self._events = {kind: np.zeros(job.nodes) for kind in ("marks", "losses")}
        self._random = np.random.default_rng([job.seed, 11])

    def add(self, step: Simulated) -> None:
        """Count a step that ended."""
        for name, grown in (
            ("steps", 1.0),
            ("seconds", step.seconds),
            ("compute", step.compute),
            ("communication", step.communication),
            ("exposed", step.exposed),
            ("idle", step.late),
            ("transmitted", step.transmitted),
        ):
            self._steps[name] = self._steps[name] + grown

    def pass_time(self, seconds: float, step: Simulated) -> None:
        """Count what happens to rails meanwhile."""
        marks = _LEAST_MARKS
        if self._job.trouble is Trouble.CONGESTION:
            marks += _MARKS * step.trouble
        nodes = self._job.nodes
        self._events["marks"] = self._events["marks"] + self._random.poisson(marks * seconds, nodes)
        self._events["losses"] = self._events["losses"] + self._random.poisson(seconds, nodes)

    def frame(self, now: float, step: Simulated) -> Frame:
        """Return what a source sees at *now*, in the order of the nodes' names."""
        order = sorted(range(self._job.nodes), key=self._links.__getitem__)
        size = len(order)
        return Frame(
            time=now,
            links=tuple(self._links[row] for row in order),
            values=self._values(step)[order],
            sampled_at=np.full(size, now),
            window_end=np.full(size, np.floor(now)),
            window_seconds=5.0,
            interval_seconds=5.0,
            job_id=(self._job_id,) * size,
            switch=("",) * size,
            jobs=self._jobs(now),
        )

    def _values(self, step: Simulated) -> np.ndarray:
        values = np.full((self._job.nodes, len(COLUMNS)), np.nan)
        full = self._job.trouble is Trouble.BANDWIDTH
        share = _CALM + (_FULL - _CALM) * step.trouble if full else _CALM
        speed = np.full(self._job.nodes, LINE_RATE)
        if self._job.trouble is Trouble.DEGRADED_LINK and step.trouble > 0:
            speed[self._job.culprit] = LINE_RATE / 2
        for spec in (RAIL_PRESENT, RAIL_ADMIN_UP, RAIL_UP):
            values[:, POSITION[column(spec)]] = 1.0
        values[:, POSITION[column(RAIL_SPEED)]] = speed
        values[:, POSITION[column(TRANSMIT_WINDOW["top_decile"])]] = share * LINE_RATE
        for spec in (RAIL_TRANSMIT_BYTES, RAIL_RECEIVE_BYTES):
            values[:, POSITION[column(spec)]] = self._steps["transmitted"]
        values[:, POSITION[column(RAIL_CONGESTION, Congestion.CNP_HANDLED)]] = self._events["marks"]
        values[:, POSITION[column(RAIL_FAULTS, Fault.RETRANSMIT)]] = self._events["losses"]
        return values

    def _jobs(self, now: float) -> JobFrame:
        counters = tuple(
            StepCounters(
                node=link.node,
                job_id=self._job_id,
                source=StepSource.INFERRED,
                sampled_at=now,
                values={name: float(values[row]) for name, values in self._steps.items()},
            )
            for row, link in enumerate(self._links)
        )
        return JobFrame(
            counters=counters,
            gpus={link.node: self._gpus for link in self._links},
            jobs={link.node: frozenset((self._job_id,)) for link in self._links},
        )
