# SPDX-License-Identifier: Apache-2.0
"""What is known of the jobs between two rounds; values, as the rest of the state."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from railwatch_analyzer.jobs.bound import Bound
from railwatch_analyzer.jobs.causes import Diagnosis, Past
from railwatch_analyzer.jobs.gathering import Gathering
from railwatch_analyzer.jobs.pace import Pace
from railwatch_analyzer.jobs.rails import NO_RAILS, RailCounters, RailsSeen, no_counters
from railwatch_analyzer.jobs.shift import Shift
from railwatch_analyzer.jobs.stragglers import Stragglers, nobody
from railwatch_analyzer.jobs.workload import Workload

if TYPE_CHECKING:
    from collections.abc import Mapping

    from railwatch_analyzer.findings import Finding, Key
    from railwatch_analyzer.step_frame import StepCounters


@dataclass(frozen=True, slots=True)
class Job:
    """One job.

    Attributes
    ----------
    seen_at
        When a step of it was last heard of, Unix seconds.
    seconds
        Length of the last step; NaN before the first.
    transmitted
        Bytes that a member sent in it; NaN is unknown.
    gpus
        GPUs that the job has; 0 where nobody knows.
    nodes
        Its nodes, in order.
    most
        The most members that told of one step.
    rails, past
        What its rails did in the last round, and what they do while it is healthy.
    lost
        GPU-seconds by cause.
    why
        What its waiting or its slowness is put down to now.
    doubt
        Steps in a row that spoke for something else.
    """

    job_id: str
    seen_at: float
    gathering: Gathering = field(default_factory=Gathering)
    pace: Pace = field(default_factory=Pace)
    workload: Workload = field(default_factory=Workload)
    bound: Bound = field(default_factory=Bound)
    shift: Shift = field(default_factory=Shift)
    stragglers: Stragglers = field(default_factory=nobody)
    rails: RailsSeen = NO_RAILS
    past: Past = field(default_factory=Past)
    why: Diagnosis = field(default_factory=Diagnosis)
    doubt: int = 0
    seconds: float = math.nan
    transmitted: float = math.nan
    gpus: int = 0
    nodes: tuple[str, ...] = ()
    most: int = 0
    lost: Mapping[str, float] = field(default_factory=dict)

    @property
    def is_slow(self) -> bool:
        """Whether the job became slow, or loses more of its steps than it used to."""
        return self.pace.slowed or self.shift.changed

    @property
    def is_healthy(self) -> bool:
        """Whether its steps may teach what is usual."""
        quiet = not self.stragglers.standing and not self.rails.bad
        return quiet and self.pace.is_calm and self.shift.is_calm


@dataclass(frozen=True, slots=True)
class Jobs:
    """All jobs.

    Attributes
    ----------
    jobs
        By job_id.
    counters
        The newest step counters of each node, job and source.
    rails
        The newest congestion counters of the rails.
    standing
        Findings about jobs that fire.
    """

    jobs: Mapping[str, Job] = field(default_factory=dict)
    counters: Mapping[tuple[str, str, str], StepCounters] = field(default_factory=dict)
    rails: RailCounters = field(default_factory=no_counters)
    standing: Mapping[Key, Finding] = field(default_factory=dict)
