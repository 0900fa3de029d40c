"""How well steps are found from outside: made-up runs over all that varies, and real recordings."""

from pathlib import Path

from evaluate.figures import revision
from evaluate.steps import events, period, recorded, split
from evaluate.steps.trial import SEED

_ROOT = Path(__file__).resolve().parents[3]
_PLOT = Path("docs", "plots", "steps.svg")


def report() -> str:
    """Return the section, and draw its plot."""
    over_rates, outcomes = period.by_rate()
    splits = split.run_all()
    split.plot(splits, _ROOT / _PLOT)
    return f"""\
## Steps, found from outside

Made-up runs (`tests/support/training.py`, which knows nothing of how steps are found) sampled as
an agent samples, and followed by the agent's own tracker in rounds of 3 s. Seed {SEED}, not those
that the tracker was made with; revision {revision()}. A run is 36 steps long, at least 30 s and
at most 115 s. Intervals are Wilson's, 95 %. Runs are made of few shapes: intervals speak of
seeds, not of jobs that are unlike all of them.

### Period

Each row has ten shapes of a step (next table). *Another period* is one that is off by more than 15
%, a harmonic mostly; it is asked at the end of a run, and the next column is of all rounds until
then. *Withheld* is a run with a reason in place of a period. Errors are of the others, against the
mean of the last 40 steps or 20 s.

{over_rates}

Below four samples a step the true length is an alias of others and nothing in the samples says so:
what is found is wrong more often than it is withheld. At four, narrow bursts are taken for two or
three steps at times.

By shape, at 20 Hz, all lengths:

{period.by_shape(outcomes)}

At 50 Hz, steps of 0.35, 1 and 2.2 s, with what disturbs samples and steps:

{period.by_noise()}

### Exposed share

True shares of about 0, 6, 23 and 58 % (all-reduce of buckets under the backward pass), bytes at 50
Hz. *Published* is a run whose steps are split at its end; where lag and averaging exceed a tenth
of the step they are to be withheld.

{split.by_signal(splits)}

All shapes, over all these signals and lengths. A late input looks like a late signal: it is
withheld where it is long, and wrong by as much as it is short of the limit. In a pipeline whose
bursts are shorter than a sample next to bubbles, a part of the bubble is taken for exposed
communication.

{split.by_shape(splits)}

![Error of the exposed share over lag and averaging]({_PLOT.as_posix()})

### What is counted

All shapes, steps of 0.5 and 2.2 s, {events.SECONDS:g} s. Steps before the period is known are
counted once it is, as far back as two minutes; the last two or three are not settled yet when a
run ends.

{events.by_course()}

### Recorded jobs

PyTorch DDP with gloo over four network namespaces (`tests/training`), with their own marks. As
marked, exposed is all time in which gradients were under way or waited for those of others and
nothing was computed; inferred, waiting in which nothing moves is stalled. Where steps are about
ten times what lag and averaging are, a split is published at times.

{recorded.by_recording()}
"""
