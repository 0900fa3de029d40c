# SPDX-License-Identifier: Apache-2.0
"""Where one step ends and the next begins: the falling edge that comes once a step.

A step ends when its last bytes were sent. In each step that is the moment after which least is
sent, compared with what was sent just before. Which of several such moments it is, is decided for
all steps together: the chain is chosen whose edges are steepest and whose links are near a period.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

# Steps shorter or longer than this, in periods, are none: what lies between is a pause.
SHORTEST: Final = 0.5
LONGEST: Final = 1.5
# Share of a period before and after an edge whose bytes are compared.
REACH: Final = 0.2
# An edge less steep than this share of the usual one ends no step.
_LEAST_EDGE: Final = 0.25
# A period whose steepest edge is flatter than this share of the steepest of all has none.
_NO_EDGE: Final = 0.1
# How much a link that is a period too long or short takes away, in usual edges.
_STIFFNESS: Final = 4.0
# What it costs to begin a chain anew: more than to take an edge that is a little off.
_RESTART: Final = 1.0


def falling_edges(cells: NDArray[np.float64], reach: int) -> NDArray[np.float64]:
    """Return for each edge between cells how much less is sent in *reach* cells after than before.

    Shape (n + 1,); zero where either side is not there.
    """
    total = np.concatenate(((0.0,), np.cumsum(np.nan_to_num(cells))))
    steepness = np.zeros(len(total))
    if len(total) > 2 * reach:
        middle = total[reach:-reach]
        steepness[reach:-reach] = 2 * middle - total[: -2 * reach] - total[2 * reach :]
    return steepness


def find_boundaries(
    cells: NDArray[np.float64], period: float, first: float | None = None
) -> NDArray[np.float64]:
    """Return where steps end, in cells from the beginning of *cells*, oldest first.

    *period* is in cells. *first* is a boundary that is known, and is part of the answer.
    """
    reach = max(round(REACH * period), 1)
    steepness = falling_edges(cells, reach)
    usual = _usual_edge(steepness, period)
    if usual <= 0:
        return np.array([] if first is None else [first])
    # Between two edges of one step there is more than the bytes that are compared.
    inner = steepness[1:-1]
    is_top = (inner > steepness[:-2]) & (inner >= steepness[2:]) & (inner > _LEAST_EDGE * usual)
    tops = np.flatnonzero(is_top) + 1
    at, weights = tops.astype(np.float64), np.minimum(steepness[tops] / usual, 1.5)
    before, after = steepness[tops - 1], steepness[tops + 1]
    bend = np.maximum(2 * steepness[tops] - before - after, 1e-12)
    at += np.clip((after - before) / (2 * bend), -0.5, 0.5)
    if first is not None:
        later = at > first + SHORTEST * period
        at = np.concatenate(((first,), at[later]))
        weights = np.concatenate(((1.5,), weights[later]))
    return at[_best_chain(at, weights, period)]


def _usual_edge(steepness: NDArray[np.float64], period: float) -> float:
    """Return the median of the steepest edges, one of each period."""
    length = max(round(period), 1)
    periods = len(steepness) // length
    if periods == 0:
        return float(steepness.max(initial=0.0))
    tops = steepness[: periods * length].reshape(periods, length).max(axis=1)
    tops = np.sort(tops[tops > _NO_EDGE * tops.max()])
    return float(tops[len(tops) // 2]) if len(tops) else 0.0


def _best_chain(at: NDArray[np.float64], weights: NDArray[np.float64], period: float) -> list[int]:
    """Return which edges make the best chain; a link of no step's length begins it anew."""
    count = len(at)
    if count == 0:
        return []
    score = np.empty(count)
    previous = np.full(count, -1)
    # The nearest and the furthest edge that a step which ends here may begin at.
    low = np.searchsorted(at, at - LONGEST * period)
    high = np.searchsorted(at, at - SHORTEST * period, side="right")
    best_before, best_at = -np.inf, -1
    settled = 0
    for one in range(count):
        while settled < high[one]:
            if score[settled] > best_before:
                best_before, best_at = score[settled], settled
            settled += 1
        total, link = (0.0, -1) if best_at < 0 else (best_before - _RESTART, best_at)
        if high[one] > low[one]:
            lengths = (at[one] - at[low[one] : high[one]]) / period
            linked = score[low[one] : high[one]] - _STIFFNESS * (lengths - 1) ** 2
            chosen = int(linked.argmax())
            if linked[chosen] > total:
                total, link = linked[chosen], low[one] + chosen
        score[one], previous[one] = total + weights[one], link
    chain = [int(score.argmax())]
    while previous[chain[-1]] >= 0:
        chain.append(int(previous[chain[-1]]))
    return chain[::-1]
