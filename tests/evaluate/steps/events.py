"""What is counted where steps are not all alike: pauses, first steps, changes."""

from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from itertools import product

import numpy as np

from agent.stepping import shares, watch
from evaluate.counting import table
from evaluate.steps.trial import SEED, SHAPES, WORKERS
from support.training import Course, Gauge, train

SECONDS = 150.0
_COURSES: dict[str, Course] = {
    "nothing": Course(),
    "a pause of 20 s": Course(pauses=((90.0, 20.0),)),
    "pauses of 5 s, every 30 s": Course(pauses=tuple((30.0 * n, 5.0) for n in range(1, 6))),
    "first steps 3, 1.5 and 1.2 times as long": Course(warm_up=(3.0, 1.5, 1.2)),
    "lengths vary by 20 %": Course(variation=0.2),
    "lengths grow by 40 %": Course(drift=0.4),
}
_LENGTHS = (0.5, 2.2)
_GAUGE = Gauge(0.02, 0.02, 0.01, noise=0.02)


@dataclass(frozen=True)
class _Counted:
    """Steps counted against the true ones, the error of their mean length, of the exposed share."""

    ratio: float
    length_error: float
    share_error: float | None


def _count(at: int, step: float, course: Course) -> _Counted | None:
    rng = np.random.default_rng([SEED, at, round(10 * step)])
    run = train([*SHAPES.values()][at], step, SECONDS, rng, course)
    view = watch(run, rng, gauge=_GAUGE).view
    totals = view.totals
    if not totals.steps:
        return None
    # The first steps are longer, and left out.
    length_error = totals.seconds / totals.steps / run.period(20.0, SECONDS) - 1
    share_error = None
    if totals.split_steps:
        share_error = shares(view)["exposed"] - run.share()["exposed"]
    return _Counted(totals.steps / len(run.starts), length_error, share_error)


def by_course() -> str:
    """Return the table: counted against true steps, and the mean length of those counted."""
    runs = list(product(range(len(SHAPES)), _LENGTHS))
    rows = []
    with ProcessPoolExecutor(max_workers=WORKERS) as pool:
        for name, course in _COURSES.items():
            every = [pool.submit(_count, shape, step, course) for shape, step in runs]
            counted = [one for one in (task.result() for task in every) if one is not None]
            rows.append([name, f"{len(counted)} of {len(runs)}", *_numbers(counted)])
    head = (
        "what happens",
        "runs with steps",
        "counted / true, median (range)",
        "error of mean length, median and worst",
        "exposed share within 5 points",
    )
    return table(head, rows)


def _numbers(counted: Sequence[_Counted]) -> list[str]:
    ratios = [one.ratio for one in counted]
    lengths = np.abs([one.length_error for one in counted])
    errors = np.abs([one.share_error for one in counted if one.share_error is not None])
    return [
        f"{np.median(ratios):.3f} ({min(ratios):.3f} to {max(ratios):.3f})",
        f"{np.median(lengths):.2%}, {lengths.max():.2%}",
        f"{np.count_nonzero(errors <= 0.05)} of {len(errors)}",
    ]
