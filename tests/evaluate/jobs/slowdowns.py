# SPDX-License-Identifier: Apache-2.0
"""How soon slowdowns are found: injected into a real log, and into jobs that vary more."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from evaluate.counting import share, table
from evaluate.jobs.telling import lengths_told, tell
from evaluate.jobs.traces import llama2_steps

if TYPE_CHECKING:
    import pandas as pd
    from numpy.typing import NDArray

    from railwatch_analyzer.jobs.state import Jobs

_SEED = 5
_ONSETS = 100
_FIRST = 60
_RAMP = 20
_EFFECTS = (0.01, 0.015, 0.02, 0.03, 0.05, 0.10, 0.20)
_VARIATIONS = (0.0014, 0.005, 0.01, 0.02, 0.04, 0.07)
_JOBS = 12
_STEPS = 1000


@dataclass(frozen=True, slots=True)
class _Story:
    """A job as it went, and what was known before each of its steps."""

    seconds: NDArray[np.float64]
    start: float
    states: list[Jobs]


def on_the_log(log: pd.DataFrame) -> str:
    """Report on the Llama-2 log: false alarms, and delays of what is injected."""
    steps = llama2_steps(log)
    seconds = (steps["end"] - steps["start"]).to_numpy()
    start = float(steps["start"].iloc[0])
    heard = tell(lengths_told(list(seconds), start), keep=True)
    hours = seconds.sum() / 3600
    text = (
        f"Llama-2 log, {len(seconds)} steps in {hours:.1f} h, a checkpoint of "
        f"{seconds.max():.0f} s among steps of {np.median(seconds):.1f} s: "
        f"{len(heard.lines)} findings as it is (none in {hours:.1f} h bounds the rate of false "
        f"alarms to {3 / hours:.2f} an hour and no better).\n\n"
    )
    story = _Story(seconds, start, heard.states)
    onsets = np.random.default_rng(_SEED).integers(_FIRST, len(seconds) - 80, _ONSETS)
    rows = [
        [
            f"{effect:.1%}".replace("%", " %"),
            *_found(story, effect, onsets, ramp=0, limit=5),
            *_found(story, effect, onsets, ramp=_RAMP, limit=_RAMP + 5),
        ]
        for effect in _EFFECTS
    ]
    head = (
        *("injected", "step: within 5 steps", "delay p50 / p95"),
        *(f"ramp over {_RAMP}: within {_RAMP + 5}", "delay p50 / p95"),
    )
    return text + table(head, rows)


def _found(
    story: _Story,
    effect: float,
    onsets: NDArray[np.int64],
    *,
    ramp: int,
    limit: int,
) -> tuple[str, str]:
    delays = [_delay(story, effect, int(o), ramp=ramp) for o in onsets]
    known = [delay for delay in delays if delay is not None]
    within = sum(delay <= limit for delay in known)
    spread = f"{np.median(known):.0f} / {np.quantile(known, 0.95):.0f}" if known else "none"
    return share(within, len(delays)), spread


def _delay(story: _Story, effect: float, onset: int, *, ramp: int) -> int | None:
    """Steps from the onset until it is told, None if it is not within 60."""
    after = story.seconds[onset : onset + 60]
    grown = np.minimum(np.arange(1, len(after) + 1) / max(ramp, 1), 1.0)
    begin = story.start + float(story.seconds[:onset].sum())
    frames = lengths_told(list(after * (1 + effect * grown)), begin, first=onset)
    jobs = story.states[onset]
    for number, frame in enumerate(frames, start=1):
        heard = tell([frame], jobs)
        jobs = heard.jobs
        if heard.firing("step_slowdown"):
            return number
    return None


def on_simulated_jobs() -> str:
    """Report on jobs that vary by 0.14 % to 7 %, with steps that hang together or not."""
    rows = [_simulated(v, correlation) for v in _VARIATIONS for correlation in (0.0, 0.5)]
    head = (
        *("variation", "correlation", "false alarms in 1,000 steps", "2 %: within 20 steps"),
        *("5 %: within 20", "10 %: within 20", "25 %: within 5"),
    )
    text = (
        f"Simulated jobs, {_JOBS} a row with seeds of their own, steps with t-distributed noise "
        "(4 degrees of freedom) of the variation given, and a checkpoint every 150 steps. Effects "
        "that are below three median deviations of the job are not told by design.\n\n"
    )
    return text + table(head, rows)


def _simulated(variation: float, correlation: float) -> list[str]:
    found = {0.02: [0, 20], 0.05: [0, 20], 0.10: [0, 20], 0.25: [0, 5]}
    alarms = 0
    for number in range(_JOBS):
        seconds = _noisy(variation, correlation, number)
        heard = tell(lengths_told(list(seconds), 0.0), keep=True)
        alarms += len(heard.firing("step_slowdown"))
        for effect, counts in found.items():
            delay = _delay(_Story(seconds, 0.0, heard.states), effect, 400 + number, ramp=0)
            counts[0] += delay is not None and delay <= counts[1]
    shares = [share(counts[0], _JOBS) for counts in found.values()]
    rate = f"{alarms / _JOBS:.2f} ({alarms} in {_JOBS * _STEPS})"
    return [f"{variation:.2%}".replace("%", " %"), f"{correlation:g}", rate, *shares]


def _noisy(variation: float, correlation: float, number: int) -> NDArray[np.float64]:
    random = np.random.default_rng([_SEED, number, int(1e4 * variation), int(10 * correlation)])
    # Standard deviation 1.
    shocks = random.standard_t(4, _STEPS) / np.sqrt(2.0)
    noise = np.empty(_STEPS)
    last = 0.0
    for step, shock in enumerate(shocks):
        last = correlation * last + np.sqrt(1 - correlation**2) * shock
        noise[step] = last
    seconds = np.exp(variation * noise)
    seconds[149::150] += 0.5
    return np.asarray(seconds)
