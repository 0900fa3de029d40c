# SPDX-License-Identifier: Apache-2.0
"""A thread for the collectors of each name, and a successor where one of them hangs.

Collectors of one name, of which there is one a rail, take turns in one thread: a thread for each
would wake the processor up eight times for what one does at a time. A round that does not end keeps
its thread and its collector; the others are given to a successor. That thread is not replaced, or a
driver that hangs would collect threads.
"""

from __future__ import annotations

import logging
import threading
from typing import TYPE_CHECKING

from railwatch_agent.cadence import next_deadline
from railwatch_agent.duties import Duty

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from railwatch.clock import Clock
    from railwatch_agent.collectors.base import Collector

log = logging.getLogger(__name__)

# A round that others wait for this long is left to itself.
PATIENCE_SECONDS = 2.0
_PHASE_SECONDS = 0.01


class Shift:
    """A thread that runs the rounds of *duties*, one after the other, on a steady cadence.

    `duties` may be changed by others and holds from the next round on; `current` is the one that is
    being run.
    """

    def __init__(
        self,
        duties: Sequence[Duty],
        *,
        interval_seconds: float,
        clock: Clock,
        stop: threading.Event,
    ) -> None:
        self.duties = tuple(duties)
        self.current: Duty | None = None
        self._interval_seconds = interval_seconds
        self._clock = clock
        self._stop = stop
        self._is_retired = False
        name = duties[0].collector.name if duties else "shift"
        self._thread = threading.Thread(target=self.run, name=name, daemon=True)

    @property
    def is_over(self) -> bool:
        """Whether the thread has ended."""
        return not self._thread.is_alive()

    def start(self) -> None:
        """Begin with a round at once."""
        self._thread.start()

    def retire(self) -> None:
        """End after the duty that is being run."""
        self._is_retired = True

    def held_up_by(self, patience_seconds: float) -> Duty | None:
        """Return the duty that others have waited for longer than that, if there is one."""
        current = self.current
        if current is None or len(self.duties) < 2:
            return None
        return current if current.running_seconds > patience_seconds else None

    def run(self) -> None:
        """Run rounds until retired or stopped; the body of the thread."""
        # All shifts keep to one grid, so that the processor wakes up for all of them at once; it
        # lies between two fast samples, which are not to wait for them.
        begun = self._clock.monotonic()
        deadline = begun - begun % self._interval_seconds + _PHASE_SECONDS
        while self._run_duties():
            now = self._clock.monotonic()
            deadline = next_deadline(deadline, now, self._interval_seconds)
            if self._clock.wait(self._stop, deadline - now):
                return

    def _run_duties(self) -> bool:
        """Run each duty once; return whether to go on."""
        for duty in self.duties:
            if self._is_retired:
                return False
            self.current = duty
            duty.run_round()
            self.current = None
        return not self._is_retired


class Workers:
    """Runs the collectors that there are now; iterates over their duties."""

    def __init__(self, *, clock: Clock) -> None:
        self._clock = clock
        self._stop = threading.Event()
        # Of every collector there ever was: one that is employed again goes on counting.
        self._known: dict[Collector, Duty] = {}
        self._duties: dict[Collector, Duty] = {}
        self._shifts: dict[str, Shift] = {}
        # Duties whose round does not end, each with the shift that it has been left to.
        self._left: dict[Duty, Shift] = {}

    def __iter__(self) -> Iterator[Duty]:
        return iter(tuple(self._duties.values()))

    def employ(self, collectors: Iterable[Collector]) -> None:
        """Run *collectors* and no others, and go on without what hangs; call it each second.

        One that goes on running is left alone.
        """
        self._duties = {c: self._duty(c) for c in collectors}
        self._left = {duty: shift for duty, shift in self._left.items() if not shift.is_over}
        by_name: dict[str, list[Duty]] = {}
        for duty in self._duties.values():
            by_name.setdefault(duty.collector.name, []).append(duty)
        for name in self._shifts.keys() - by_name.keys():
            self._dismiss(name)
        for name, duties in by_name.items():
            self._staff(name, duties)

    def stop(self) -> None:
        """End all rounds' waiting; does not wait for a round that is under way."""
        self._stop.set()

    def were_attempted(self) -> bool:
        """Whether each collector has ended a round, or has taken too long over it."""
        return all(duty.report().was_attempted for duty in self)

    def _duty(self, collector: Collector) -> Duty:
        if collector not in self._known:
            self._known[collector] = Duty(collector, clock=self._clock)
        return self._known[collector]

    def _dismiss(self, name: str) -> None:
        shift = self._shifts.pop(name)
        shift.retire()
        if shift.current is not None:
            # Should it be employed again meanwhile, it is not to run twice at a time.
            self._left[shift.current] = shift

    def _staff(self, name: str, duties: Sequence[Duty]) -> None:
        """Have the shift of *name* run *duties*, those left out that hang."""
        shift = self._shifts.get(name)
        held_up_by = None if shift is None else shift.held_up_by(PATIENCE_SECONDS)
        if shift is not None and held_up_by is not None:
            log.debug("collector=%s: one of its rounds does not end; going on without it", name)
            shift.retire()
            self._left[held_up_by] = shift
            shift = None
        free = tuple(duty for duty in duties if duty not in self._left)
        if shift is not None:
            shift.duties = free
        elif free:
            self._shifts[name] = self._begin(free)

    def _begin(self, duties: Sequence[Duty]) -> Shift:
        shift = Shift(
            duties,
            interval_seconds=duties[0].collector.interval_seconds,
            clock=self._clock,
            stop=self._stop,
        )
        shift.start()
        return shift
