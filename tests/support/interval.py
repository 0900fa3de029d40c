"""How sure a share is: the one place for it, in the lab, in training and in the evaluation."""

from __future__ import annotations

import math

_Z = 1.959964


def wilson(hits: int, runs: int) -> tuple[float, float]:
    """Return the 95 % interval of a share of *hits* among *runs* (Wilson 1927).

    Everything where nothing was tried.

    >>> [round(edge, 3) for edge in wilson(0, 100)]
    [0.0, 0.037]
    """
    if runs == 0:
        return 0.0, 1.0
    share, square = hits / runs, _Z * _Z
    middle = share + square / (2 * runs)
    half = _Z * math.sqrt(share * (1 - share) / runs + square / (4 * runs * runs))
    scale = 1 + square / runs
    return max((middle - half) / scale, 0.0), min((middle + half) / scale, 1.0)
