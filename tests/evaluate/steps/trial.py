"""One made-up run, followed as the agent would, and how far what was found is from the truth."""

from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass

import numpy as np

from agent.stepping import Watched, shares, watch
from railwatch.catalogue.step import Unresolved
from support.training import (
    STEADY,
    Course,
    Gauge,
    Run,
    Sampling,
    Shape,
    accumulated,
    bucketed,
    burst,
    input_bound,
    micro_bursts,
    pipelined,
    train,
)

# Other seeds than those that the tracker was made with.
SEED = 20_261_128
WORKERS = 4
# A period that is off by more is another one: a harmonic.
WRONG = 0.15

PLAIN = Sampling()

SHAPES: dict[str, Shape] = {
    "buckets, 0 % exposed": bucketed(0.0),
    "buckets, 6 %": bucketed(0.06),
    "buckets, 23 %": bucketed(0.23),
    "buckets, 58 %": bucketed(0.58, 0.2),
    "one burst, 6 %": burst(0.06),
    "one burst, 23 %": burst(0.23),
    "accumulation, 8 micro-batches, 10 %": accumulated(0.1),
    "pipeline, 12 % bubble, 10 %": pipelined(0.1),
    "micro-bursts, 20 %": micro_bursts(0.2),
    "late input, 15 % idle, 10 %": input_bound(0.1),
}


@dataclass(frozen=True)
class Trial:
    """What a run is like, and how it is seen."""

    shape: str
    step_seconds: float
    sampling: Sampling = PLAIN
    gauge: Gauge | None = None
    course: Course = STEADY
    number: int = 0

    def length(self) -> float:
        """Seconds: as many steps as a lag wants, within what is looked back on."""
        return min(max(30.0, 36 * self.step_seconds), 115.0)


@dataclass(frozen=True)
class Outcome:
    """What came of a trial; None is withheld."""

    period_error: float | None
    rounds: int
    wrong_rounds: int
    share_error: float | None
    steps_ratio: float
    reason: Unresolved | None


def run_trials(trials: Sequence[Trial]) -> list[Outcome]:
    """Run all, some at a time, and return their outcomes in order."""
    with ProcessPoolExecutor(max_workers=WORKERS) as pool:
        return list(pool.map(run_trial, trials, chunksize=4))


def run_trial(trial: Trial) -> Outcome:
    """Make the run and follow it to its end."""
    # The name in the seed: trials that differ in shape alone share nothing.
    named = int.from_bytes(trial.shape.encode(), "big") % 2**63
    key = [SEED, named, round(1000 * trial.step_seconds), trial.number]
    rng = np.random.default_rng(key)
    # So that no length is a whole number of samples.
    step = trial.step_seconds * rng.uniform(1.0, 1.1)
    run = train(SHAPES[trial.shape], step, trial.length(), rng, trial.course)
    watched = watch(run, rng, sampling=trial.sampling, gauge=trial.gauge)
    return _outcome(run, watched)


def _outcome(run: Run, watched: Watched) -> Outcome:
    view = watched.view
    # The length now is that of the last forty steps or twenty seconds.
    recent = max(20.0, 40 * float(np.median(run.ends - run.starts)))
    true = run.period(run.seconds - recent, run.seconds)
    published = [v.period_seconds for v in watched.views if v.period_seconds is not None]
    usual = run.period(0, run.seconds)
    share = None
    if view.is_split and view.totals.split_steps:
        share = shares(view)["exposed"] - run.share()["exposed"]
    return Outcome(
        None if view.period_seconds is None else view.period_seconds / true - 1,
        len(published),
        sum(abs(seconds / usual - 1) > WRONG for seconds in published),
        share,
        view.totals.steps / len(run.starts),
        view.reason,
    )
