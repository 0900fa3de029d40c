# SPDX-License-Identifier: Apache-2.0
"""What the last complete window of fast samples says of each rail; a pure reader of the tape.

Windows are tumbling and aligned to the wall clock, so that the same seconds are compared on all
nodes; `railwatch.windows` holds the statistics.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from railwatch.catalogue.metric import Sample
from railwatch.catalogue.node import AGENT_WINDOW_END, AGENT_WINDOW_SECONDS
from railwatch.catalogue.rail import (
    RAIL_QUEUE_OCCUPIED,
    RAIL_RECEIVE_UTILIZATION,
    RAIL_TRANSMIT_UTILIZATION,
    RECEIVE_WINDOW,
    TRANSMIT_WINDOW,
)
from railwatch.rates import interval_rates
from railwatch.windows import Counted, statistics_of_counters, window_end_after
from railwatch_agent.histogram import Histogram

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from railwatch.catalogue.metric import MetricSpec
    from railwatch.clock import Clock
    from railwatch.windows import WindowStatistics
    from railwatch_agent.inventory import Rail
    from railwatch_agent.tape import Slice, Tape

# A sample that follows the one before by more than this share of the interval is late: it tells of
# a longer time than the others of the histogram.
LATE_SHARE = 1.5
# A rate over a longer time than this many intervals is unknown: it hides the bursts within.
_LONGEST_INTERVALS = 10
# How often the histograms are brought up to date: each time costs as much as a window.
_HISTOGRAM_SECONDS = 5.0
# The sample after a window's end belongs to the window; by then it should have come.
_SETTLE_SECONDS = 0.1


class WindowCollector:
    """Reads *tape*.

    *line_rate* answers with a rail's bytes per second, None if unknown; *sample_seconds* with the
    interval of fast samples as it is in force.
    """

    name = "window"
    interval_seconds = 1.0

    def __init__(
        self,
        *,
        tape: Tape,
        rails: Callable[[], Sequence[Rail]],
        line_rate: Callable[[Rail], float | None],
        sample_seconds: Callable[[], float],
        window_seconds: float,
        clock: Clock,
    ) -> None:
        self._tape = tape
        self._rails = rails
        self._line_rate = line_rate
        self._sample_seconds = sample_seconds
        self._window_seconds = window_seconds
        self._clock = clock
        self._began_at: float | None = None
        self._end: float | None = None
        self._window: list[Sample] = []
        self._utilization: dict[int, _Utilization] = {}

    def collect(self) -> Iterator[Sample]:
        """Yield the statistics of the last complete window and the histograms up to now."""
        now, wall = self._clock.monotonic(), self._clock.wall()
        rails = self._rails()
        end = self._last_end(wall)
        if self._began_at is None:
            self._began_at = now
        if end != self._end and end - wall + now > self._began_at:
            self._end = end
            self._window = [Sample(AGENT_WINDOW_END, (), end)]
            self._window += self._statistics(rails, end - wall + now)
        yield Sample(AGENT_WINDOW_SECONDS, (), self._window_seconds)
        yield from self._window
        for rail in rails:
            yield from self._histograms(rail, now)

    def _last_end(self, wall: float) -> float:
        settle = _SETTLE_SECONDS + 2 * self._sample_seconds()
        return window_end_after(wall - settle, self._window_seconds) - self._window_seconds

    def _statistics(self, rails: Sequence[Rail], end: float) -> Iterator[Sample]:
        start = end - self._window_seconds
        families: list[tuple[Rail, dict[str, MetricSpec]]] = []
        counters: list[Counted] = []
        for rail in rails:
            # A late sample may have begun well before the window.
            held = self._tape.track(rail.number).slice(start - self._window_seconds)
            line_rate = self._line_rate(rail)
            families += [(rail, RECEIVE_WINDOW), (rail, TRANSMIT_WINDOW)]
            counters += [
                Counted(held.times, held.receive_bytes, line_rate),
                Counted(held.times, held.transmit_bytes, line_rate),
            ]
        longest = _LONGEST_INTERVALS * self._sample_seconds()
        found = statistics_of_counters(counters, start, end, longest_interval=longest)
        for (rail, family), known in zip(families, found, strict=True):
            if known is not None:
                yield from _direction(rail, family, known)
        for rail in rails:
            yield from self._queue(rail, start, end)

    def _queue(self, rail: Rail, start: float, end: float) -> Iterator[Sample]:
        times, backlog = self._tape.queues.since(rail.number, start)
        backlog = backlog[times < end]
        if len(backlog):
            yield Sample(RAIL_QUEUE_OCCUPIED, rail.labels, float(np.mean(backlog > 0)))

    def _histograms(self, rail: Rail, now: float) -> Iterator[Sample]:
        line_rate = self._line_rate(rail)
        if line_rate is None:
            return
        known = self._utilization.get(rail.number)
        if known is None:
            known = self._utilization[rail.number] = _Utilization(now)
        if now - known.read_at >= _HISTOGRAM_SECONDS:
            known.read_at = now
            held = self._tape.track(rail.number).slice(known.until)
            known.add(held, line_rate, LATE_SHARE * self._sample_seconds())
        if now - known.until < 2 * _HISTOGRAM_SECONDS:
            yield from known.samples(rail)


def _direction(
    rail: Rail, family: dict[str, MetricSpec], known: WindowStatistics
) -> Iterator[Sample]:
    yield Sample(family["max"], rail.labels, known.max)
    yield Sample(family["top_decile"], rail.labels, known.top_decile)
    yield Sample(family["std"], rail.labels, known.std)
    if known.duty is not None:
        yield Sample(family["duty"], rail.labels, known.duty)


class _Utilization:
    """The histograms of one rail, until which sample the tape was read for them, and when."""

    def __init__(self, since: float) -> None:
        self.until = self.read_at = since
        self._receive = Histogram(RAIL_RECEIVE_UTILIZATION.edges)
        self._transmit = Histogram(RAIL_TRANSMIT_UTILIZATION.edges)

    def add(self, held: Slice, line_rate: float, late_seconds: float) -> None:
        """Count each interval of *held* that is not late; its first sample was counted before."""
        if not len(held):
            return
        self.until = float(held.times[-1])
        for histogram, counter in (
            (self._receive, held.receive_bytes),
            (self._transmit, held.transmit_bytes),
        ):
            seconds, rates = interval_rates(held.times, counter)
            counted = np.isfinite(rates) & (seconds <= late_seconds)
            histogram.observe_all(rates[counted] / line_rate)

    def samples(self, rail: Rail) -> Iterator[Sample]:
        """Yield both histograms."""
        yield Sample(RAIL_RECEIVE_UTILIZATION, rail.labels, self._receive.distribution())
        yield Sample(RAIL_TRANSMIT_UTILIZATION, rail.labels, self._transmit.distribution())
