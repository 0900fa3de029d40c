"""Random faults for a trace that was judged: which NIC, how much, which way, when."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from evaluate.figures import share
from evaluate.folds import with_faults
from evaluate.injection import RECEIVE, TRANSMIT, Cap, Coupling, mean_demand, observed_peak

if TYPE_CHECKING:
    from collections.abc import Sequence

    from evaluate.folds import Fold, Outcome

HORIZON = 300.0
DIRECTIONS = ((TRANSMIT,), (RECEIVE,), (TRANSMIT, RECEIVE))
# A cap has to leave so much more than the mean demand, or bytes alone would give it away.
_ROOM = 1.05
# How long a job that waits for its culprit is looked at after that was named.
_PATIENCE = 60.0
_GIGABIT = 1e9 / 8


@dataclass(frozen=True, slots=True)
class Severity:
    """How far a NIC is held down: to a share of its own peak, or to a rate in Gbit/s."""

    share: float | None = None
    gigabits: float | None = None

    def __str__(self) -> str:
        return f"{self.gigabits:g} Gbit/s" if self.share is None else f"{self.share:g} of peak"

    def rate(self, peak: float) -> float:
        """Return bytes per second for a NIC with this *peak*."""
        if self.share is not None:
            return self.share * peak
        return (self.gigabits or 0.0) * _GIGABIT


@dataclass(frozen=True, slots=True)
class Part:
    """When faults may begin, and at which links (all by default); and the seed of the draw."""

    since: float
    until: float
    seed: int
    links: tuple[int, ...] | None = None


def draw_cap(fold: Fold, severity: Severity, coupling: Coupling, part: Part, number: int) -> Cap:
    """Draw fault *number* of a cell; its random numbers depend on nothing else."""
    recording = fold.recording
    draw = np.random.default_rng([part.seed, number, int(1000 * severity.rate(1.0) % 1e9)])
    links = part.links or tuple(range(len(recording.links)))
    counters = DIRECTIONS[number % len(DIRECTIONS)]
    for _ in range(200):
        link = links[int(draw.integers(len(links)))]
        onset = float(draw.uniform(part.since, part.until))
        rates = {name: severity.rate(observed_peak(recording, link, name)) for name in counters}
        room = all(
            rate > _ROOM * mean_demand(recording, link, name, onset, onset + HORIZON)
            for name, rate in rates.items()
        )
        if room or coupling is not Coupling.NONE:
            return Cap(link, rates, coupling, onset, int(draw.integers(1 << 30)))
    raise ValueError(f"no NIC has room for {severity}")


def run_cell(
    fold: Fold, severity: Severity, coupling: Coupling, part: Part, count: int
) -> list[Outcome]:
    """Run *count* faults, one at a time; where others may be named too, a minute longer."""
    patience = 0.0 if coupling is Coupling.NONE else _PATIENCE
    return [
        with_faults(fold, [draw_cap(fold, severity, coupling, part, number)], HORIZON, patience)[0]
        for number in range(count)
    ]


def found_within(outcomes: Sequence[Outcome], seconds: float) -> str:
    """Return the share of faults whose culprit had a finding in so many seconds."""
    return share(sum(o.delay <= seconds for o in outcomes), len(outcomes))


def median_delay(outcomes: Sequence[Outcome]) -> str:
    """Return the median delay over all faults; a miss is infinitely late."""
    middle = float(np.median([o.delay for o in outcomes]))
    return f"{middle:.0f} s" if np.isfinite(middle) else "-"


def ranked_first(outcomes: Sequence[Outcome], top: int = 1) -> str:
    """Return how often the culprit led the candidates of a job's first finding."""
    said = [o for o in outcomes if o.ranking]
    return share(sum(o.culprit in o.ranking[:top] for o in said), len(said))


def others_named(outcomes: Sequence[Outcome]) -> str:
    """Return in how many faults links that were not to blame had a finding too, and how many."""
    others = [len(set(o.named) - {o.culprit}) for o in outcomes]
    return f"{sum(other > 0 for other in others)} / {len(others)} (most {max(others)})"
