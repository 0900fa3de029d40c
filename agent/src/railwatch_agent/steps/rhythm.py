# SPDX-License-Identifier: Apache-2.0
"""Which period holds from round to round: one that differs is believed when it stays.

A period is looked for since the last pause only. While nothing new is found the old one holds, as
long as steps go on to fit it.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

from railwatch.catalogue.step import Unresolved
from railwatch_agent.steps.period import (
    LEAST_PERIODS,
    Period,
    Stretch,
    find_period,
    find_period_near,
)

if TYPE_CHECKING:
    from railwatch_agent.steps.silence import Silences

# Two estimates that differ by less are of the same rhythm.
_SAME: Final = 0.15
# A period that holds is looked at every so many rounds, and another one for it; that is believed
# when it was found so many times.
_LOOK_ROUNDS: Final = 4
_TIMES: Final = 2
# The length of a step now is that of the last so many, or of so long.
_RECENT_PERIODS: Final = 40
_RECENT_SECONDS: Final = 20.0
# Where another period is looked for first: the last so many of the one that holds.
_NEWEST_PERIODS: Final = 16
# A first period is believed after so long, or after so many of it.
_FIRST_SECONDS: Final = 15.0
_FIRST_PERIODS: Final = 30.0
# Silences are hardly longer than a period.
_SILENT_PERIODS: Final = 1.3


@dataclass(frozen=True, slots=True)
class Rhythm:
    """The period that holds, or why there is none; and another one that was found lately."""

    period: Period | None = None
    reason: Unresolved | None = Unresolved.WARM_UP
    rounds: int = 0
    other_seconds: float = 0.0
    other_times: int = 0

    def after(self, stretch: Stretch, silences: Silences) -> Rhythm:
        """Return what holds after looking at all since the last pause."""
        if self.period is None:
            found = _first_period(stretch, silences)
            if isinstance(found, Unresolved):
                return Rhythm(reason=found)
            return Rhythm(period=_recent(stretch, found), reason=None)
        went_on = replace(self, rounds=self.rounds + 1)
        if went_on.rounds % _LOOK_ROUNDS:
            return went_on
        return _doubting(went_on, stretch, _recent(stretch, self.period), silences)


def _doubting(before: Rhythm, stretch: Stretch, held: Period, silences: Silences) -> Rhythm:
    """Return what holds after looking for another period than *held*.

    What holds is given up by who follows the steps, not because nothing is found now.
    """
    found = _other_period(stretch, held, silences)
    if found is None:
        return replace(before, period=held, other_times=0)
    is_again = before.other_times > 0 and _same(found, before.other_seconds)
    times = before.other_times + 1 if is_again else 1
    if times >= _TIMES:
        return Rhythm(period=_recent(stretch, found), reason=None)
    return replace(before, period=held, other_seconds=found.seconds, other_times=times)


def _other_period(stretch: Stretch, held: Period, silences: Silences) -> Period | None:
    """Return the period that is found now, None if it is *held* or if there is none.

    All of the stretch has the old rhythm and the new one, and what both go into; so the newest is
    asked first. A step that is too long to be seen there may be seen in all of it.
    """
    newest = stretch.newest(max(_NEWEST_PERIODS * held.seconds, _RECENT_SECONDS))
    found = _plausible(newest, silences.usual)
    if isinstance(found, Period) and not _same(found, held.seconds):
        return found
    longer = _plausible(stretch, silences.usual)
    if isinstance(longer, Period) and longer.seconds > newest.seconds / LEAST_PERIODS:
        return None if _same(longer, held.seconds) else longer
    return None


def _same(found: Period, seconds: float) -> bool:
    return abs(found.seconds / seconds - 1) < _SAME


def _first_period(stretch: Stretch, silences: Silences) -> Period | Unresolved:
    """Return a period to begin with, or why there is none."""
    if stretch.seconds < _FIRST_SECONDS:
        # What is in a long step repeats too, before a step has; then it is silent for long.
        found = _plausible(stretch, silences.longest)
        if isinstance(found, Unresolved) or stretch.seconds < _FIRST_PERIODS * found.seconds:
            return Unresolved.WARM_UP
        return found
    # The first steps are longer than those that follow.
    found = _plausible(stretch.newest(stretch.seconds / 2), silences.usual)
    return _plausible(stretch, silences.usual) if isinstance(found, Unresolved) else found


def _plausible(stretch: Stretch, silence: int) -> Period | Unresolved:
    found = find_period(stretch)
    if isinstance(found, Unresolved):
        return found
    silent_seconds = silence * stretch.cell_seconds
    return Unresolved.WARM_UP if silent_seconds > _SILENT_PERIODS * found.seconds else found


def _recent(stretch: Stretch, held: Period) -> Period:
    """Return the period as it is now, *held* if that cannot be told."""
    newest = stretch.newest(max(_RECENT_PERIODS * held.seconds, _RECENT_SECONDS))
    near = find_period_near(newest, held.seconds)
    return held if isinstance(near, Unresolved) else near
