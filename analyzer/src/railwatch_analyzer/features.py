# SPDX-License-Identifier: Apache-2.0
"""From what was read of a link to how much worse it is than its peers and its own past.

Bytes are conserved in a synchronous job: a slow link moves as much as its peers, only flatter. So
the features are the shape of its bursts, its own queue, and its loss counters.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

import numpy as np

from railwatch.catalogue.rail import (
    RAIL_FAULTS,
    RAIL_QUEUE_OCCUPIED,
    RECEIVE_WINDOW,
    TRANSMIT_WINDOW,
    Fault,
)
from railwatch_analyzer.frame import column

if TYPE_CHECKING:
    from numpy.typing import NDArray


class Kind(StrEnum):
    """How a feature is compared."""

    RATE = "rate"  # bytes per second, as a log ratio; lower is worse
    SHARE = "share"  # 0 to 1, as a difference; higher is worse
    EVENTS = "events"  # per second, as log(1 + x); higher is worse


class Direction(StrEnum):
    """Which end of an edge a feature speaks of."""

    TRANSMIT = "transmit"
    RECEIVE = "receive"


@dataclass(frozen=True, slots=True)
class Feature:
    """One column of the residual vector.

    `material` is the deviation that is worth telling a person, None where the feature only
    supports others. `noise_floor` is the least spread that is believed: what a counter, a window
    edge and a scheduler jitter by even on an idle fleet.
    """

    name: str
    source: str
    kind: Kind
    direction: Direction
    noise_floor: float
    material: float | None = None


# 15 % below what peers and past lead to expect.
_MATERIAL_RATE = float(np.log(1 / 0.85))
# Six times as many events; with log(1 + x) a handful a second stays small.
_MATERIAL_EVENTS = float(np.log(6.0))


def _shape(
    direction: Direction, statistic: str, floor: float, material: float | None = None
) -> Feature:
    family = TRANSMIT_WINDOW if direction is Direction.TRANSMIT else RECEIVE_WINDOW
    name = column(family[statistic])
    return Feature(name, name, Kind.RATE, direction, floor, material)


def _events(fault: Fault, direction: Direction) -> Feature:
    source = column(RAIL_FAULTS, fault)
    return Feature(
        f"faults_per_second_{fault}", source, Kind.EVENTS, direction, 0.4, _MATERIAL_EVENTS
    )


FEATURES: tuple[Feature, ...] = (
    _shape(Direction.TRANSMIT, "top_decile", 0.03, _MATERIAL_RATE),
    _shape(Direction.TRANSMIT, "max", 0.05),
    _shape(Direction.TRANSMIT, "std", 0.05),
    _shape(Direction.RECEIVE, "top_decile", 0.03, _MATERIAL_RATE),
    _shape(Direction.RECEIVE, "max", 0.05),
    _shape(Direction.RECEIVE, "std", 0.05),
    Feature(
        column(RAIL_QUEUE_OCCUPIED),
        column(RAIL_QUEUE_OCCUPIED),
        Kind.SHARE,
        Direction.TRANSMIT,
        0.05,
    ),
    _events(Fault.RETRANSMIT, Direction.TRANSMIT),
    _events(Fault.OUT_OF_SEQUENCE, Direction.RECEIVE),
    _events(Fault.RECEIVE_ERROR, Direction.RECEIVE),
)
NAMES = tuple(feature.name for feature in FEATURES)
SOURCES = tuple(feature.source for feature in FEATURES)
UNITS: dict[Kind, str] = {
    Kind.RATE: "bytes_per_second",
    Kind.SHARE: "ratio",
    Kind.EVENTS: "events_per_second",
}
NOISE_FLOOR: NDArray[np.float64] = np.array([f.noise_floor for f in FEATURES])
MATERIAL: NDArray[np.float64] = np.array(
    [np.inf if f.material is None else f.material for f in FEATURES]
)
# +1 where higher is worse, -1 where lower is.
SIGN: NDArray[np.float64] = np.array([-1.0 if f.kind is Kind.RATE else 1.0 for f in FEATURES])
_IS = {kind: np.array([f.kind is kind for f in FEATURES]) for kind in Kind}
# A deviation beyond this many spreads is as sure as it can be.
Z_CAP = 30.0
# Bytes per second below which a rate is as good as none; keeps the logarithm finite.
_LEAST_RATE = 1e3


def levels(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return (rows, features) *values* (bytes/s, ratio, events/s) on the scale of comparison."""
    out = np.array(values, dtype=np.float64)
    out[:, _IS[Kind.RATE]] = np.log(np.maximum(out[:, _IS[Kind.RATE]], _LEAST_RATE))
    out[:, _IS[Kind.EVENTS]] = np.log1p(out[:, _IS[Kind.EVENTS]])
    return out


def values_of(level: NDArray[np.float64]) -> NDArray[np.float64]:
    """Undo `levels`."""
    out = np.array(level, dtype=np.float64)
    out[:, _IS[Kind.RATE]] = np.exp(out[:, _IS[Kind.RATE]])
    out[:, _IS[Kind.EVENTS]] = np.expm1(out[:, _IS[Kind.EVENTS]])
    return np.maximum(out, 0.0)


def deviations(residual: NDArray[np.float64], usual: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return how much worse than usual each cell is, on the scale of comparison; unknown is 0."""
    return np.nan_to_num(residual - usual, nan=0.0)


def badness(deviation: NDArray[np.float64], spread: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return *deviation* in spreads, only where it is for the worse, capped at `Z_CAP`."""
    return np.clip(deviation / np.maximum(spread, NOISE_FLOOR), 0.0, Z_CAP)


def effect(deviation: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the largest deviation of each row as a share of what is worth telling; shape (n,)."""
    return np.asarray(np.max(deviation / MATERIAL, axis=1, initial=0.0))
