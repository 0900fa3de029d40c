# SPDX-License-Identifier: Apache-2.0
"""What the anomaly detector adds to a plain threshold on the exposed share, and to step times."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from evaluate.counting import share, table
from evaluate.jobs.telling import frames_of, tell
from railwatch_analyzer.simulation.step_jobs import StepJob, Trouble, records

if TYPE_CHECKING:
    from collections.abc import Callable

    from railwatch_analyzer.jobs.state import Job

_FIRST_SEED = 3000
_JOBS = 10
_ONSET = 100
_AFTER = 25
_VARIATIONS = (0.002, 0.02, 0.07)
# Exposed share before and after, of the length before.
_RISES = ((0.05, 0.08), (0.05, 0.12), (0.10, 0.17), (0.10, 0.30))
_JUDGES: dict[str, Callable[[Job], bool]] = {
    "threshold 20 %": lambda job: bool(job.bound.bound),
    "length of steps": lambda job: job.pace.slowed,
    "detector": lambda job: job.shift.changed,
    "all that is told": lambda job: bool(job.bound.bound) or job.is_slow,
}


def report() -> str:
    """Return what each finds within 25 steps, and what each says of healthy jobs."""
    rows = []
    for before, after in _RISES:
        for variation in _VARIATIONS:
            counts = _counts(before, after, variation)
            rise = f"{before:.0%} to {after:.0%}".replace("%", " %")
            spread = f"{variation:.1%}".replace("%", " %")
            rows.append([rise, spread, *(share(number, _JOBS) for number in counts)])
    healthy = np.zeros(len(_JUDGES), dtype=int)
    for variation in _VARIATIONS:
        healthy += _counts(0.05, 0.05, variation)
    quiet = len(_VARIATIONS) * _JOBS
    rows.append(["healthy: false alarms", "all", *(share(int(n), quiet) for n in healthy)])
    head = ("exposed share", "variation", *_JUDGES)
    return (
        f"{_JOBS} simulated jobs of 4 nodes a row, seeds from {_FIRST_SEED} on, {_ONSET} healthy "
        f"steps and then {_AFTER} with communication that is hidden less.\n\n{table(head, rows)}"
    )


def _counts(before: float, after: float, variation: float) -> np.ndarray:
    found = np.zeros(len(_JUDGES), dtype=int)
    for number in range(_JOBS):
        job = StepJob(
            nodes=4,
            exposed=before,
            noise=variation,
            trouble=Trouble.LATENCY,
            factor=after / before,
            onset=_ONSET,
            seed=_FIRST_SEED + number,
        )
        frames = frames_of(records(job, _ONSET + _AFTER, start=1.7e9))
        said = np.zeros(len(_JUDGES), dtype=bool)
        jobs = None
        for frame in frames:
            jobs = tell([frame], jobs).jobs
            (view,) = jobs.jobs.values()
            if view.gathering.closed is not None and view.gathering.closed >= _ONSET - 20:
                said |= [judge(view) for judge in _JUDGES.values()]
        found += said
    return found
