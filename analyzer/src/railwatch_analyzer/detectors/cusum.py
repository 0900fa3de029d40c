# SPDX-License-Identifier: Apache-2.0
"""Evidence summed over windows: a one-sided CUSUM of each link's shortfall, at two horizons.

Page's test: small shifts that no single window shows add up, chance does not. The fast horizon
takes off more each window and finds large shifts in half a minute; the slow one finds small shifts
in minutes. What a window adds is bounded, so that no single odd one alarms. Pure: the sums are a
value, and a window that says nothing changes nothing.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from railwatch_analyzer.features import FEATURES, Direction, Kind

if TYPE_CHECKING:
    from numpy.typing import NDArray

# What is taken off a window's shortfall, in spreads: half of the shift that a horizon is best at.
ALLOWANCE: NDArray[np.float64] = np.array([1.5, 0.6])
HORIZONS = ("fast", "slow")
_SLOW = HORIZONS.index("slow")
# The shapes of one direction shrink together: their mean is steadier than each.
_SHAPES = [
    [i for i, f in enumerate(FEATURES) if f.kind is Kind.RATE and f.direction is direction]
    for direction in (Direction.TRANSMIT, Direction.RECEIVE)
]
STREAMS = len(_SHAPES)
# The column of each stream that says how much lower bursts are.
_DEPTHS = [next(i for i in columns if FEATURES[i].material is not None) for columns in _SHAPES]
# A window adds so many spreads at most, and takes away as many.
_MOST = 3.0
# A usual that was learned from n windows is off by 1/sqrt(n) spreads; twice that is not held
# against a link.
_DOUBT = 2.0
# What is remembered of a sum, in limits: enough to rank for a quarter of an hour.
_MOST_LIMITS = 50.0
# Healthy evidence that ends an alarm: five windows as usual.
_WELL = 4.0
_WELL_ALLOWANCE = 1.0
# Share of the newest window in what a link deviated by of late.
_NEWEST = 0.25
# The same for how deep it went, which may show in some windows only.
_NEWEST_DEPTH = 0.1
# Bursts that are lower by less are nobody's business, however sure it is.
_LEAST_DEPTH = float(np.log(1 / 0.9))
_IMMATERIAL_SCORE = 0.45


@dataclass(frozen=True, slots=True)
class Sums:
    """What was summed up, a row per link.

    Attributes
    ----------
    sums
        Shape (links, streams, horizons), in spreads.
    since
        Shape (links, streams, horizons): end of the last window at which the sum was nothing.
    well
        Shape (links,): evidence against an alarm, in spreads.
    lasting
        Shape (links, features): deviation of late, on the scale of comparison.
    depth
        Shape (links, streams): mean square of what bursts were lower by of late.
    """

    sums: NDArray[np.float64]
    since: NDArray[np.float64]
    well: NDArray[np.float64]
    lasting: NDArray[np.float64]
    depth: NDArray[np.float64]

    @property
    def is_well(self) -> NDArray[np.bool_]:
        """Which links were as usual for so long that an alarm of theirs may end."""
        return np.asarray(self.well >= _WELL)


def no_sums(links: int) -> Sums:
    """Return the sums of *links* links before their first window."""
    cells = (links, STREAMS, len(HORIZONS))
    return Sums(
        sums=np.zeros(cells),
        since=np.full(cells, np.nan),
        well=np.zeros(links),
        lasting=np.zeros((links, len(FEATURES))),
        depth=np.zeros((links, STREAMS)),
    )


def shortfalls(
    deviation: NDArray[np.float64], spread: NDArray[np.float64], windows: NDArray[np.int64]
) -> NDArray[np.float64]:
    """Return what a window adds for each stream before the allowance; shape (links, streams).

    Parameters
    ----------
    deviation, spread
        Shape (links, features): worse than peers and past by so much, of a spread of so much.
    windows
        Shape (links,): how many windows the past was learned from.
    """
    units = np.clip(deviation / spread, -_MOST, _MOST)
    mean = np.stack([units[:, columns].mean(axis=1) for columns in _SHAPES], axis=1)
    doubt = _DOUBT / np.sqrt(np.maximum(windows, 1))
    return np.asarray(mean - doubt[:, None])


def accumulate(
    before: Sums,
    shortfall: NDArray[np.float64],
    deviation: NDArray[np.float64],
    judged: NDArray[np.bool_],
    end: float,
) -> Sums:
    """Return *before* after the window that ended at *end* and speaks of the *judged* links."""
    grown = np.maximum(before.sums + shortfall[:, :, None] - ALLOWANCE, 0.0)
    speaks = judged[:, None, None]
    sums = np.where(speaks, grown, before.sums)
    begun = np.where(np.isnan(before.since), end, before.since)
    depth = np.maximum(deviation[:, _DEPTHS], 0.0) ** 2
    worst = shortfall.max(axis=1)
    well = np.maximum(before.well + _WELL_ALLOWANCE - np.clip(worst, -1.0, _MOST), 0.0)
    return Sums(
        sums=sums,
        since=np.where(speaks & (sums <= 0.0), end, begun),
        well=np.where(judged, np.minimum(well, _WELL), before.well),
        lasting=np.where(
            judged[:, None],
            before.lasting + _NEWEST * (deviation - before.lasting),
            before.lasting,
        ),
        depth=np.where(
            judged[:, None],
            before.depth + _NEWEST_DEPTH * (depth - before.depth),
            before.depth,
        ),
    )


def summed_scores(sums: Sums, limits: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the largest sum of each link in units of its horizon's limit; 1 = alarm.

    Where bursts are hardly lower the score stays below the alarm.
    """
    scores = (sums.sums / limits).max(axis=2)
    most = np.where(np.sqrt(sums.depth) >= _LEAST_DEPTH, np.inf, _IMMATERIAL_SCORE)
    return np.asarray(np.minimum(scores, most).max(axis=1))


def weights(sums: Sums, limits: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return how much speaks against each link over a long time; shape (links,), for ranking."""
    return np.asarray((sums.sums / limits)[:, :, _SLOW].max(axis=1))


def beginnings(sums: Sums, limits: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return since when the largest sum of each link grows, Unix seconds; NaN before a window."""
    rows = np.arange(len(sums.sums))
    largest = (sums.sums / limits).reshape(len(rows), -1).argmax(axis=1)
    return np.asarray(sums.since.reshape(len(rows), -1)[rows, largest])


def bounded(
    sums: Sums,
    limits: NDArray[np.float64],
    *,
    explained: NDArray[np.bool_],
    ended: NDArray[np.bool_],
    begun: NDArray[np.bool_],
) -> Sums:
    """Return *sums* as they go into the next window.

    Those of a link whose alarm *ended* begin anew; those that another link's fault *explained* stay
    below their limits; all stay within what can be forgotten again. Where an alarm has *begun*,
    evidence that it is over is counted from now on.
    """
    most = np.where(explained, 0.9, _MOST_LIMITS)[:, None, None] * limits
    kept = np.minimum(sums.sums, most)
    return replace(
        sums,
        sums=np.where(ended[:, None, None], 0.0, kept),
        well=np.where(begun | ended, 0.0, sums.well),
    )
