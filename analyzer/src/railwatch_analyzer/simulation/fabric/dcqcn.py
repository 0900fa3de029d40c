# SPDX-License-Identifier: Apache-2.0
"""How RoCE senders slow down: DCQCN (Zhu et al., SIGCOMM 2015, sections 3 and 5) in coarse ticks.

Its own loop takes 50 us, less than a tick. So within a tick a sender slows down by all the
notifications of the tick, but not to less than a little below what gets through: there the queue
drains and notifications stop.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

PACKET_BYTES = 4096.0
# A receiver sends at most one notification for each flow in this time.
CNP_SECONDS = 50e-6
# Bytes in a switch queue: where marking begins, and where every packet is marked.
MARK_FROM_BYTES = 0.4e6
MARK_ALL_BYTES = 1.6e6
_MARK_MOST = 0.2
# Gain of alpha, the estimate of congestion; its timer; and the timer of fast recovery.
_GAIN = 1.0 / 16.0
_ALPHA_SECONDS = 55e-6
_RECOVERY_SECONDS = 300e-6
# Additive increase of the target for each recovery period, a share of line rate.
_INCREASE = 0.005
_UNDERSHOOT = 0.9
_LEAST_SHARE = 0.001


@dataclass(slots=True)
class Senders:
    """State of the senders, shape (...) of flows each; rates in bytes per second."""

    line_rate: float
    rate: NDArray[np.float64]
    target: NDArray[np.float64]
    alpha: NDArray[np.float64]

    @property
    def calm(self) -> bool:
        """Whether nobody is slowed down."""
        return bool(self.rate.min() >= self.line_rate)


def senders(shape: tuple[int, ...], line_rate: float) -> Senders:
    """Return senders that have been idle: they begin at line rate."""
    full = np.full(shape, line_rate)
    return Senders(line_rate, full, full.copy(), np.ones(shape))


def marked_share(queue: NDArray[np.float64]) -> NDArray[np.float64]:
    """Share of packets that a switch marks with *queue* bytes waiting."""
    ramp = (queue - MARK_FROM_BYTES) * (_MARK_MOST / (MARK_ALL_BYTES - MARK_FROM_BYTES))
    return np.where(queue >= MARK_ALL_BYTES, 1.0, np.maximum(ramp, 0.0))


def notifications(
    marked: NDArray[np.float64], arriving: NDArray[np.float64], seconds: float
) -> NDArray[np.float64]:
    """Return the expected notifications of flows of *arriving* bytes, a share of them *marked*."""
    packets = arriving * (CNP_SECONDS / seconds / PACKET_BYTES)
    some = -np.expm1(packets * np.log1p(-np.minimum(marked, 1.0 - 1e-12)))
    # A slow flow has less than a packet in that time, and no more notifications than packets.
    return np.asarray(some * (seconds / CNP_SECONDS))


def recover(state: Senders, seconds: float) -> None:
    """Let *state* speed up, in place, after a tick without any notification."""
    state.alpha *= _remembered(seconds)
    if state.calm:
        return
    periods = seconds / _RECOVERY_SECONDS
    state.target = np.minimum(state.target + _INCREASE * periods * state.line_rate, state.line_rate)
    rate = state.rate + (state.target - state.rate) * (1.0 - 0.5**periods)
    # The last step to line rate is not halved for ever.
    state.rate = np.where(rate > 0.999 * state.line_rate, state.line_rate, rate)


def react(
    state: Senders,
    who: NDArray[np.intp],
    told: NDArray[np.float64],
    passed: NDArray[np.float64],
    seconds: float,
) -> None:
    """Let *state* pass a tick in place, in which the flows *who* (flat) were notified.

    They were *told* so many times, and had *passed* so many bytes per second.
    """
    before, alpha = state.rate.take(who), state.alpha.take(who)
    recover(state, seconds)
    floor = np.minimum(before, np.maximum(_UNDERSHOOT * passed, _LEAST_SHARE * state.line_rate))
    state.rate.put(who, np.maximum(before * (1.0 - alpha / 2.0) ** told, floor))
    state.target.put(who, before)
    state.alpha.put(who, 1.0 - (1.0 - alpha) * _remembered(seconds))


def _remembered(seconds: float) -> float:
    return float((1.0 - _GAIN) ** (seconds / _ALPHA_SECONDS))
