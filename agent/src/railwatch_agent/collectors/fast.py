# SPDX-License-Identifier: Apache-2.0
"""What fast sampling knows at the moment of a scrape, without reading anything anew.

Prometheus stamps a sample with the time of its scrape. Byte counters are therefore taken off the
tape at the scrape, at most one fast sample old, and not from a collector's last round: half a
second of age would be an error of 3 % in a rate over 15 s.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from railwatch.catalogue.metric import Sample
from railwatch.catalogue.node import (
    AGENT_FAST_SAMPLES,
    AGENT_RAILS,
    AGENT_READ_ERRORS,
    AGENT_SAMPLER_INTERVAL,
    AGENT_SAMPLER_LATENESS,
    AGENT_SAMPLER_STUCK_RAILS,
    AGENT_THROTTLED,
)
from railwatch.catalogue.rail import RAIL_QUEUE_DROPS, RAIL_RECEIVE_BYTES, RAIL_TRANSMIT_BYTES

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from railwatch.clock import Clock
    from railwatch_agent.inventory import Rail
    from railwatch_agent.sampler import Sampler
    from railwatch_agent.stations import QueueStation
    from railwatch_agent.tape import Tape

# A fast sample that is older is no longer what the counter says.
_FRESH_SECONDS = 2.0


class FastReadings:
    """Answers a scrape with the newest fast samples; never waits for anything."""

    def __init__(
        self,
        *,
        rails: Callable[[], Sequence[Rail]],
        tape: Tape,
        sampler: Sampler,
        queues: QueueStation,
        read_errors: Callable[[], int],
        clock: Clock,
    ) -> None:
        self._rails = rails
        self._tape = tape
        self._sampler = sampler
        self._queues = queues
        self._read_errors = read_errors
        self._clock = clock

    def samples(self) -> Iterator[Sample]:
        """Yield the rails' counters and how the sampler does."""
        rails = self._rails()
        now = self._clock.monotonic()
        for rail in rails:
            yield from self._rail(rail, now)
        yield Sample(AGENT_RAILS, (), len(rails))
        taken = sum(self._tape.bytes.count(rail.number) for rail in rails)
        yield Sample(AGENT_FAST_SAMPLES, (), taken)
        yield Sample(AGENT_SAMPLER_LATENESS, (), self._sampler.lateness)
        yield Sample(AGENT_SAMPLER_INTERVAL, (), self._sampler.interval_seconds)
        yield Sample(AGENT_THROTTLED, (), int(self._sampler.is_throttled))
        yield Sample(AGENT_SAMPLER_STUCK_RAILS, (), self._sampler.stuck_rails)
        yield Sample(AGENT_READ_ERRORS, ("sampler",), self._read_errors())

    def _rail(self, rail: Rail, now: float) -> Iterator[Sample]:
        latest = self._tape.track(rail.number).newest()
        if not rail.is_present or latest is None:
            return
        time, receive, transmit = latest
        if now - time > _FRESH_SECONDS or math.isnan(receive):
            return
        yield Sample(RAIL_RECEIVE_BYTES, rail.labels, int(receive))
        yield Sample(RAIL_TRANSMIT_BYTES, rail.labels, int(transmit))
        drops = None if rail.ifindex is None else self._queues.drops(rail.ifindex)
        if drops is not None:
            yield Sample(RAIL_QUEUE_DROPS, rail.labels, drops)
