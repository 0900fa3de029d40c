# SPDX-License-Identifier: Apache-2.0
"""Max-min fair sharing of a capacity (Bertsekas and Gallager, Data Networks, section 6.5)."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray


def max_min(
    demand: NDArray[np.float64], capacity: NDArray[np.float64] | float
) -> NDArray[np.float64]:
    """Return what each flow gets of *capacity*.

    Nobody gets more than it asks for, and nobody could get more but from one that has no more.

    Parameters
    ----------
    demand
        Shape (..., flows), not negative.
    capacity
        Shape (...), what the flows of the last axis share.
    """
    flows = demand.shape[-1]
    room = np.asarray(capacity, dtype=np.float64)[..., None]
    if flows == 1:
        return np.minimum(demand, room)
    ordered = np.sort(demand, axis=-1)
    below = np.cumsum(ordered, axis=-1) - ordered
    # The k smallest have all they ask for and the others an equal part of the rest: that part
    # grows with k while the next one asks for less than it, and then falls.
    level = ((room - below) / np.arange(flows, 0, -1)).max(axis=-1, keepdims=True)
    return np.asarray(np.minimum(demand, np.maximum(level, 0.0)))
