"""What is counted where steps are not all alike: pauses, first steps, changes."""

import numpy as np

from agent.stepping import watch
from evaluate.counting import table
from evaluate.steps.trial import SEED, SHAPES
from support.training import Course, Gauge, train

SECONDS = 150.0
_EACH = 1
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


def by_course() -> str:
    """Return the table: counted against true steps, and the mean length of those counted."""
    rows = []
    for name, course in _COURSES.items():
        ratios, lengths, errors = [], [], []
        for at, shape in enumerate(SHAPES.values()):
            for step in _LENGTHS:
                for number in range(_EACH):
                    rng = np.random.default_rng([SEED, 7, at, round(10 * step), number])
                    run = train(shape, step, SECONDS, rng, course)
                    watched = watch(run, rng, gauge=_GAUGE)
                    totals = watched.view.totals
                    if not totals.steps:
                        continue
                    ratios.append(totals.steps / len(run.starts))
                    # The first steps are longer, and left out.
                    true = run.period(20.0, SECONDS)
                    lengths.append(totals.seconds / totals.steps / true - 1)
                    seconds = totals.compute + totals.exposed + totals.stalled + totals.idle
                    if totals.split_steps:
                        errors.append(totals.exposed / seconds - run.share()["exposed"])
        good = np.count_nonzero(np.abs(errors) <= 0.05)
        rows.append(
            [
                name,
                f"{len(ratios)} of {len(SHAPES) * len(_LENGTHS) * _EACH}",
                f"{np.median(ratios):.3f} ({min(ratios):.3f} to {max(ratios):.3f})",
                f"{np.median(np.abs(lengths)):.2%}, {np.max(np.abs(lengths)):.2%}",
                f"{good} of {len(errors)}",
            ]
        )
    return table(
        (
            "what happens",
            "runs with steps",
            "counted / true, median (range)",
            "error of mean length, median and worst",
            "exposed share within 5 points",
        ),
        rows,
    )
