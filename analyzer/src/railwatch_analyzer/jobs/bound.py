# SPDX-License-Identifier: Apache-2.0
"""Is a job communication-bound? The definition: the exposed share of its steps, with hysteresis.

Five steps in a row at 20 % or more make a job bound, ten below 12 % end it; what is in between
changes nothing. It is a definition and no test of significance: a job can be bound from the
beginning.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

ENTER = 0.20
LEAVE = 0.12
_ENTER_STEPS = 5.0
_LEAVE_STEPS = 10.0


@dataclass(frozen=True, slots=True)
class Bound:
    """Whether a job waits for communication.

    Attributes
    ----------
    bound
        Whether it does; None until its exposed share was known for long enough.
    share
        Exposed share of the last step, NaN where it is unknown.
    above, below
        Steps in a row at or above the one threshold, and below the other.
    onset
        When the first of the steps above began to be, Unix seconds.
    """

    bound: bool | None = None
    share: float = math.nan
    above: float = 0.0
    below: float = 0.0
    onset: float = math.nan


def after_share(bound: Bound, share: float, steps: float, *, began: float) -> Bound:
    """Return *bound* after *steps* with an exposed *share*; they began at *began*, Unix seconds."""
    bound = replace(bound, share=share)
    if math.isnan(share):
        return bound
    if share >= ENTER:
        first = began if bound.above == 0.0 and not bound.bound else bound.onset
        bound = replace(bound, above=bound.above + steps, below=0.0, onset=first)
    elif share < LEAVE:
        bound = replace(bound, above=0.0, below=bound.below + steps)
    else:
        bound = replace(bound, below=0.0)
    if not bound.bound and bound.above >= _ENTER_STEPS:
        return replace(bound, bound=True)
    if bound.bound is None and (bound.below > 0.0 or share < ENTER):
        return replace(bound, bound=False)
    if bound.bound and bound.below >= _LEAVE_STEPS:
        return replace(bound, bound=False, onset=math.nan)
    return bound
