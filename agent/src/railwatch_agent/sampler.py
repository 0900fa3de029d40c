# SPDX-License-Identifier: Apache-2.0
"""Fast sampling: writes the tape on a steady cadence and knows no reader of it.

A crew is a thread that reads its stations at absolute deadlines of CLOCK_MONOTONIC. A read that
does not return cannot be interrupted, so a supervisor looks after the crew about once a second: the
rail whose read hangs is left with its thread, the others are given to a successor.

Queues have a crew of their own: to list them the kernel takes the lock that a reset of a NIC holds
for seconds (rtnl_mutex), and bytes are read without it.
"""

from __future__ import annotations

import logging
import threading
import time
from typing import TYPE_CHECKING

from railwatch.catalogue.node import AGENT_SAMPLER_LATENESS
from railwatch_agent.cadence import next_deadline
from railwatch_agent.histogram import Histogram

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from railwatch.catalogue.metric import Distribution
    from railwatch.clock import Clock
    from railwatch_agent.inventory import Rail
    from railwatch_agent.stations import QueueStation, RailStation, Station

log = logging.getLogger(__name__)

# A read that lasts longer does not return, as far as the others are concerned.
STUCK_SECONDS = 2.0
# A sampler without progress for this long is not coming back by itself.
_DEAD_SECONDS = 10.0


class Crew:
    """A thread that reads *stations* on a steady cadence, until it is stopped or abandoned.

    `stations` and `interval_seconds` may be changed by others and hold from the next round on.
    `reading` is the station that it is within, None between two rounds; `steps` grows with all that
    returns. They tell a supervisor what hangs and cost the fast path no clock.
    """

    def __init__(
        self,
        stations: Sequence[Station],
        *,
        interval_seconds: float,
        clock: Clock,
        lateness: Histogram,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self.stations = tuple(stations)
        self.reading: Station | None = None
        self.steps = 0
        self.began_at = clock.monotonic()
        self._is_abandoned = False
        self.interval_seconds = interval_seconds
        self._clock = clock
        self._lateness = lateness
        # Not the clock's wait: an event that is waited for with a timeout costs twice a sleep.
        self._sleep = sleep
        self._is_stopped = False
        self._thread = threading.Thread(target=self.run, name="sampler", daemon=True)

    @property
    def is_over(self) -> bool:
        """Whether the thread has ended, so that another one may have what it read."""
        return not self._thread.is_alive()

    def start(self) -> None:
        """Begin to read."""
        self._thread.start()

    def stop(self) -> None:
        """End after the round that is under way, at the latest when the next one is due."""
        self._is_stopped = True

    def abandon(self) -> None:
        """End as soon as the read that is under way returns, should it ever."""
        self._is_abandoned = self._is_stopped = True

    def run(self) -> None:
        """Sample until stopped; the body of the thread."""
        monotonic, sleep = self._clock.monotonic, self._sleep
        now = monotonic()
        deadline = now - now % self.interval_seconds
        while True:
            deadline = next_deadline(deadline, now, self.interval_seconds)
            sleep(deadline - now)
            if self._is_stopped:
                return
            now = monotonic()
            self._lateness.observe(max(now - deadline, 0.0))
            self.round(now)
            now = monotonic()

    def round(self, now: float) -> None:
        """Read every station once."""
        self.began_at = now
        for station in self.stations:
            self.reading = station
            station.read(now)
            self.steps += 1
            # A successor has the other stations by now.
            if self._is_abandoned:
                return
        self.reading = None


class Lookout:
    """Tells from outside whether a crew hangs."""

    def __init__(self, now: float) -> None:
        self._steps = -1
        self._since = now
        self._looked_at = now

    def hung(self, crew: Crew, now: float) -> Station | None:
        """Return the station whose read has not returned for too long, if there is one."""
        # Nobody looked for long: the machine slept, and the crew with it.
        slept = now - self._looked_at > STUCK_SECONDS
        self._looked_at = now
        station, steps = crew.reading, crew.steps
        if slept or station is None or steps != self._steps:
            self._steps, self._since = steps, now
            return None
        return station if now - self._since > STUCK_SECONDS else None


class Sampler:
    """Samples all rails, and goes on with the rest when one of them hangs.

    *station* makes what reads a rail onto its track. `supervise` is to be called once before
    `start` and then about once a second, always from one thread.
    """

    def __init__(
        self,
        *,
        rails: Callable[[], Sequence[Rail]],
        station: Callable[[Rail], RailStation],
        queues: QueueStation,
        interval_seconds: float,
        clock: Clock,
    ) -> None:
        self._rails = rails
        self._station = station
        self._interval_seconds = interval_seconds
        self._clock = clock
        self._lateness = Histogram(AGENT_SAMPLER_LATENESS.edges)
        self._seen: Sequence[Rail] | None = None
        self._stations: dict[int, RailStation] = {}
        self._stuck: dict[int, Crew] = {}
        now = clock.monotonic()
        self._crew = self._new_crew()
        self._lookout = Lookout(now)
        # What a queue was found at says little about lateness: that histogram is the rails'.
        self._queue_crew = Crew(
            [queues], interval_seconds=interval_seconds, clock=clock, lateness=Histogram(())
        )
        self._queue_lookout = Lookout(now)
        self._queues = queues
        self._is_queue_stuck = False

    def start(self) -> None:
        """Begin to sample."""
        self._crew.start()
        self._queue_crew.start()

    def stop(self) -> None:
        """End after the reads that are under way; does not wait for them."""
        self._crew.stop()
        self._queue_crew.stop()

    @property
    def lateness(self) -> Distribution:
        """How late each round of fast samples began."""
        return self._lateness.distribution()

    @property
    def stuck_rails(self) -> int:
        """How many rails are left out because a read of theirs does not return."""
        return len(self._stuck)

    def is_alive(self) -> bool:
        """Whether rails that do not hang are being sampled."""
        patience = max(_DEAD_SECONDS, 3 * self._interval_seconds)
        return self._clock.monotonic() - self._crew.began_at < patience

    def supervise(self) -> None:
        """Follow the inventory, take back what has returned, go on without what hangs."""
        now = self._clock.monotonic()
        self._take_back()
        self._follow_inventory()
        hung = self._lookout.hung(self._crew, now)
        for number, station in self._stations.items():
            if station is hung:
                self._leave(number, station)
                break
        self._look_after_queues(now)

    def _new_crew(self) -> Crew:
        return Crew(
            (),
            interval_seconds=self._interval_seconds,
            clock=self._clock,
            lateness=self._lateness,
        )

    def _follow_inventory(self) -> None:
        rails = self._rails()
        if rails is self._seen:
            return
        self._seen = rails
        before, self._stations = self._stations, {}
        for rail in rails:
            if rail.is_present:
                kept = before.get(rail.number)
                is_same = kept is not None and kept.rail == rail
                self._stations[rail.number] = kept if kept and is_same else self._station(rail)
        self._assign()

    def _assign(self) -> None:
        """Give the crew every rail that does not hang, from its next round on."""
        self._crew.stations = tuple(
            station for number, station in self._stations.items() if number not in self._stuck
        )

    def _leave(self, number: int, station: RailStation) -> None:
        log.warning("%s: a read does not return; going on without it", station.what)
        self._crew.abandon()
        self._stuck[number] = self._crew
        self._crew = self._new_crew()
        self._lookout = Lookout(self._clock.monotonic())
        self._assign()
        self._crew.start()

    def _take_back(self) -> None:
        for number in [number for number, crew in self._stuck.items() if crew.is_over]:
            del self._stuck[number]
            station = self._stations.get(number)
            if station is not None:
                station.interrupt()
                log.info("%s: the read has returned; sampled again", station.what)
            self._assign()

    def _look_after_queues(self, now: float) -> None:
        hung = self._queue_lookout.hung(self._queue_crew, now)
        if hung is not None and not self._is_queue_stuck:
            log.warning("%s: a read does not return", hung.what)
        if hung is None and self._is_queue_stuck:
            log.info("%s: the read has returned", self._queue_crew.stations[0].what)
        self._is_queue_stuck = hung is not None
        self._queue_crew.interval_seconds = max(
            self._interval_seconds, self._queues.affordable_interval_seconds
        )
