# SPDX-License-Identifier: Apache-2.0
"""Which of the links that alarm together is to blame, and for what: ordered rules.

Every edge of a ring has two ends that look alike in bytes: a sender that may not send shows at its
successor's receive side too. The sender's own queue decides (lab measurements: occupied 0.18 → 0.82
at a capped sender, → 0.05 at everybody else).
"""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING

import numpy as np

from railwatch_analyzer.features import FEATURES, MATERIAL, Direction, Kind

if TYPE_CHECKING:
    from numpy.typing import NDArray


class Cause(StrEnum):
    """Causes of a link finding, by the contract."""

    DOWN = "down"
    FLAPPING = "flapping"
    SPEED = "speed"
    BANDWIDTH = "bandwidth"
    LOSS = "loss"
    LATENCY = "latency"
    CONGESTION = "congestion"
    HOST = "host"
    UNKNOWN = "unknown"


# More of the time than usual with bytes waiting: well above the 13-18 % of healthy bursts.
_QUEUE_EXCESS = 0.2
# Bursts that lasted lower by a third of what is worth telling in one window.
_LASTING = MATERIAL[next(i for i, f in enumerate(FEATURES) if f.kind is Kind.RATE)] / 3.0
# So many links of a group, and this share of it, are a crowd that moves together.
_CROWD = 4
_CROWD_SHARE = 0.1
_SUSPICIOUS = 0.5
_QUEUE = next(i for i, f in enumerate(FEATURES) if f.kind is Kind.SHARE)


def _material(kind: Kind, direction: Direction | None = None) -> NDArray[np.int64]:
    return np.array(
        [
            number
            for number, f in enumerate(FEATURES)
            if f.kind is kind and f.material is not None and direction in (None, f.direction)
        ]
    )


_SENDS_LESS = _material(Kind.RATE, Direction.TRANSMIT)
_RECEIVES_LESS = _material(Kind.RATE, Direction.RECEIVE)
_RATES = _material(Kind.RATE)
_LOSSES = _material(Kind.EVENTS)
_SENDER_LOSSES = _material(Kind.EVENTS, Direction.TRANSMIT)


def _beyond(deviation: NDArray[np.float64], columns: NDArray[np.int64]) -> NDArray[np.bool_]:
    return np.asarray((deviation[:, columns] >= MATERIAL[columns]).any(axis=1))


def victims(
    deviation: NDArray[np.float64],
    alarming: NDArray[np.bool_],
    groups: NDArray[np.int64],
    *,
    queue_known: NDArray[np.bool_],
    missed: NDArray[np.bool_],
) -> NDArray[np.bool_]:
    """Return which alarming links only feel another one's fault.

    Parameters
    ----------
    deviation
        Shape (links, features), positive is worse than peers and past.
    alarming
        Shape (links,).
    groups
        Shape (links,); blame is passed within a group only.
    queue_known
        Shape (links,); without its queue a sender can be neither blamed nor cleared.
    missed
        Shape (links,): links whose alarm stands and of which this window says nothing. What others
        of the group feel now is theirs, as far as anybody can tell.
    """
    held_back = _beyond(deviation, _SENDS_LESS) & (deviation[:, _QUEUE] >= _QUEUE_EXCESS)
    starved = _beyond(deviation, _RECEIVES_LESS)
    # Loss shows at both ends of an edge and decides neither; the sender's count is the cleaner.
    resends = _beyond(deviation, _SENDER_LOSSES)
    cleared = _beyond(deviation, _SENDS_LESS) & queue_known & ~held_back
    out = np.zeros(len(alarming), dtype=bool)
    for group in np.unique(groups[alarming]):
        rows = alarming & (groups == group)
        if (missed & (groups == group)).any():
            out |= rows & ~held_back
            continue
        if rows.sum() < 2:
            continue
        for blamed in (held_back, starved & ~cleared, starved, resends, rows):
            if (rows & blamed).any():
                out |= rows & ~blamed
                break
    return out


def followers(
    score: NDArray[np.float64],
    weight: NDArray[np.float64],
    groups: NDArray[np.int64],
    degraded: NDArray[np.bool_],
) -> NDArray[np.bool_]:
    """Return which links are not to be told of, as their group moves together.

    In a synchronous job many slow down with one, and all of them add up to something. Then the one
    that most speaks against is told of, or the one that was told of already; the others are ranked
    among its candidates.

    Parameters
    ----------
    score, weight
        Shape (links,): what windows add up to, 1 alarms; and the same over a long time.
    groups, degraded
        Shape (links,).
    """
    suspicious = score >= _SUSPICIOUS
    size = np.bincount(groups, minlength=int(groups.max(initial=0)) + 1)
    crowd = np.bincount(groups[suspicious], minlength=len(size)) >= np.maximum(
        _CROWD, _CROWD_SHARE * size
    )
    out = crowd[groups] & ~degraded
    for group in np.flatnonzero(crowd):
        rows = np.flatnonzero(groups == group)
        if not degraded[rows].any():
            out[rows[weight[rows].argmax()]] = False
    return np.asarray(out)


def cause_of(deviation: NDArray[np.float64], lasting: NDArray[np.float64] | None = None) -> Cause:
    """Return the cause that one link's *deviation*, shape (features,), speaks for most.

    Where no window alone says enough, what it deviated by of late (*lasting*) may add up.

    Under a cap some packets come out of order too, and lost packets cost a little rate.
    """
    lost = float((deviation[_LOSSES] / MATERIAL[_LOSSES]).max())
    slowed = float((deviation[_RATES] / MATERIAL[_RATES]).max())
    if max(lost, slowed) < 1.0:
        summed = lasting is not None and bool((lasting[_RATES] >= _LASTING).any())
        return Cause.BANDWIDTH if summed else Cause.UNKNOWN
    return Cause.LOSS if lost > slowed else Cause.BANDWIDTH
