# SPDX-License-Identifier: Apache-2.0
"""Keeps the process that asks NVML: starts it, hears it, and ends it when the driver hangs.

A call into the driver cannot be interrupted, so the process is killed, and the next one leaves out
the GPU that the call was about. If not even that ends it, it is left behind and counted; a few of
those, and no more are begun. Nothing here waits: `tend` is called about once a second.
"""

from __future__ import annotations

import logging
import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from railwatch_agent.gpus.ledger import GpuView, Ledger
from railwatch_agent.gpus.roster import Roster
from railwatch_agent.gpus.run import Run
from railwatch_agent.gpus.trial import Outcome, Trial
from railwatch_agent.sources.errors import SourceError
from railwatch_agent.sources.nvml import wire
from railwatch_agent.sources.nvml.process import Task
from railwatch_agent.sources.nvml.quantities import State
from railwatch_agent.sources.nvml.reports import (
    Gone,
    GpuReport,
    Hello,
    Xid,
    read_message,
    read_samples,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from railwatch.clock import Clock
    from railwatch_agent.gpus.run import Child
    from railwatch_agent.gpus.tape import GpuTape
    from railwatch_agent.settings import GpuSettings

log = logging.getLogger(__name__)

_MOST_LEFT_BEHIND = 3
_FIRST_DELAY_SECONDS = 1.0
_LONGEST_DELAY_SECONDS = 300.0
# One that has lasted this long had nothing to do with what went wrong before.
_PROVEN_SECONDS = 60.0
_DRIVER_CHECK_SECONDS = 60.0
# What was said longer ago than this many slow rounds is no longer so.
_STALE_INTERVALS = 3


class Machine(Protocol):
    """What can be known without asking the driver."""

    def has_driver(self) -> bool:
        """Whether there is one to ask."""
        ...

    def gpus(self) -> Sequence[str]:
        """Return the PCI addresses of the GPUs, in order."""
        ...


@dataclass(frozen=True, slots=True)
class NodeView:
    """All that is known of the node's GPUs now; `trouble` is what fails, and why."""

    has_driver: bool = False
    driver_version: str = ""
    gpus: tuple[GpuView, ...] = ()
    trouble: tuple[tuple[str, str], ...] = ()
    stuck: int = 0
    restarts: int = 0
    abandoned: int = 0
    processor_seconds: float = 0.0


class Keeper:
    """Keeps one child at work as long as there is a driver; `view` is for any thread.

    *spawn* starts a child and may raise SourceError.
    """

    def __init__(
        self,
        *,
        spawn: Callable[[Task], Child],
        machine: Machine,
        tape: GpuTape,
        settings: GpuSettings,
        clock: Clock,
    ) -> None:
        self._spawn = spawn
        self._machine = machine
        self._settings = settings
        self._clock = clock
        self._roster = Roster()
        self._tape = tape
        self._ledger = Ledger()
        self._run: Run | None = None
        self._left_behind: list[Child] = []
        self._has_driver: bool | None = None
        self._start_at = self._heard_at = clock.monotonic()
        self._delay_seconds = _FIRST_DELAY_SECONDS
        self._trial: Trial | None = None
        self._fault: str | None = None
        self._restarts = self._abandoned = 0
        self._processor_seconds = 0.0
        self.view = NodeView()
        self._view_at = self._start_at
        self._is_news = True

    def tend(self) -> None:
        """Do what is due; call it about once a second, always from one thread."""
        now = self._clock.monotonic()
        self._left_behind = [child for child in self._left_behind if not child.has_ended()]
        if self._run is not None:
            self._look_after(self._run, now)
        elif self._fault is None and self._has_driver:
            # Nothing is left to ask, which is as good as hearing that.
            self._heard_at = now
        if self._run is None and now >= self._start_at:
            self._begin(now)
        if self._trial is not None:
            self._look_after_trial(self._trial, now)
        elif self._fault is None and self._has_driver:
            self._begin_trial(now)
        if self._is_news or now >= self._view_at:
            self._is_news = False
            # Without news it changes by its age only.
            self._view_at = now + self._settings.slow_interval_seconds
            self.view = self._seen(now)

    def rest(self) -> None:
        """Have what was started end; `tend` begins anew. Does not wait for it."""
        now = self._clock.monotonic()
        runs = [self._run, None if self._trial is None else self._trial.run]
        self._run, self._trial, self._start_at = None, None, now
        for run in runs:
            if run is not None:
                self._processor_seconds += run.processor_seconds
                run.kill(now)
                run.child.close()
                self._left_behind.append(run.child)

    def stop(self) -> None:
        """Have what was started end, for good; does not wait for it."""
        self.rest()
        self._start_at = math.inf

    def _begin(self, now: float) -> None:
        self._is_news = True
        had_driver, self._has_driver = self._has_driver, self._machine.has_driver()
        if not self._has_driver:
            if had_driver is not False:
                log.debug("gpu: no NVIDIA driver")
            self._ledger.miss_all()
            self._start_at = now + _DRIVER_CHECK_SECONDS
            return
        if len(self._left_behind) >= _MOST_LEFT_BEHIND:
            self._fault = (
                f"{len(self._left_behind)} processes hang within the driver; no more are begun"
            )
            self._start_at = now + _FIRST_DELAY_SECONDS
            return
        self._roster.enter(self._machine.gpus())
        try:
            self._run = self._start(self._roster.task(), now)
        except SourceError as exc:
            self._put_off(str(exc), now)

    def _start(self, gpus: Sequence[tuple[int, str, bool]], now: float) -> Run:
        task = Task(
            gpus=gpus,
            fast_seconds=self._settings.fast_interval_seconds,
            slow_seconds=self._settings.slow_interval_seconds,
        )
        return Run(self._spawn(task), now)

    def _begin_trial(self, now: float) -> None:
        number = self._roster.due(now)
        is_busy = self._run is not None and not self._run.has_begun
        # While one is still stuck within the driver, the driver has not changed its mind.
        if number is None or is_busy or self._left_behind:
            return
        try:
            self._trial = Trial(self._start(self._roster.task_of(number), now), number)
        except SourceError as exc:
            log.debug("gpu: GPU %d cannot be tried: %s", number, exc)
            self._roster.note_still(number, now)

    def _look_after_trial(self, trial: Trial, now: float) -> None:
        if trial.run.is_killed:
            if trial.run.child.has_ended() or self._is_left_behind(trial.run, now):
                trial.run.child.close()
                self._trial = None
            return
        outcome = trial.outcome(now, self._settings.deadline_seconds)
        if outcome is None:
            return
        trial.run.kill(now)
        if outcome is not Outcome.ANSWERS:
            self._roster.note_still(trial.number, now)
            return
        self._roster.note_answer(trial.number, now)
        # The child that is at work began without it.
        self._start_at = now
        if self._run is not None:
            self._run.is_renewed = True
            self._run.kill(now)

    def _look_after(self, run: Run, now: float) -> None:
        has_ended = run.child.has_ended()
        # After that: what it said last is there by now.
        self._listen(run, now)
        if has_ended or self._is_left_behind(run, now):
            self._conclude(run, now)
        elif not run.is_killed:
            self._look_for_trouble(run, now)

    def _is_left_behind(self, run: Run, now: float) -> bool:
        """Leave a child to itself that does not end although it was killed long ago."""
        if not run.outlives(now):
            return False
        log.warning("gpu: a process within the driver does not end; left behind")
        self._is_news = True
        self._abandoned += 1
        self._left_behind.append(run.child)
        return True

    def _look_for_trouble(self, run: Run, now: float) -> None:
        place = run.stuck_place(now, self._settings.deadline_seconds)
        if place is not None:
            run.fault = _stuck(place)
            log.info("gpu: %s; ending the process", run.fault)
            self._blame(run, place, now)
            run.kill(now)

    def _blame(self, run: Run, place: int, now: float) -> None:
        """Have the next child leave out the GPU that this one was with, if it was with one."""
        if place >= 0:
            self._is_news = run.is_blamed = True
            self._roster.note_stuck(place, now)
            self._ledger.leave_out(place)

    def _listen(self, run: Run, now: float) -> None:
        try:
            for data in run.child.messages():
                self._heard_at = now
                if data.startswith(wire.FAST):
                    self._tape.write(read_samples(data))
                else:
                    self._hear(run, read_message(data), now)
        except ValueError as exc:
            run.fault = f"its process is not to be understood: {exc}"
            run.kill(now)

    def _hear(self, run: Run, message: Hello | GpuReport | Xid | Gone, now: float) -> None:
        self._is_news = True
        if isinstance(message, GpuReport):
            self._ledger.take_report(message)
            run.processor_seconds = message.processor_seconds
            if message.is_lost:
                self._roster.note_gone(message.number, now)
            else:
                self._roster.note_answer(message.number, now)
        elif isinstance(message, Hello):
            run.has_begun, self._fault = True, None
            self._ledger.open(message)
            for number, address, state in message.gpus:
                self._roster.enter_as(number, address)
                if state in {State.LOST, State.MISSING}:
                    self._roster.note_gone(number, now)
        elif isinstance(message, Xid):
            self._ledger.take_xid(message, now)
        else:
            run.fault = message.reason

    def _conclude(self, run: Run, now: float) -> None:
        """Draw the conclusions from the end of a child."""
        self._is_news = True
        self._run = None
        self._processor_seconds += run.processor_seconds
        died_of, (_, place) = run.child.died_of, run.child.position()
        run.child.close()
        if now - run.began_at > _PROVEN_SECONDS:
            self._delay_seconds = _FIRST_DELAY_SECONDS
        if run.is_renewed:
            self._start_at = now
            return
        if run.fault is None and died_of is None:
            # It has nothing left to ask.
            self._start_at = math.inf
            return
        self._restarts += 1
        if run.fault is None:
            run.fault = f"its process ended by {died_of}"
            self._blame(run, place, now)
        if run.is_blamed:
            # The next one leaves out what it was about, so there is nothing to wait for.
            self._start_at = now
        else:
            self._put_off(run.fault, now)

    def _put_off(self, fault: str, now: float) -> None:
        if fault != self._fault:
            log.debug("gpu: %s", fault)
        self._fault = fault
        self._start_at = now + self._delay_seconds
        self._delay_seconds = min(2 * self._delay_seconds, _LONGEST_DELAY_SECONDS)

    def _seen(self, now: float) -> NodeView:
        patience = (
            _STALE_INTERVALS * self._settings.slow_interval_seconds
            + self._settings.deadline_seconds
        )
        left_out = self._roster.stuck()
        trouble = [(f"GPU {number}", _stuck(number)) for number in left_out]
        if self._fault is not None:
            trouble.insert(0, ("NVML", self._fault))
        is_current = not self._has_driver or now - self._heard_at <= patience
        running = 0.0 if self._run is None else self._run.processor_seconds
        return NodeView(
            has_driver=bool(self._has_driver),
            driver_version=self._ledger.driver_version,
            gpus=self._ledger.views(now, now - patience) if is_current else (),
            trouble=tuple(trouble),
            stuck=len(left_out),
            restarts=self._restarts,
            abandoned=self._abandoned,
            processor_seconds=self._processor_seconds + running,
        )


def _stuck(place: int) -> str:
    if place == wire.IDLE:
        return "its process does not wake up"
    return f"a call about {'the driver' if place < 0 else f'GPU {place}'} does not return"
