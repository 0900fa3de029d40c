"""How often the period is right, withheld, or a harmonic."""

from collections.abc import Iterable
from dataclasses import replace
from itertools import product

import numpy as np

from evaluate.counting import share, table
from evaluate.steps.trial import PLAIN, SHAPES, WRONG, Outcome, Trial, run_trials
from support.training import STEADY, Course, Sampling

LENGTHS = (0.2, 0.35, 0.5, 1.0, 2.2, 9.1)
# By rate, trials of each shape and length; what is promised is promised at 20 Hz.
RATES = {10: 1, 20: 7, 50: 1}
_NOISY_LENGTHS = (0.35, 1.0, 2.2)
_DISTURBANCES: dict[str, tuple[Sampling, Course]] = {
    "nothing": (PLAIN, STEADY),
    "10 % of samples up to 4 intervals late": (Sampling(late=0.1), STEADY),
    "30 % late": (Sampling(late=0.3), STEADY),
    "other traffic, 2 % of line rate in the mean": (Sampling(background=0.02), STEADY),
    "other traffic, 10 %": (Sampling(background=0.1), STEADY),
    "host stalls of up to 80 ms, one a second": (Sampling(stalls=1.0), STEADY),
    "host stalls, five a second": (Sampling(stalls=5.0), STEADY),
    "lengths that vary by 5 %": (PLAIN, Course(variation=0.05)),
    "lengths that vary by 10 %": (PLAIN, Course(variation=0.1)),
    "lengths that vary by 20 %": (PLAIN, Course(variation=0.2)),
    "lengths that grow by 30 % in a run": (PLAIN, Course(drift=0.3)),
}
_HEAD = (
    "another period at the end",
    "in any round that said one",
    "withheld at the end",
    "error, median",
    "95 %",
    "within 1 %",
)


def by_rate() -> tuple[str, dict[tuple[int, float], list[Outcome]]]:
    """Return the table over sampling rates and lengths, and what it was made of."""
    found: dict[tuple[int, float], list[Outcome]] = {}
    for rate, length in product(RATES, LENGTHS):
        trial = Trial("", length, Sampling(1 / rate))
        found[rate, length] = _of_all_shapes(trial, RATES[rate])
    rows = [
        [f"{rate} Hz", f"{length:g} s", f"{rate * length:g}", *_numbers(outcomes)]
        for (rate, length), outcomes in found.items()
    ]
    return table(("sampled at", "step", "samples a step", *_HEAD), rows), found


def by_shape(found: dict[tuple[int, float], list[Outcome]]) -> str:
    """Return the table over shapes, from the trials at 20 Hz."""
    cells = [outcomes for (rate, _), outcomes in found.items() if rate == 20]
    each = RATES[20]
    rows = [
        [name, *_numbers(o for cell in cells for o in cell[at * each : (at + 1) * each])]
        for at, name in enumerate(SHAPES)
    ]
    every = [outcome for cell in cells for outcome in cell]
    rows.append(["all", *_numbers(every)])
    return table(("shape", *_HEAD), rows)


def by_noise() -> str:
    """Return the table over what disturbs the samples and the steps, at 50 Hz."""
    rows = []
    for name, (sampling, course) in _DISTURBANCES.items():
        outcomes = [
            outcome
            for length in _NOISY_LENGTHS
            for outcome in _of_all_shapes(Trial("", length, sampling, course=course), 1)
        ]
        rows.append([name, *_numbers(outcomes)])
    return table(("disturbed by", *_HEAD), rows)


def _of_all_shapes(trial: Trial, each: int) -> list[Outcome]:
    """Return the outcomes of trials like one, so many of each shape."""
    return run_trials(
        [replace(trial, shape=name, number=at) for name in SHAPES for at in range(each)]
    )


def _numbers(outcomes: Iterable[Outcome]) -> list[str]:
    outcomes = list(outcomes)
    errors = [o.period_error for o in outcomes if o.period_error is not None]
    right = np.abs([error for error in errors if abs(error) <= WRONG])
    wrong = len(errors) - len(right)
    rounds, wrong_rounds = sum(o.rounds for o in outcomes), sum(o.wrong_rounds for o in outcomes)
    return [
        share(wrong, len(errors)),
        f"{wrong_rounds}/{rounds}",
        share(len(outcomes) - len(errors), len(outcomes)),
        *(
            ("", "")
            if not len(right)
            else (f"{np.median(right):.2%}", f"{np.percentile(right, 95):.2%}")
        ),
        f"{np.count_nonzero(right <= 0.01)}/{len(errors)}",
    ]
