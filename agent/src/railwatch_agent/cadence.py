# SPDX-License-Identifier: Apache-2.0
"""A steady cadence: rounds begin on a grid of absolute deadlines, whatever a round takes."""

from __future__ import annotations

import math


def next_deadline(deadline: float, now: float, interval_seconds: float) -> float:
    """Return when the round after the one due at *deadline* is due, never before *now*.

    A round that overran costs whole periods: the missed ones are skipped, not made up for in a
    burst, and the grid stays where it was.

    >>> next_deadline(10.0, 10.2, 1.0), next_deadline(10.0, 13.5, 1.0)
    (11.0, 14.0)
    """
    following = deadline + interval_seconds
    if following > now:
        return following
    missed = math.floor((now - deadline) / interval_seconds)
    return deadline + (missed + 1) * interval_seconds
