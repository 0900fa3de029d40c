# SPDX-License-Identifier: Apache-2.0
"""What rails sent between two moments, by the fast samples around them; pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from railwatch.rates import deltas

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from railwatch_agent.tape import Slice


def bytes_sent(spans: Sequence[tuple[float, float]], rails: Sequence[Slice]) -> list[float]:
    """Return the bytes of all *rails* in each span, NaN where a rail's are not known.

    Between two samples bytes are taken to go out evenly. A rail without samples sends nothing.
    """
    starts, ends = np.array(spans, dtype=np.float64).reshape(-1, 2).T
    counted = [held for held in rails if len(held) > 1]
    if not counted:
        return [np.nan] * len(spans)
    total = np.zeros(len(spans))
    for held in counted:
        total += _of_rail(held, starts, ends)
    found: list[float] = total.tolist()
    return found


def _of_rail(
    held: Slice, starts: NDArray[np.float64], ends: NDArray[np.float64]
) -> NDArray[np.float64]:
    grown = deltas(held.transmit_bytes[:-1], held.transmit_bytes[1:])
    sent = np.concatenate(([0.0], np.cumsum(np.nan_to_num(grown))))
    unknown = np.concatenate(([0.0], np.cumsum(np.isnan(grown))))
    between = [
        np.interp(ends, held.times, curve) - np.interp(starts, held.times, curve)
        for curve in (sent, unknown)
    ]
    is_known = (starts >= held.times[0]) & (ends <= held.times[-1]) & (between[1] == 0)
    return np.where(is_known, between[0], np.nan)
