# SPDX-License-Identifier: Apache-2.0
"""Who is waited for: one member that computes longer, or begins later, while the others wait.

The culprit waits least: what it takes longer it does not wait, and everybody else does. A member is
compared with its own past, and with those that do the same work (`stages`). A stage that always
computes longer is how the job was cut, and no fault.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import IntEnum
from typing import TYPE_CHECKING

import numpy as np

from railwatch.catalogue.job import StragglerKind
from railwatch_analyzer.jobs.stages import beside, stage_numbers
from railwatch_analyzer.jobs.stretch import in_order
from railwatch_analyzer.rows import moved_array

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from railwatch_analyzer.jobs.stretch import Member, Stretch

    Array = NDArray[np.float64]


class Sign(IntEnum):
    """What is looked at of each member."""

    COMPUTE = 0
    """Logarithm of compute seconds against the median of the members."""
    LATE = 1
    """Begin of the step after the median of the members, share of the step."""
    EXPOSED = 2
    """Exposed and stalled share against the median of the members: how much it waits."""
    IDLE = 3
    """Idle share against the median of the members."""


# Steps that are kept, how many of the last are looked at together, and how many must be known.
_RECENT = 10
_JUDGED = 5
_LEAST_RECENT = 4
# A member's usual is the median of so many steps after the first ones; how far it follows later.
_LEARN = 10
_SKIPPED = 3
_FOLLOW = 1 / 100
_LEAST_MEMBERS = 2
_LEAST_MEMBERS_ALIKE = 4
# What is worth telling: of compute against the own past, against the stage, and of lateness.
_COMPUTE = 0.03
_COMPUTE_UNLIKE = 0.10
_LATE = 0.03
_SPREADS = 4.0
# A few of the job at most can be waited for.
_FEW = 0.1
_ENTER = 3
_LEAVE = 8
_DEVIATIONS = 1.4826


@dataclass(frozen=True, slots=True)
class Straggler:
    """A member that is waited for, why, since when, and what was seen in *unit*."""

    member: Member
    kind: StragglerKind
    onset: float
    score: float
    feature: str
    observed: float
    expected: float
    unit: str


@dataclass(frozen=True, slots=True)
class Stragglers:
    """What is known of the members of a job; rows are those of `members`.

    Attributes
    ----------
    recent
        Shape (steps, members, signs), the last steps, newest last.
    times
        When these ended, Unix seconds.
    usual, spread
        Shape (members, signs), NaN until learned.
    learned
        Shape (members,), steps learned from.
    pressure
        Shape (members,), judged steps in a row with something against a member.
    clear
        Shape (members,), judged steps in a row, while it stands, with nothing.
    standing
        Who is waited for.
    """

    members: tuple[Member, ...]
    recent: Array
    usual: Array
    spread: Array
    learned: NDArray[np.int64]
    pressure: NDArray[np.int64]
    clear: NDArray[np.int64]
    times: tuple[float, ...] = ()
    standing: tuple[Straggler, ...] = ()


def nobody(members: tuple[Member, ...] = ()) -> Stragglers:
    """Return what is known of *members* at the beginning."""
    size = len(members)
    unknown = np.full((size, len(Sign)), np.nan)
    zeros = np.zeros(size, dtype=np.int64)
    recent = np.empty((0, size, len(Sign)))
    return Stragglers(members, recent, unknown, unknown, zeros, zeros, zeros)


def after_step(
    known: Stragglers, told: Mapping[Member, Stretch], time: float, *, learn: bool
) -> Stragglers:
    """Return *known* after a step that ended at *time*; *learn* says whether it may be usual."""
    known = _with_members(known, told)
    if len(known.members) < _LEAST_MEMBERS:
        return known
    row = _signs(known.members, told)
    recent = np.concatenate((known.recent, row[None]))[-_RECENT:]
    known = replace(known, recent=recent, times=(*known.times, time)[-_RECENT:])
    if len(recent) < _LEAST_RECENT:
        return _learned(known, row) if learn else known
    found = _found(known)
    known = _stand(known, found)
    calm = learn and not found and not known.pressure.any()
    return _learned(known, row) if calm else known


def _signs(members: tuple[Member, ...], told: Mapping[Member, Stretch]) -> Array:
    """Signs of one step, shape (members, signs)."""
    out = np.full((len(members), len(Sign)), np.nan)
    for number, member in enumerate(members):
        stretch = told.get(member)
        if stretch is None:
            continue
        if stretch.compute > 0:
            out[number, Sign.COMPUTE] = np.log(stretch.compute)
        waits = np.nansum([stretch.exposed, stretch.stalled])
        out[number, Sign.LATE] = stretch.start / stretch.seconds
        out[number, Sign.EXPOSED] = waits / stretch.seconds
        if np.isnan(stretch.exposed) and np.isnan(stretch.stalled):
            out[number, Sign.EXPOSED] = np.nan
        out[number, Sign.IDLE] = stretch.idle / stretch.seconds
    return _against_median(out)


def _against_median(rows: Array) -> Array:
    known = np.isfinite(rows).any(axis=0)
    middle = np.full(rows.shape[1], np.nan)
    middle[known] = np.nanmedian(rows[:, known], axis=0)
    return np.asarray(rows - middle)


def _middle(cells: Array) -> Array:
    """Median over the first axis of what is known; NaN where nothing is."""
    out = np.full(cells.shape[1:], np.nan)
    known = np.isfinite(cells).sum(axis=0) >= min(_LEAST_RECENT, len(cells))
    out[known] = np.nanmedian(cells[:, known], axis=0)
    return out


def _found(known: Stragglers) -> dict[int, Straggler]:
    """Return what the recent steps hold against members, by row."""
    judged = known.recent[-_JUDGED:]
    now = _middle(judged)
    noise = _DEVIATIONS * _middle(np.abs(judged - now)) / np.sqrt(len(judged))
    for judge, has_past in (
        (_slower_than_before, True),
        (_unlike_its_stage, False),
        (_later_than_before, True),
    ):
        found = judge(known, now, noise)
        # A whole node may be slow; without a past it may as well be a stage.
        if _are_few(known.members, found) or (has_past and _are_a_node(known.members, found)):
            return found
    return {}


def _are_few(members: tuple[Member, ...], found: Mapping[int, Straggler]) -> bool:
    """Whether *found* are some and a small part of the job."""
    return 0 < len(found) <= max(1, int(_FEW * len(members)))


def _are_a_node(members: tuple[Member, ...], found: Mapping[int, Straggler]) -> bool:
    """Whether *found* are all on one node of several."""
    slow = {one.member.node for one in found.values()}
    return len(slow) == 1 and len({member.node for member in members}) > 1


def _change(known: Stragglers, now: Array) -> Array:
    """Return how each member changed against its past and against the others."""
    return _against_median(now - known.usual)


def _slower_than_before(known: Stragglers, now: Array, noise: Array) -> dict[int, Straggler]:
    change = _change(known, now)
    least = np.maximum(_COMPUTE, _SPREADS * np.maximum(known.spread, noise)[:, Sign.COMPUTE])
    slower = change[:, Sign.COMPUTE] >= least
    return {
        row: _computing(known, row, change[row, Sign.COMPUTE], least[row])
        for row in np.flatnonzero(slower).tolist()
        if _waits_least(change[:, Sign.EXPOSED], row)
    }


def _unlike_its_stage(known: Stragglers, now: Array, noise: Array) -> dict[int, Straggler]:
    """Slow since the beginning: nothing but its like can tell."""
    compute = now[:, Sign.COMPUTE]
    stages = stage_numbers(compute) if np.isfinite(compute).all() else None
    if stages is None or len(known.members) < _LEAST_MEMBERS_ALIKE:
        return {}
    excess = beside(compute, stages)
    least = np.maximum(_COMPUTE_UNLIKE, _SPREADS * noise[:, Sign.COMPUTE])
    ends = {0, len(known.members) - 1} if _may_be_a_stage(stages) else set()
    return {
        row: _computing(known, row, excess[row], least[row])
        for row in np.flatnonzero(excess >= least).tolist()
        if row not in ends and _waits_least(now[:, Sign.EXPOSED], row)
    }


def _may_be_a_stage(stages: NDArray[np.int64]) -> bool:
    """Whether the first or the last member alone may be a stage with more work than the others."""
    return len(np.unique(stages)) == 1 and stages.size <= 16


def _later_than_before(known: Stragglers, now: Array, noise: Array) -> dict[int, Straggler]:
    """Begins its steps later than it used to, or idles more, and computes no longer."""
    change = _change(known, now)
    spread = np.maximum(known.spread, noise)
    found = {}
    for sign in (Sign.LATE, Sign.IDLE):
        least = np.maximum(_LATE, _SPREADS * spread[:, sign])
        for row in np.flatnonzero(change[:, sign] >= least).tolist():
            found[row] = Straggler(
                known.members[row],
                StragglerKind.INPUT,
                _onset(known, row, sign, known.usual[row, sign] + least[row] / 2),
                float(change[row, sign] / least[row]),
                "late_ratio" if sign is Sign.LATE else "idle_ratio",
                float(now[row, sign]),
                float(known.usual[row, sign]),
                "ratio",
            )
    return found


def _computing(known: Stragglers, row: int, excess: float, least: float) -> Straggler:
    middle = float(np.nanmedian(known.recent[-_JUDGED:, row, Sign.COMPUTE]))
    return Straggler(
        known.members[row],
        StragglerKind.COMPUTE,
        _onset(known, row, Sign.COMPUTE, middle - excess / 2),
        float(excess / least),
        "compute_seconds_ratio",
        float(np.exp(excess)),
        1.0,
        "ratio",
    )


def _onset(known: Stragglers, row: int, sign: Sign, edge: float) -> float:
    """When the last of the recent steps ended before those that are all over *edge*."""
    over = known.recent[:, row, sign] > edge
    below = np.flatnonzero(~over)
    return known.times[int(below[-1])] if below.size else known.times[0]


def _waits_least(waits: Array, row: int) -> bool:
    """Whether the others wait more than *row* does, as far as it is known."""
    others = np.delete(waits, row)
    others = others[np.isfinite(others)]
    if np.isnan(waits[row]) or not others.size:
        return True
    return bool(waits[row] < np.median(others))


def _stand(known: Stragglers, found: Mapping[int, Straggler]) -> Stragglers:
    against = np.zeros(len(known.members), dtype=bool)
    against[list(found)] = True
    pressure = np.where(against, known.pressure + 1, 0)
    clear = np.where(against, 0, known.clear + 1)
    place = {member: row for row, member in enumerate(known.members)}
    old = {s.member: s for s in known.standing if clear[place[s.member]] < _LEAVE}
    new = {known.members[row]: said for row, said in found.items() if pressure[row] >= _ENTER}
    # It began when it was first seen, whatever the recent steps still show.
    new = {m: replace(said, onset=old[m].onset) if m in old else said for m, said in new.items()}
    standing = tuple({**old, **new}[member] for member in in_order({**old, **new}))
    return replace(known, pressure=pressure, clear=clear, standing=standing)


def _learned(known: Stragglers, row: Array) -> Stragglers:
    """Learn *row* as usual: the median of the first steps, later a bounded step towards it."""
    seen = np.isfinite(row).any(axis=1)
    learned = known.learned + seen
    usual, spread = known.usual.copy(), known.spread.copy()
    ready = seen & (learned == _SKIPPED + _LEARN)
    if ready.any():
        usual[ready] = _middle(known.recent)[ready]
        spread[ready] = _DEVIATIONS * _middle(np.abs(known.recent - usual))[ready]
    later = seen & (learned > _SKIPPED + _LEARN)
    if later.any():
        aside = np.nan_to_num(row - usual)
        follow = np.clip(aside, -spread, spread)
        usual[later] += _FOLLOW * follow[later]
        spread[later] += _FOLLOW * (_DEVIATIONS * np.abs(aside) - spread)[later]
    return replace(known, usual=usual, spread=spread, learned=learned)


def _with_members(known: Stragglers, told: Mapping[Member, Stretch]) -> Stragglers:
    """Return *known* with rows for all that *told*; those who left long ago are let go."""
    if known.members and told.keys() == set(known.members):
        return known
    stay = {
        member
        for row, member in enumerate(known.members)
        if len(known.recent) == 0 or np.isfinite(known.recent[:, row]).any()
    }
    members = in_order(stay | told.keys())
    if members == known.members:
        return known
    place = {member: row for row, member in enumerate(known.members)}
    rows = np.array([place.get(member, -1) for member in members], dtype=np.int64)
    empty = nobody(members)
    recent = np.full((len(members), len(known.recent), len(Sign)), np.nan)
    return Stragglers(
        members=members,
        recent=moved_array(known.recent.swapaxes(0, 1), recent, rows).swapaxes(0, 1),
        usual=moved_array(known.usual, empty.usual, rows),
        spread=moved_array(known.spread, empty.spread, rows),
        learned=moved_array(known.learned, empty.learned, rows),
        pressure=moved_array(known.pressure, empty.pressure, rows),
        clear=moved_array(known.clear, empty.clear, rows),
        times=known.times,
        standing=tuple(said for said in known.standing if said.member in members),
    )
