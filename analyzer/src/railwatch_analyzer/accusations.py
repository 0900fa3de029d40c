# SPDX-License-Identifier: Apache-2.0
"""What a window holds against the links that alarm in it: cause, candidates and evidence."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from railwatch_analyzer.causes import cause_of
from railwatch_analyzer.features import FEATURES, UNITS
from railwatch_analyzer.findings import Accusation, Candidate, Evidence
from railwatch_analyzer.verdicts import ALARM

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from railwatch_analyzer.frame import Link
    from railwatch_analyzer.state import State

# More would not be read.
MOST_EVIDENCE = 5
_MOST_CANDIDATES = 8
# A feature is evidence from so many spreads on.
_NOTICEABLE = 3.0


def accusations(
    state: State, score: NDArray[np.float64], groups: NDArray[np.int64]
) -> dict[Link, Accusation]:
    """Return what is held against each link after a window with these scores.

    A standing alarm keeps what was said of it at its worst: later windows may be quiet.

    Parameters
    ----------
    score
        Shape (links,), victims included: they stay candidates.
    groups
        Shape (links,).
    """
    alarming = score >= ALARM
    pressed = (state.status.degraded | (state.status.pressure > 0)).tolist()
    kept = {
        link: state.accused[link]
        for link, stands in zip(state.links, pressed, strict=True)
        if stands and link in state.accused
    }
    for row in np.flatnonzero(alarming).tolist():
        link = state.links[row]
        if link not in kept or score[row] >= kept[link].score:
            rivals = np.flatnonzero(alarming & (groups == groups[row]))
            kept[link] = _accusation(state, row, score, rivals)
    return kept


def _accusation(
    state: State, row: int, score: NDArray[np.float64], rivals: NDArray[np.int64]
) -> Accusation:
    return Accusation(
        cause=cause_of(state.picture.deviation[row], state.sums.lasting[row]),
        score=float(score[row]),
        candidates=_candidates(state, score, rivals),
        evidence=_evidence(state, row),
    )


def _candidates(
    state: State, score: NDArray[np.float64], rivals: NDArray[np.int64]
) -> tuple[Candidate, ...]:
    rows = rivals[np.argsort(-score[rivals], kind="stable")][:_MOST_CANDIDATES]
    total = float(score[rows].sum())
    return tuple(
        Candidate(link.node, link.rail, link.device, round(float(score[row]) / total, 3))
        for row, link in ((row, state.links[row]) for row in rows.tolist())
    )


def _evidence(state: State, row: int) -> tuple[Evidence, ...]:
    """What stands out at the link in *row*, most telling first."""
    picture = state.picture
    worst = np.argsort(-picture.badness[row], kind="stable")[:MOST_EVIDENCE].tolist()
    return tuple(
        Evidence(
            feature=FEATURES[number].name,
            observed=float(picture.observed[row, number]),
            expected=float(picture.expected[row, number]),
            unit=UNITS[FEATURES[number].kind],
        )
        for number in worst
        if picture.badness[row, number] >= _NOTICEABLE
    )
