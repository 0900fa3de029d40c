# SPDX-License-Identifier: Apache-2.0
"""What a round holds against links: rulings and accusations become claims."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from railwatch_analyzer.causes import Cause
from railwatch_analyzer.detectors.state import Rule, Ruling
from railwatch_analyzer.findings import Accusation, Candidate, Claim, Evidence, FindingKind
from railwatch_analyzer.verdicts import ALARM

if TYPE_CHECKING:
    from railwatch_analyzer.frame import Link
    from railwatch_analyzer.state import State


def claims_of(state: State) -> list[Claim]:
    """Return a claim for every link that is down or degraded, in the order of links."""
    rows = {row for row, link in enumerate(state.links) if link in state.ruled}
    rows.update(np.flatnonzero(state.status.degraded).tolist())
    return [claim for row in sorted(rows) if (claim := _claim(state, row)) is not None]


def _claim(state: State, row: int) -> Claim | None:
    link = state.links[row]
    ruling = state.ruled.get(link)
    said = state.accused.get(link) if ruling is None else _accusation(link, ruling)
    if said is None:
        return None
    onset = float(state.status.onset[row])
    return Claim(
        link=link,
        kind=_kind(ruling),
        onset=state.time if ruling is not None or np.isnan(onset) else onset,
        job_id=state.job_id[row],
        accusation=said,
    )


def _kind(ruling: Ruling | None) -> FindingKind:
    down = ruling is not None and ruling.rule is Rule.DOWN
    return FindingKind.LINK_DOWN if down else FindingKind.LINK_DEGRADED


def _accusation(link: Link, ruling: Ruling) -> Accusation:
    return Accusation(
        cause=Cause(ruling.rule.value),
        score=ALARM,
        candidates=(Candidate(link.node, link.rail, link.device, 1.0),),
        evidence=(Evidence(ruling.feature, ruling.observed, ruling.expected, ruling.unit),),
    )
