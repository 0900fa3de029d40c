# SPDX-License-Identifier: Apache-2.0
"""Steps that do more work take longer, and nothing is wrong with them.

Where the length of a job's healthy steps went along with the bytes that they moved (sequences of
varying length, experts of varying load), the part that bytes explain is taken off before a step is
judged. ResiHP (arXiv 2605.06374) does the like with sequence lengths that the framework tells.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

_KEPT = 100
_LEAST = 20
# Less variation than this explains nothing.
_LEAST_SPREAD = 0.01
_LEAST_CORRELATION = 0.7
_MOST_SLOPE = 1.5
_DEVIATIONS = 1.4826


@dataclass(frozen=True, slots=True)
class Workload:
    """Healthy steps of late: logarithms of bytes and of seconds, side by side."""

    work: tuple[float, ...] = ()
    seconds: tuple[float, ...] = ()


def learned(workload: Workload, log_bytes: float, log_seconds: float) -> Workload:
    """Return *workload* with a healthy step more; one whose bytes are unknown teaches nothing."""
    if math.isnan(log_bytes):
        return workload
    return replace(
        workload,
        work=(*workload.work, log_bytes)[-_KEPT:],
        seconds=(*workload.seconds, log_seconds)[-_KEPT:],
    )


def explained(workload: Workload, log_bytes: float) -> float:
    """Return by how much a step of so many bytes is usually longer (logarithm); 0 if unknown."""
    if math.isnan(log_bytes) or len(workload.work) < _LEAST:
        return 0.0
    work, seconds = np.array(workload.work), np.array(workload.seconds)
    if _spread(work) < _LEAST_SPREAD:
        return 0.0
    # Nothing is known of work outside what was seen.
    inside = min(max(log_bytes, float(work.min())), float(work.max()))
    return _slope(work, seconds) * (inside - float(np.median(work)))


def _slope(work: NDArray[np.float64], seconds: NDArray[np.float64]) -> float:
    if seconds.std() == 0.0:
        return 0.0
    correlation = float(np.corrcoef(work, seconds)[0, 1])
    if correlation < _LEAST_CORRELATION:
        return 0.0
    return min(correlation * float(seconds.std() / work.std()), _MOST_SLOPE)


def _spread(values: NDArray[np.float64]) -> float:
    return _DEVIATIONS * float(np.median(np.abs(values - np.median(values))))
