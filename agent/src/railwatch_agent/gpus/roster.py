# SPDX-License-Identifier: Apache-2.0
"""Which GPUs a node has, by number, and when those that do not answer are to be tried again.

They are numbered as in `pairing`: by PCI address, which is NVML's index, and kept as long as the
agent runs, lost or not.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from railwatch_agent.numbering import assign

if TYPE_CHECKING:
    from collections.abc import Iterable

# A GPU is tried again after this long, then after twice that, and so on: sooner where the driver
# hung on it, as that may pass, than where the driver says itself that there is none.
_STUCK_SECONDS = 60.0
_GONE_SECONDS = 300.0
_LONGEST_SECONDS = 3600.0


@dataclass(slots=True)
class _Absence:
    """Remembered until the GPU has answered for as long as it was last left alone."""

    delay_seconds: float
    until: float
    is_stuck: bool
    answers_since: float | None = None


class Roster:
    """The GPUs by number; times are of CLOCK_MONOTONIC."""

    def __init__(self) -> None:
        self._numbers: dict[str, int] = {}
        self._absences: dict[int, _Absence] = {}

    def enter(self, addresses: Iterable[str]) -> None:
        """Give each address that is new the next free number."""
        self._numbers |= assign(addresses, self._numbers)

    def enter_as(self, number: int, address: str) -> None:
        """Take down a GPU that the driver knows and PCI does not."""
        self._numbers.setdefault(address, number)

    def task(self) -> list[tuple[int, str, bool]]:
        """Return number, address and whether to leave it out of each: those that are stuck."""
        stuck = set(self.stuck())
        return [(number, address, number in stuck) for address, number in self._numbers.items()]

    def task_of(self, number: int) -> list[tuple[int, str, bool]]:
        """Return the same, to leave out all but one."""
        return [(other, address, other != number) for address, other in self._numbers.items()]

    def note_stuck(self, number: int, now: float) -> None:
        """The driver hangs on a GPU, again or for the first time."""
        self._note(number, now, is_stuck=True)

    def note_gone(self, number: int, now: float) -> None:
        """The driver says that a GPU is lost, or that there is none."""
        before = self._absences.get(number)
        if before is None or before.answers_since is not None:
            self._note(number, now, is_stuck=False)

    def note_still(self, number: int, now: float) -> None:
        """A GPU was tried in vain."""
        before = self._absences.get(number)
        if before is not None:
            self._note(number, now, is_stuck=before.is_stuck)

    def note_answer(self, number: int, now: float) -> None:
        """A GPU has answered, and is to be asked as the others are."""
        absence = self._absences.get(number)
        if absence is None:
            return
        if absence.answers_since is None:
            absence.answers_since, absence.is_stuck, absence.until = now, False, math.inf
        elif now - absence.answers_since > absence.delay_seconds:
            del self._absences[number]

    def _note(self, number: int, now: float, *, is_stuck: bool) -> None:
        before = self._absences.get(number)
        if before is None:
            delay = _STUCK_SECONDS if is_stuck else _GONE_SECONDS
        else:
            delay = min(2 * before.delay_seconds, _LONGEST_SECONDS)
        self._absences[number] = _Absence(delay, now + delay, is_stuck)

    def stuck(self) -> list[int]:
        """Return the numbers of the GPUs on which the driver hangs."""
        return [number for number, absence in self._absences.items() if absence.is_stuck]

    def due(self, now: float) -> int | None:
        """Return a GPU that is to be tried again now."""
        found = (number for number, absence in self._absences.items() if now >= absence.until)
        return next(found, None)
