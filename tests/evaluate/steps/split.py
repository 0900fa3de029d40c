"""How far the inferred exposed share is from the true one, and when it is withheld."""

from itertools import product
from pathlib import Path

import matplotlib as mpl
import numpy as np
from matplotlib.figure import Figure

from evaluate.counting import share, table
from evaluate.steps.trial import Outcome, Trial, run_trials
from support.training import Gauge, Sampling

_FAST = 0.02
_GAUGES: dict[str, Gauge] = {
    "50 Hz": Gauge(_FAST, _FAST, noise=0.02),
    "50 Hz, 30 ms late": Gauge(_FAST, _FAST, 0.03, noise=0.02),
    "50 Hz, 50 ms late": Gauge(_FAST, _FAST, 0.05, noise=0.02),
    "50 Hz, 100 ms late": Gauge(_FAST, _FAST, 0.1, noise=0.02),
    "50 Hz, in steps of 10 %": Gauge(_FAST, _FAST, 0.01, quantum=0.1),
    "10 Hz, mean of 100 ms": Gauge(0.1, 0.1, 0.02, noise=0.02),
    "10 Hz, mean of 200 ms (GPM)": Gauge(0.1, 0.2, noise=0.02),
    "10 Hz, mean of 1 s (power)": Gauge(0.1, 1.0, noise=0.02),
}
_LENGTHS = (0.35, 0.5, 1.0, 2.2, 9.1)
_TRUE = ("buckets, 0 % exposed", "buckets, 6 %", "buckets, 23 %", "buckets, 58 %")
_OTHERS = (
    "one burst, 6 %",
    "one burst, 23 %",
    "accumulation, 8 micro-batches, 10 %",
    "pipeline, 12 % bubble, 10 %",
    "micro-bursts, 20 %",
    "late input, 15 % idle, 10 %",
)
_HEAD = ("published", "within 5 points", "error in points, mean", "worst")
_POINTS = 0.05

Found = dict[tuple[str, float, str], Outcome]


def run_all() -> Found:
    """Run each shape under each signal and length of step, sampled at 50 Hz."""
    cells = list(product(_GAUGES, _LENGTHS, (*_TRUE, *_OTHERS)))
    trials = [
        Trial(shape, length, Sampling(late=0.02), _GAUGES[gauge]) for gauge, length, shape in cells
    ]
    return dict(zip(cells, run_trials(trials), strict=True))


def by_signal(found: Found) -> str:
    """Return the table over signals and lengths, of the four shares that are asked for."""
    rows = [
        [gauge, f"{length:g} s", *_numbers(found, gauge, length, _TRUE)]
        for gauge, length in product(_GAUGES, _LENGTHS)
    ]
    return table(("signal", "step", *_HEAD), rows)


def by_shape(found: Found) -> str:
    """Return the table over shapes, of all signals and lengths."""
    rows = [[shape, *_numbers(found, None, None, (shape,))] for shape in (*_TRUE, *_OTHERS)]
    rows.append(["all", *_numbers(found, None, None, (*_TRUE, *_OTHERS))])
    return table(("shape", *_HEAD), rows)


def _numbers(
    found: Found, gauge: str | None, length: float | None, shapes: tuple[str, ...]
) -> list[str]:
    outcomes = [
        outcome
        for (of_gauge, of_length, of_shape), outcome in found.items()
        if of_shape in shapes and gauge in {None, of_gauge} and length in {None, of_length}
    ]
    errors = np.array([o.share_error for o in outcomes if o.share_error is not None])
    published = share(len(errors), len(outcomes))
    if not len(errors):
        return [published, "", "", ""]
    worst = errors[np.argmax(np.abs(errors))]
    good = int(np.count_nonzero(np.abs(errors) <= _POINTS))
    return [
        published,
        share(good, len(errors)),
        f"{errors.mean() * 100:+.1f}",
        f"{worst * 100:+.1f}",
    ]


def plot(found: Found, path: Path) -> None:
    """Draw the errors over how much of a step the signal is late and blurred by."""
    points = [
        ((_GAUGES[g].lag_seconds + _GAUGES[g].averaging_seconds) / length, shape, outcome)
        for (g, length, shape), outcome in found.items()
    ]
    # The same text each time, so that a page that did not change shows no difference.
    with mpl.rc_context({"svg.hashsalt": "steps", "svg.fonttype": "none"}):
        figure = Figure(figsize=(8, 3.6), layout="constrained")
        axes = figure.subplots()
        for name, shapes in (("four shares of buckets", _TRUE), ("other shapes", _OTHERS)):
            at = [
                (x, o.share_error)
                for x, s, o in points
                if s in shapes and o.share_error is not None
            ]
            axes.scatter(*zip(*at, strict=True), s=9, label=name, alpha=0.6)
        withheld = [x for x, _, outcome in points if outcome.share_error is None]
        axes.scatter(withheld, [-0.2] * len(withheld), s=9, marker="|", c="grey", label="withheld")
        axes.axhspan(-_POINTS, _POINTS, color="green", alpha=0.08)
        axes.axvline(0.1, color="grey", linewidth=0.8)
        axes.set(
            xscale="log",
            xlabel="true lag and averaging, as a share of the step",
            ylabel="inferred less true exposed share",
        )
        axes.legend(loc="upper left")
        path.parent.mkdir(parents=True, exist_ok=True)
        figure.savefig(path, metadata={"Date": None, "Creator": None})
