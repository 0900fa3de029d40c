# SPDX-License-Identifier: Apache-2.0
"""A link's own healthy past: what residual is usual for it, and how much it scatters.

Learned quickly at first, then slowly; frozen while the link is suspect, so that a fault never
becomes the new normal.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from railwatch_analyzer.features import FEATURES, NOISE_FLOOR, Kind

if TYPE_CHECKING:
    from numpy.typing import NDArray

# Windows of activity before a link is judged: 40 s at the default window.
WARM_UP = 8
# Later a window moves the usual by this share: half of a lasting change in about ten minutes.
_SLOW = 1 / 180
# The usual level of bursts follows a change in five minutes, a short pause hardly.
_LEVEL_SLOW = 1 / 60
_LEVEL_STEP = 1.0
# Mean absolute deviation of a normal variable times this is its standard deviation.
_TO_SIGMA = 1.2533
# One odd window may move the usual by so many spreads.
_ODD = 4.0
# A link that moves this many times fewer or more bytes than it should does other work.
OTHER_WORK = float(np.log(2.5))
# A link that moves as much as its peers and is by more than this flatter than they, from the
# first window on, was degraded before anybody looked: that is not its normal.
_MOST_OFFSET = float(np.log(1 / 0.8))
_RATES = np.array([feature.kind is Kind.RATE for feature in FEATURES])


@dataclass(frozen=True, slots=True)
class Baseline:
    """What is usual, a row per link.

    Attributes
    ----------
    usual
        Shape (links, features): residual on the scale of comparison, positive is worse.
    spread
        Shape (links, features): mean absolute deviation from it.
    windows
        Shape (links,): windows learned from.
    bytes_offset
        Shape (links,): log ratio of the link's bytes to its peers'; NaN while unknown.
    level
        Shape (links,): log of the burst rate that is usual for it; NaN while unknown.
    """

    usual: NDArray[np.float64]
    spread: NDArray[np.float64]
    windows: NDArray[np.int64]
    bytes_offset: NDArray[np.float64]
    level: NDArray[np.float64]

    @property
    def learned(self) -> NDArray[np.bool_]:
        """Which links can be judged; shape (links,)."""
        return np.asarray(self.windows >= WARM_UP)


def no_past(links: int) -> Baseline:
    """Return the baseline of *links* links that nothing is known of."""
    cells = np.zeros((links, len(FEATURES)))
    unknown = np.full(links, np.nan)
    return Baseline(cells, cells, np.zeros(links, dtype=np.int64), unknown, unknown)


def forget(baseline: Baseline, rows: NDArray[np.bool_]) -> Baseline:
    """Return *baseline* without the past of *rows*: a new job or new peers are a new normal."""
    return Baseline(
        usual=np.where(rows[:, None], 0.0, baseline.usual),
        spread=np.where(rows[:, None], 0.0, baseline.spread),
        windows=np.where(rows, 0, baseline.windows),
        bytes_offset=np.where(rows, np.nan, baseline.bytes_offset),
        level=np.where(rows, np.nan, baseline.level),
    )


def learn(
    baseline: Baseline,
    residual: NDArray[np.float64],
    bytes_offset: NDArray[np.float64],
    rows: NDArray[np.bool_],
) -> Baseline:
    """Return *baseline* after a window in which *rows* were active and not suspect.

    A link that turns to other work while it is young begins anew: a job begins with one rank that
    sends its weights to all others, and what is learned of that is usual for nothing that follows.

    Parameters
    ----------
    residual
        Shape (links, features), positive is worse; unknown cells change nothing.
    bytes_offset
        Shape (links,), log ratio of bytes to the peers'.
    """
    turned = np.abs(bytes_offset - baseline.bytes_offset) > OTHER_WORK
    baseline = forget(baseline, rows & turned & ~baseline.learned)
    windows = baseline.windows + rows
    weight = np.maximum(1.0 / np.maximum(windows, 1), _SLOW)[:, None]
    step = np.nan_to_num(residual - baseline.usual, nan=0.0)
    young = (baseline.windows < WARM_UP // 2)[:, None]
    bound = _ODD * np.maximum(baseline.spread * _TO_SIGMA, NOISE_FLOOR)
    step = np.where(young, step, np.clip(step, -bound, bound))
    changing = rows[:, None] & np.isfinite(residual)
    # The step from an empty past is the level itself and no scatter.
    scatter = np.where(windows[:, None] > 1, np.abs(step), 0.0)
    before = np.where(np.isnan(baseline.bytes_offset), bytes_offset, baseline.bytes_offset)
    moved = np.nan_to_num(bytes_offset - before, nan=0.0)
    return Baseline(
        usual=np.where(changing, baseline.usual + weight * step, baseline.usual),
        spread=np.where(
            changing, baseline.spread + weight * (scatter - baseline.spread), baseline.spread
        ),
        windows=windows,
        bytes_offset=np.where(rows, before + weight[:, 0] * moved, baseline.bytes_offset),
        level=baseline.level,
    )


def learn_level(
    baseline: Baseline, level: NDArray[np.float64], rows: NDArray[np.bool_]
) -> Baseline:
    """Return *baseline* after a window in which *rows* had bursts of this *level*, shape (links,).

    Pauses are learned from too, or a job that has become calmer would pause for ever.
    """
    step = np.clip(level - baseline.level, -_LEVEL_STEP, _LEVEL_STEP)
    weight = np.maximum(1.0 / np.maximum(baseline.windows, 1), _LEVEL_SLOW)
    after = np.where(np.isnan(baseline.level), level, baseline.level + weight * step)
    return replace(baseline, level=np.where(rows & np.isfinite(level), after, baseline.level))


def accepted_usual(baseline: Baseline) -> NDArray[np.float64]:
    """Return the usual that a link is judged against; shape (links, features).

    Where bytes are conserved the usual may not excuse flatter bursts than `_MOST_OFFSET`.
    """
    conserved = (np.abs(baseline.bytes_offset) < np.log(1.1))[:, None]
    bounded = np.minimum(baseline.usual, _MOST_OFFSET)
    return np.where(conserved & _RATES, bounded, baseline.usual)


def group_spread(baseline: Baseline, groups: NDArray[np.int64]) -> NDArray[np.float64]:
    """Return the spread of each cell as its group has it (median), as a standard deviation.

    Pooled, because a link's own few windows say little of its tail. Shape (links, features).
    """
    out = np.zeros_like(baseline.spread)
    learned = baseline.windows > 1
    for group in np.unique(groups):
        rows = groups == group
        members = rows & learned
        if members.any():
            out[rows] = np.median(baseline.spread[members], axis=0)
    return np.maximum(out * _TO_SIGMA, NOISE_FLOOR)
