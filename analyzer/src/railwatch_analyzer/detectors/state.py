# SPDX-License-Identifier: Apache-2.0
"""What a link's state says by itself, without statistics: down, flapping, slower than its peers."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

import numpy as np

from railwatch.catalogue.rail import RAIL_FAULTS, Fault
from railwatch_analyzer.frame import column

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from railwatch_analyzer.frame import Frame, Link

# So many times down within so many seconds is unsteady; once is an event.
FLAPS = 3
FLAP_SECONDS = 600.0
DOWNED = column(RAIL_FAULTS, Fault.LINK_DOWNED)


class Rule(StrEnum):
    """State rules, worst first."""

    DOWN = "down"
    FLAPPING = "flapping"
    SPEED = "speed"


@dataclass(frozen=True, slots=True)
class Ruling:
    """What a rule holds against a link, in *unit*."""

    rule: Rule
    feature: str
    observed: float
    expected: float
    unit: str


def rulings(
    frame: Frame, rails: NDArray[np.int64], flaps: Mapping[Link, tuple[float, ...]]
) -> dict[Link, Ruling]:
    """Return the worst ruling of each link that has one.

    Parameters
    ----------
    rails
        Shape (rows,), equal for links that should have one speed; not derived from speed, or a
        slow link would only meet its like.
    flaps
        When links went down lately, as `remember_flaps` keeps it.
    """
    found = {}
    expected = _common_speed(frame["speed_bytes_per_second"], rails)
    for row in np.flatnonzero(np.isfinite(expected)):
        speed = float(frame["speed_bytes_per_second"][row])
        found[frame.links[row]] = Ruling(
            Rule.SPEED,
            "speed_bytes_per_second",
            speed,
            float(expected[row]),
            "bytes_per_second",
        )
    for link, times in flaps.items():
        if len(times) >= FLAPS:
            found[link] = Ruling(Rule.FLAPPING, DOWNED, float(len(times)), 0.0, "events")
    for row in np.flatnonzero(_down(frame)):
        found[frame.links[row]] = Ruling(Rule.DOWN, "up", 0.0, 1.0, "state")
    return found


def _down(frame: Frame) -> NDArray[np.bool_]:
    """Which rows cannot carry traffic although they should."""
    gone = frame["present"] == 0
    # Where nobody says what the administrator wants, a rail is meant to be up.
    wanted = frame["admin_up"] != 0
    return np.asarray(gone | ((frame["up"] == 0) & wanted))


def _common_speed(speed: NDArray[np.float64], rails: NDArray[np.int64]) -> NDArray[np.float64]:
    """The most common speed of a row's rail where the row itself is slower, else NaN.

    Two speeds that are equally common decide nothing.
    """
    expected = np.full(len(speed), np.nan)
    known = np.isfinite(speed)
    for rail in np.unique(rails[known]):
        rows = np.flatnonzero((rails == rail) & known)
        kinds, counts = np.unique(speed[rows], return_counts=True)
        common = np.flatnonzero(counts == counts.max())
        if len(kinds) > 1 and len(common) == 1:
            expected[rows[speed[rows] < kinds[common[0]]]] = kinds[common[0]]
    return expected


def remember_flaps(
    flaps: Mapping[Link, tuple[float, ...]], before: NDArray[np.float64], frame: Frame
) -> dict[Link, tuple[float, ...]]:
    """Return *flaps* with what happened since *before*, and without what is too long ago.

    Parameters
    ----------
    before
        Shape (rows,), the `link_downed` counter of each row in the round before. A count that
        stood before the first round, or that was reset, is no event.
    """
    now = {
        link: tuple(when for when in times if frame.time - when <= FLAP_SECONDS)
        for link, times in flaps.items()
    }
    grown = frame[DOWNED] - before
    for row in np.flatnonzero(grown > 0):
        link = frame.links[row]
        # More than FLAPS at once say no more than FLAPS.
        events = (frame.time,) * min(int(grown[row]), FLAPS)
        now[link] = (*now.get(link, ()), *events)[-FLAPS:]
    return {link: times for link, times in now.items() if times}
