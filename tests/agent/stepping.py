"""A tracker that follows a made-up run, as the collector lets it follow the tapes."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from railwatch_agent.collectors.steps import StepCollector
from railwatch_agent.steps.history import Samples, Signal
from railwatch_agent.steps.tracker import DELAY_SECONDS, Tracker
from railwatch_agent.steps.view import View
from support.training import Floats, Gauge, Run, Sampling, count_bytes, gauge_activity

ROUND_SECONDS = StepCollector.interval_seconds


@dataclass
class Watched:
    """What was sampled of a run, and the view after each round."""

    rails: Sequence[Samples]
    gpus: Sequence[Samples] = ()
    signal: Signal | None = None
    cell_seconds: float = 0.02
    views: list[View] = field(default_factory=list)

    @property
    def view(self) -> View:
        """The last one."""
        return self.views[-1]

    def at(self, seconds: float) -> View:
        """The view after the first round that ended at *seconds* or later."""
        return self.views[int(-(-seconds // ROUND_SECONDS)) - 1]

    def follow(self, seconds: float, round_seconds: float = ROUND_SECONDS) -> "Watched":
        """Follow it round by round until *seconds* after its beginning, and the delay."""
        tracker = Tracker(self.cell_seconds)
        # Where CLOCK_MONOTONIC begins is nobody's business.
        for now in np.arange(round_seconds, seconds + DELAY_SECONDS + round_seconds, round_seconds):
            since = tracker.read_from(now)
            tracker.observe(
                float(now),
                [_between(rail, since, now) for rail in self.rails],
                # Blocks come once a second.
                [_between(gpu, since, np.floor(now)) for gpu in self.gpus],
                self.signal,
            )
            self.views.append(tracker.view)
        return self


def _between(samples: Samples, since: float, until: float) -> Samples:
    first, last = np.searchsorted(samples.times, (since, until))
    return Samples(samples.times[first:last], samples.values[first:last])


def watch(
    run: Run,
    rng: np.random.Generator,
    *,
    sampling: Sampling | None = None,
    gauge: Gauge | None = None,
    is_share: bool = True,
) -> Watched:
    """Sample *run*, by one rail and, with a gauge, by one GPU, and follow it."""
    sampling = sampling or Sampling()
    gpus, signal = [], None
    if gauge is not None:
        gpus = [Samples(*gauge_activity(run, gauge, rng))]
        signal = Signal("gpm" if is_share else "energy", gauge.averaging_seconds, is_share)
    rails = [Samples(*count_bytes(run, sampling, rng))]
    return Watched(rails, gpus, signal, sampling.interval_seconds).follow(run.seconds)


def shares(view: View) -> dict[str, float]:
    """Return the parts of the steps that were split, as shares."""
    totals = view.totals
    parts = {
        "compute": totals.compute,
        "exposed": totals.exposed,
        "stalled": totals.stalled,
        "idle": totals.idle,
    }
    seconds = sum(parts.values())
    return {name: part / seconds for name, part in parts.items()}


def regular_counter(
    period: float, seconds: float, *, interval: float = 0.02, duty: float = 0.4, rate: float = 1e9
) -> tuple[Floats, Floats]:
    """Return times and a counter that grows in the first part of each period."""
    times = np.arange(0, seconds, interval)
    whole, part = np.divmod(times, period)
    return times, rate * (whole * duty * period + np.minimum(part, duty * period))


RECORDINGS = Path(__file__).resolve().parents[1] / "training" / "recordings"
# Of the signals in a recording, over how long each averages.
RECORDED_SIGNALS = {"ideal": 0.01, "gpm": 0.2}


def recording(name: str) -> dict[str, Floats]:
    """Return the arrays of a real job; `training.recording` says what they are."""
    with np.load(RECORDINGS / f"{name}.npz") as held:
        return {key: held[key].astype(np.float64) for key in held}


def watch_recording(held: dict[str, Floats], signal: str) -> Watched:
    """Follow a real job to its end by one of its signals."""
    rail = Samples(held["rail_times"], held["transmit_bytes"])
    gpu = Samples(held[f"{signal}_times"], held[f"{signal}_activity"])
    of = Signal("gpm", RECORDED_SIGNALS[signal], is_share=True)
    return Watched([rail], [gpu], of).follow(float(held["rail_times"][-1]))
