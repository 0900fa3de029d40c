# SPDX-License-Identifier: Apache-2.0
"""Which members of a job do the same work: stages of a pipeline, found in what they compute.

Nobody tells the analyzer how a job is laid out. Ranks of a stage are neighbours, or so many apart
(the two orders that Megatron-LM, DeepSpeed and others number them by), and a stage computes as long
as the others of it. The layout with the largest stages that explains nearly all members is taken.
A lone last stage cannot be told from a slow rank: no layout is found that has it alone.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]

# Members of a stage compute alike to this, as a logarithm.
_ALIKE = 0.03
# So many of the members must be like their stage.
_EXPLAINED = 0.85
_LEAST_STAGE = 2
_SIDE = 2


def stage_numbers(compute: Array) -> NDArray[np.int64] | None:
    """Return the stage of each member, None if no layout explains them.

    Parameters
    ----------
    compute
        Shape (members,), logarithm of the usual compute time, in order of ranks; NaN is unknown.
    """
    count = compute.size
    known = np.isfinite(compute)
    for size in range(count, _LEAST_STAGE - 1, -1):
        if count % size:
            continue
        for stages in _layouts(count, size):
            rest = beside(compute, stages)[known]
            # A layout that makes somebody too fast has put a slow one among its stage's usual ones.
            if rest.min() >= -_ALIKE and np.mean(rest <= _ALIKE) >= _needed(count):
                return stages
    return None


def beside(compute: Array, stages: NDArray[np.int64]) -> Array:
    """Return how much longer each member computes than its stage does (the lower median)."""
    out = np.full(compute.size, np.nan)
    for stage in np.unique(stages):
        rows = np.flatnonzero((stages == stage) & np.isfinite(compute))
        if rows.size:
            ordered = np.sort(compute[rows])
            # Faults make slower, never faster: of two that differ the faster one is healthy.
            out[rows] = compute[rows] - ordered[(rows.size - 1) // 2]
    return out


def _layouts(count: int, size: int) -> list[NDArray[np.int64]]:
    ranks = np.arange(count)
    stages = count // size
    if stages in {1, count}:
        return [ranks // size]
    return [ranks // size, ranks % stages]


def _needed(count: int) -> float:
    """All members but one, or most of many."""
    return min(_EXPLAINED, (count - 1) / count)
