# SPDX-License-Identifier: Apache-2.0
"""The rounds of one collector: what the last one said, until that is stale, and how it does.

A round that does not end cannot be interrupted; what the one before said is no longer exposed once
its time is over, and the collector's success is 0.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import TYPE_CHECKING

from railwatch.catalogue.metric import ReadFailure, Sample

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from railwatch.clock import Clock
    from railwatch_agent.collectors.base import Collector

log = logging.getLogger(__name__)

# What a round may take at least before it counts as stuck.
DEADLINE_SECONDS = 5.0
_STALE_INTERVALS = 3


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


class Duty:
    """One collector's rounds; run by one thread at a time, and read by any."""

    def __init__(self, collector: Collector, *, clock: Clock) -> None:
        self.collector = collector
        self.deadline_seconds = max(DEADLINE_SECONDS, 2 * collector.interval_seconds)
        self._clock = clock
        self._began_at: float | None = None
        self._round: Round | None = None
        self._read_errors = 0
        self._last_success: float | None = None
        self._failing: frozenset[str] = frozenset()

    @property
    def running_seconds(self) -> float:
        """How long the round that is under way has taken, 0 between two of them."""
        began_at = self._began_at
        return 0.0 if began_at is None else self._clock.monotonic() - began_at

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
        running, last = self.running_seconds, self._round
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
