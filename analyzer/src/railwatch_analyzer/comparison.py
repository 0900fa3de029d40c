# SPDX-License-Identifier: Apache-2.0
"""One window of the fleet compared: residuals against peers, and which links it speaks of."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from railwatch_analyzer.baseline import OTHER_WORK
from railwatch_analyzer.features import FEATURES, SIGN, Direction, Kind, levels
from railwatch_analyzer.peers import group_medians, peer_medians
from railwatch_analyzer.state import Silence

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from railwatch_analyzer.history import Window
    from railwatch_analyzer.state import State

# A group whose busiest moments stay below this share of line rate is pausing.
_PAUSE_SHARE = 0.02
# The same where the line rate is unknown, bytes per second.
_PAUSE_RATE = 1e6
# A group pauses in a window in which its median burst is below this share of what is usual for it,
# or in which this share of its links (two at least) are as good as silent.
_PAUSE_LEVEL = float(np.log(5.0))
_SILENT_LEVEL = float(np.log(50.0))
_PAUSE_MEMBERS = 0.1
# Bytes per second that count as none, so that the ratio of two idle links is 1.
_LEAST_BYTES = 1e3
# Of a group that is large enough, so many peers must have reported the very window.
_LEAST_PEERS = 2


def _column(direction: Direction) -> int:
    """The burst rate of *direction*: the shape feature that alarms."""
    return next(
        number
        for number, f in enumerate(FEATURES)
        if f.kind is Kind.RATE and f.direction is direction and f.material is not None
    )


_BURSTS = [_column(Direction.TRANSMIT), _column(Direction.RECEIVE)]


@dataclass(frozen=True, slots=True)
class Comparison:
    """A window against the peers.

    Attributes
    ----------
    level, reference
        Shape (links, features) on the scale of comparison: the link's own, and its peers' median
        (0 for a link without peers: its own past is then all there is).
    residual
        Shape (links, features), positive is worse.
    bytes_offset
        Shape (links,), log ratio of bytes to the peers'.
    silence
        Shape (links,): `Silence.NONE` where the window says something.
    """

    level: NDArray[np.float64]
    reference: NDArray[np.float64]
    residual: NDArray[np.float64]
    bytes_offset: NDArray[np.float64]
    silence: NDArray[np.int64]


def compare(state: State, window: Window, groups: NDArray[np.int64]) -> Comparison:
    """Return *window* as *state*'s links compare in it."""
    level = levels(window.values)
    reference, peers = _reference(level, groups, state.roster.peered)
    offset = _bytes_offset(window, groups, state.roster.peered)
    # A degraded link still moves bytes; one that moves none while its peers do left the job, or
    # met the edge of a pause.
    busy = _busy(level, state.roster.speed)
    busy &= ~state.roster.peered | _busy(reference, state.roster.speed)
    other = (np.abs(offset - state.baseline.bytes_offset) > OTHER_WORK) & state.baseline.learned
    paused = pausing(burst_level(level), state.baseline.level, groups) & state.roster.peered
    known = np.isfinite(level[:, _BURSTS]).all(axis=1) & (peers >= _LEAST_PEERS)
    silence = np.select(
        [~known, ~busy | paused, other, ~state.baseline.learned],
        [Silence.NO_DATA, Silence.IDLE, Silence.OTHER_WORK, Silence.LEARNING],
        Silence.NONE,
    )
    return Comparison(
        level=level,
        reference=reference,
        residual=SIGN * (level - reference),
        bytes_offset=offset,
        silence=silence.astype(np.int64),
    )


def burst_level(level: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the log burst rate of each link in its busier direction; NaN while unknown."""
    bursts = level[:, _BURSTS]
    highest = np.max(np.where(np.isnan(bursts), -np.inf, bursts), axis=1)
    return np.where(np.isfinite(highest), highest, np.nan)


def pausing(
    level: NDArray[np.float64], usual: NDArray[np.float64], groups: NDArray[np.int64]
) -> NDArray[np.bool_]:
    """Return which links belong to a group that pauses, or meets the edge of a pause.

    Some links then have a last burst in the window and some have not, which is nobody's fault.

    Parameters
    ----------
    level, usual
        Shape (links,): log burst rates, NaN is unknown.
    groups
        Shape (links,).
    """
    drop = usual - level
    known = np.isfinite(drop)
    count = np.bincount(groups[known], minlength=int(groups.max(initial=0)) + 1)
    silent = np.bincount(groups[known & (drop > _SILENT_LEVEL)], minlength=len(count))
    typical = group_medians(drop, groups)
    return np.asarray(
        (typical > _PAUSE_LEVEL) | (silent >= np.maximum(_PAUSE_MEMBERS * count, 2.0))[groups]
    )


def _reference(
    level: NDArray[np.float64], groups: NDArray[np.int64], peered: NDArray[np.bool_]
) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    medians, counts = peer_medians(level, groups)
    peers = np.where(peered, counts[:, _BURSTS].min(axis=1), _LEAST_PEERS)
    return np.where(peered[:, None], medians, 0.0), peers


def _bytes_offset(
    window: Window, groups: NDArray[np.int64], peered: NDArray[np.bool_]
) -> NDArray[np.float64]:
    """Log ratio of bytes to the peers' in the direction that differs less; NaN while unknown."""
    moved = np.log(np.maximum(window.bytes_rate, _LEAST_BYTES))
    medians, _ = peer_medians(moved, groups)
    offset = np.where(peered[:, None], moved - medians, moved)
    smaller = np.nan_to_num(np.abs(offset), nan=np.inf).argmin(axis=1)
    return np.asarray(offset[np.arange(len(offset)), smaller])


def _busy(level: NDArray[np.float64], speed: NDArray[np.float64]) -> NDArray[np.bool_]:
    bursts = np.exp(np.nanmax(np.nan_to_num(level[:, _BURSTS], nan=0.0), axis=1))
    least = np.where(np.isfinite(speed), _PAUSE_SHARE * speed, _PAUSE_RATE)
    return np.asarray(bursts >= least)
