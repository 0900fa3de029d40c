# SPDX-License-Identifier: Apache-2.0
"""A thread for each collector: rounds on a steady cadence, a deadline, and nothing shared.

A round that does not end cannot be interrupted. Its thread is never replaced, or a driver that
hangs would collect threads; what it said last is no longer exposed, and its success is 0.
"""

from __future__ import annotations

import logging
import threading
from dataclasses import dataclass
from typing import TYPE_CHECKING

from railwatch.catalogue.metric import ReadFailure, Sample
from railwatch_agent.cadence import next_deadline

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from railwatch.clock import Clock
    from railwatch_agent.collectors.base import Collector

log = logging.getLogger(__name__)

# What a round may take at least before it counts as stuck.
DEADLINE_SECONDS = 5.0
_STALE_INTERVALS = 3
_PHASE_SECONDS = 0.01


@dataclass(frozen=True, slots=True)
class Round:
    """What one round said; times are of CLOCK_MONOTONIC."""

    samples: tuple[Sample, ...]
    failures: tuple[ReadFailure, ...]
    began_at: float
    ended_at: float

    @property
    def succeeded(self) -> bool:
        """Whether not all of it failed; nothing to read is no failure."""
        return bool(self.samples) or not self.failures


@dataclass(frozen=True, slots=True)
class Report:
    """How a collector does, as the agent exposes it."""

    name: str
    succeeded: bool
    duration_seconds: float
    read_errors: int
    last_success: float | None
    was_attempted: bool


class Worker:
    """Runs *collector* in a thread of its own until stopped."""

    def __init__(self, collector: Collector, *, clock: Clock, stop: threading.Event) -> None:
        self.collector = collector
        self.deadline_seconds = max(DEADLINE_SECONDS, 2 * collector.interval_seconds)
        self._clock = clock
        self._stop = stop
        self._began_at: float | None = None
        self._round: Round | None = None
        self._read_errors = 0
        self._last_success: float | None = None
        self._failing: frozenset[str] = frozenset()
        self._is_over = False
        self._thread = threading.Thread(target=self._run, name=collector.name, daemon=True)

    def start(self) -> None:
        """Begin with a round at once."""
        self._thread.start()

    def retire(self) -> None:
        """End after the round that is under way."""
        self._is_over = True

    def samples(self) -> tuple[Sample, ...]:
        """Return what the last round said, or nothing if that is too long ago."""
        last = self._round
        patience = max(_STALE_INTERVALS * self.collector.interval_seconds, self.deadline_seconds)
        if last is None or self._clock.monotonic() - last.began_at > patience:
            return ()
        return last.samples

    def report(self) -> Report:
        """Return how the collector does."""
        # In this order: a round that ends in between counts as ended.
        began_at, last = self._began_at, self._round
        running = 0.0 if began_at is None else self._clock.monotonic() - began_at
        is_stuck = running > self.deadline_seconds
        ended = 0.0 if last is None else last.ended_at - last.began_at
        return Report(
            name=self.collector.name,
            succeeded=last is not None and last.succeeded and not is_stuck,
            duration_seconds=max(running, ended) if is_stuck or last is None else ended,
            read_errors=self._read_errors,
            last_success=self._last_success,
            was_attempted=last is not None or is_stuck,
        )

    def run_round(self) -> None:
        """Run one round here and now."""
        began_at = self._clock.monotonic()
        self._began_at = began_at
        readings = list(self._readings())
        failures = tuple(r for r in readings if isinstance(r, ReadFailure))
        done = Round(
            samples=tuple(r for r in readings if isinstance(r, Sample)),
            failures=failures,
            began_at=began_at,
            ended_at=self._clock.monotonic(),
        )
        self._read_errors += len(failures)
        if done.succeeded:
            self._last_success = self._clock.wall()
        self._round = done
        self._began_at = None
        self._log_change(failures)

    def _readings(self) -> Iterator[Sample | ReadFailure]:
        try:
            yield from self.collector.collect()
        except Exception as exc:
            # Whatever it is, it costs this round of this collector; it is counted and logged.
            log.debug("collector=%s failed", self.collector.name, exc_info=True)
            yield ReadFailure("round", f"{type(exc).__name__}: {exc}")

    def _log_change(self, failures: Iterable[ReadFailure]) -> None:
        failing = {failure.what: failure.reason for failure in failures}
        for what in failing.keys() - self._failing:
            log.warning("collector=%s %s: %s", self.collector.name, what, failing[what])
        for what in self._failing - failing.keys():
            log.info("collector=%s %s: can be read again", self.collector.name, what)
        self._failing = frozenset(failing)

    def _run(self) -> None:
        interval_seconds = self.collector.interval_seconds
        # All workers keep to one grid, so that the processor wakes up for all of them at once; it
        # lies between two fast samples, which are not to wait for them.
        begun = self._clock.monotonic()
        deadline = begun - begun % interval_seconds + _PHASE_SECONDS
        while not self._is_over:
            self.run_round()
            now = self._clock.monotonic()
            deadline = next_deadline(deadline, now, interval_seconds)
            if self._clock.wait(self._stop, deadline - now):
                return


class Workers:
    """The workers of all collectors that there are now."""

    def __init__(self, *, clock: Clock) -> None:
        self._clock = clock
        self._stop = threading.Event()
        self._workers: dict[Collector, Worker] = {}

    def __iter__(self) -> Iterator[Worker]:
        return iter(tuple(self._workers.values()))

    def employ(self, collectors: Iterable[Collector]) -> None:
        """Run *collectors* and no others; one that goes on running is left alone."""
        before, wanted = self._workers, {}
        for collector in collectors:
            worker = before.get(collector)
            if worker is None:
                worker = Worker(collector, clock=self._clock, stop=self._stop)
                worker.start()
            wanted[collector] = worker
        for collector, worker in before.items():
            if collector not in wanted:
                worker.retire()
        self._workers = wanted

    def stop(self) -> None:
        """End all rounds' waiting; does not wait for a round that is under way."""
        self._stop.set()

    def were_attempted(self) -> bool:
        """Whether each collector has ended a round, or has taken too long over it."""
        return all(worker.report().was_attempted for worker in self)
