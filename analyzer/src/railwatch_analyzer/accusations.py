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
# A candidate has at least this share of what speaks against the accused.
_LEAST_RANK = 0.25
# A feature is evidence from so many spreads on.
_NOTICEABLE = 3.0


def accusations(
    state: State, score: NDArray[np.float64], rank: NDArray[np.float64]
) -> dict[Link, Accusation]:
    """Return what is held against each link after a window with these scores.

    A standing alarm keeps what was said of it at its worst: later windows may be quiet.

    Parameters
    ----------
    score
        Shape (links,), victims included: they stay candidates.
    rank
        Shape (links,): how much speaks for each as the culprit.
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
            kept[link] = _accusation(state, row, score, _candidates(state, row, rank, alarming))
    return kept


def _accusation(
    state: State, row: int, score: NDArray[np.float64], candidates: tuple[Candidate, ...]
) -> Accusation:
    return Accusation(
        cause=cause_of(state.picture.deviation[row], state.sums.lasting[row]),
        score=float(score[row]),
        candidates=candidates,
        evidence=_evidence(state, row),
    )


def _candidates(
    state: State, accused: int, rank: NDArray[np.float64], alarming: NDArray[np.bool_]
) -> tuple[Candidate, ...]:
    """Who may be to blame besides the *accused* row: links of its job, or of its group without one.

    A job waits for its slowest rail, so that rails of all its groups are ranked together.
    """
    likely = rank >= _LEAST_RANK * max(rank[accused], _LEAST_RANK)
    kin = _kin(state, accused) & (likely | alarming)
    kin[accused] = True
    rows = np.flatnonzero(kin)
    rows = rows[np.argsort(-rank[rows], kind="stable")][:_MOST_CANDIDATES]
    total = float(rank[rows].sum())
    return tuple(
        Candidate(link.node, link.rail, link.device, round(float(rank[row]) / total, 3))
        for row, link in ((row, state.links[row]) for row in rows.tolist())
    )


def _kin(state: State, row: int) -> NDArray[np.bool_]:
    if state.job_id[row]:
        return np.array([job == state.job_id[row] for job in state.job_id])
    return np.array([group == state.groups[row] for group in state.groups])


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
