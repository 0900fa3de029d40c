# SPDX-License-Identifier: Apache-2.0
"""Gathers what the members of a job say of a step until all have, or waiting is over.

Recorded steps have numbers; a step is closed when all who took part in the last one have ended it,
or two later ones were begun to be told of: a rank that is gone holds up two steps and no more.
Counters have no numbers: all that members counted since the last closing is one step of the job,
closed when every member has added to it or one waited too long.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from railwatch_analyzer.jobs.stretch import Member, Stretch, added, recorded

if TYPE_CHECKING:
    from collections.abc import Mapping

    from railwatch_analyzer.step_frame import StepRecord

# Steps that may be told of by some while an older one waits for others.
_MOST_OPEN = 3
# Counters of one round that came late are waited for so many steps, and at least so long.
_PATIENCE_STEPS = 1.5
_PATIENCE_SECONDS = 12.0


@dataclass(frozen=True, slots=True)
class Gathering:
    """Steps that were told of and not yet closed.

    Attributes
    ----------
    open
        By number of the step: what members said of it. Counters are gathered under number 0.
    expected
        Who told of the last closed step.
    closed
        Number of the last closed step, and when it ended; Unix seconds.
    since
        When the first counter was heard that waits for others.
    """

    open: Mapping[int, Mapping[Member, Stretch]] = field(default_factory=dict)
    expected: frozenset[Member] = frozenset()
    closed: int | None = None
    ended: float = -1.0
    since: float | None = None


Told = dict[Member, Stretch]


def hear_record(gathering: Gathering, record: StepRecord) -> tuple[Gathering, list[Told]]:
    """Return *gathering* after *record*, and the steps that it closed, oldest first."""
    member = Member(record.node, record.rank)
    if gathering.closed is not None and record.step <= gathering.closed:
        if record.start < gathering.ended:
            # Too late for its step; the next one waits for this member too.
            return replace(gathering, expected=gathering.expected | {member}), []
        # The job was started again from a checkpoint: numbers are told a second time.
        gathering = Gathering(expected=gathering.expected)
    told = gathering.open.get(record.step, {})
    if member not in told:
        told = {**told, member: recorded(record)}
    return _close(replace(gathering, open={**gathering.open, record.step: told}))


def _close(gathering: Gathering) -> tuple[Gathering, list[Told]]:
    """Close what is complete, and what is older than that."""
    numbers = sorted(gathering.open)
    complete = [
        number
        for number in numbers
        if gathering.expected and gathering.expected <= gathering.open[number].keys()
    ]
    last = complete[-1] if complete else None
    if last is None and len(numbers) >= _MOST_OPEN:
        last = numbers[-_MOST_OPEN]
    if last is None:
        return gathering, []
    closing = [dict(gathering.open[number]) for number in numbers if number <= last]
    newest = closing[-1]
    return replace(
        gathering,
        open={number: gathering.open[number] for number in numbers if number > last},
        expected=frozenset(newest),
        closed=last,
        ended=max(stretch.end for stretch in newest.values()),
    ), closing


def hear_counters(
    gathering: Gathering,
    heard: Mapping[Member, Stretch],
    now: float,
    known: frozenset[Member] = frozenset(),
) -> tuple[Gathering, list[Told]]:
    """Return *gathering* after the stretches of a round, and the step that it closed if it did.

    At the beginning the members are those that are *known*, as their nodes say whose they are.
    """
    told = dict(gathering.open.get(0, {}))
    for member, stretch in heard.items():
        told[member] = added(told.get(member), stretch)
    if not told:
        return gathering, []
    since = now if gathering.since is None else gathering.since
    longest = max(stretch.seconds for stretch in told.values())
    waited = now - since >= max(_PATIENCE_SECONDS, _PATIENCE_STEPS * longest)
    expected = gathering.expected or known
    if not waited and not (expected and expected <= told.keys()):
        return replace(gathering, open={0: told}, since=since), []
    return Gathering(expected=frozenset(told), ended=now), [told]
