# SPDX-License-Identifier: Apache-2.0
"""What a running job asks of its rails, from measured bytes: nothing about its model is known.

The roofline argument (Williams, Waterman, Patterson, CACM 2009) with a rail in place of memory: the
bytes of a step take at least bytes / line rate, and can be hidden in what is left of the step only.
"""

from __future__ import annotations

import math


def demand_ratio(
    bytes_per_step: float,
    *,
    step_seconds: float,
    line_rate: float,
    exposed_seconds: float = 0.0,
) -> float | None:
    """Return bytes / (line rate x (step - exposed)), None where that is no number.

    Parameters
    ----------
    bytes_per_step
        What one rail sends in a step: the mean of the job's rails that carry its traffic.
    step_seconds
        Length of that step.
    line_rate
        What that rail carries, in bytes per second.
    exposed_seconds
        The part of the step in which bytes moved and nothing computed: what is left is all the time
        in which they could have been hidden, and what a step without exposed communication would
        last. Unknown is 0, and the ratio then a lower bound.

    Notes
    -----
    At 1.0 the rails would have to run at line rate for all of that time. Above it part of the bytes
    is exposed however well they are overlapped: only a faster rail, or fewer bytes, help. Below it
    the rails are fast enough on average, and what is exposed is so for want of overlap, or because
    they do not reach their line rate.

    >>> demand_ratio(5e9, step_seconds=2.0, line_rate=12.5e9, exposed_seconds=1.0)
    0.4
    """
    hideable = step_seconds - exposed_seconds
    given = (bytes_per_step, line_rate, hideable)
    if not all(math.isfinite(number) for number in given):
        return None
    if bytes_per_step < 0 or exposed_seconds < 0 or line_rate <= 0 or hideable <= 0:
        return None
    return bytes_per_step / (line_rate * hideable)
