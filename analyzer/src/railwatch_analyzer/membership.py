# SPDX-License-Identifier: Apache-2.0
"""Who the links are in this round: their peer groups, and whose past is no longer theirs."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from railwatch_analyzer.baseline import forget
from railwatch_analyzer.detectors.cusum import no_sums
from railwatch_analyzer.frame import POSITION, Frame
from railwatch_analyzer.peers import LEAST_GROUP, group_names, group_numbers
from railwatch_analyzer.rows import moved
from railwatch_analyzer.state import State, present

if TYPE_CHECKING:
    from numpy.typing import NDArray

_SPEED = POSITION["speed_bytes_per_second"]


def meet(state: State, frame: Frame) -> State:
    """Return *state* after hearing from *frame* (rows aligned) who is there.

    A link in a new job, or whose group became too small to compare with, learns anew: what was
    usual among other peers says nothing.
    """
    seen = frame.seen
    # A link that is down has no speed, and is still the link that it was.
    known = np.isfinite(frame.values[:, _SPEED])
    speed = np.where(known, frame.values[:, _SPEED], state.roster.speed)
    roster = replace(
        state.roster,
        seen_at=np.where(seen, frame.time, state.roster.seen_at),
        speed=speed,
    )
    state = replace(state, roster=roster, job_id=_updated(state.job_id, frame.job_id, seen))
    names = group_names(state.links, state.job_id, speed)
    return _regroup(state, _updated(state.groups, names, seen), frame.time)


def _updated(
    old: tuple[str, ...], new: tuple[str, ...], seen: NDArray[np.bool_]
) -> tuple[str, ...]:
    if seen.all():
        return new
    return tuple(b if here else a for a, b, here in zip(old, new, seen.tolist(), strict=True))


def _regroup(state: State, groups: tuple[str, ...], now: float) -> State:
    numbers = group_numbers(groups)
    members = np.bincount(numbers, weights=present(state, now), minlength=1)
    peered = members[numbers] >= LEAST_GROUP
    changed = peered != state.roster.peered
    if groups != state.groups:
        changed |= np.array([a != b for a, b in zip(groups, state.groups, strict=True)])
    state = replace(state, groups=groups, roster=replace(state.roster, peered=peered))
    if not changed.any():
        return state
    return replace(
        state,
        baseline=forget(state.baseline, changed),
        sums=moved(
            state.sums, no_sums(len(changed)), np.where(changed, -1, np.arange(len(changed)))
        ),
        recent=tuple(np.where(changed[:, None], np.nan, rows) for rows in state.recent),
        healthy=tuple(
            np.where(changed[:, None], np.float16(np.nan), rows) for rows in state.healthy
        ),
    )
