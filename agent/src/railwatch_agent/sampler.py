# SPDX-License-Identifier: Apache-2.0
"""Fast sampling: writes the tape on a steady cadence and knows no reader of it.

A crew reads its stations at absolute deadlines of CLOCK_MONOTONIC. A read that does not return
cannot be interrupted, so a supervisor looks after the crew about once a second: the rail whose read
hangs is left with its thread, the others are given to a successor.

Queues have a crew of their own: to list them the kernel takes the lock that a reset of a NIC holds
for seconds (rtnl_mutex), and bytes are read without it.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from railwatch.catalogue.node import AGENT_SAMPLER_LATENESS
from railwatch_agent.crew import Crew, Lookout
from railwatch_agent.histogram import Histogram
from railwatch_agent.rail_crew import RailCrew

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from railwatch.catalogue.metric import Distribution
    from railwatch.clock import Clock
    from railwatch_agent.inventory import Rail
    from railwatch_agent.stations import QueueStation, RailStation
    from railwatch_agent.tape import Tape

log = logging.getLogger(__name__)

# A sampler without progress for this long is not coming back by itself.
_DEAD_SECONDS = 10.0
# Bytes are read so many times as often as queues, whose list costs as much as four rails.
_SAMPLES_A_QUEUE_READ = 2.5


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
        tape: Tape,
        queues: QueueStation,
        interval_seconds: float,
        clock: Clock,
    ) -> None:
        self._rails = rails
        self._station = station
        self._tape = tape
        self._interval_seconds = interval_seconds
        self._slowdown = 1
        self._clock = clock
        self._lateness = Histogram(AGENT_SAMPLER_LATENESS.edges)
        self._seen: Sequence[Rail] | None = None
        self._stations: dict[int, RailStation] = {}
        self._stuck: dict[int, RailCrew] = {}
        now = clock.monotonic()
        self._crew = self._new_crew()
        self._lookout = Lookout(now)
        # What a queue was found at says little about lateness: that histogram is the rails'.
        self._queue_crew = Crew(
            [queues],
            interval_seconds=_SAMPLES_A_QUEUE_READ * interval_seconds,
            clock=clock,
            lateness=Histogram(()),
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
    def interval_seconds(self) -> float:
        """From one fast sample to the next, as it is in force."""
        return self._interval_seconds * self._slowdown

    @property
    def is_throttled(self) -> bool:
        """Whether samples are taken less often than configured."""
        return self._slowdown > 1

    def slow_down(self, factor: int) -> None:
        """Take samples so many times less often than configured; 1 is as configured."""
        self._slowdown = factor
        self._crew.interval_seconds = self.interval_seconds
        for station in self._stations.values():
            station.slow_down(factor)

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
        patience = max(_DEAD_SECONDS, 3 * self.interval_seconds)
        return self._clock.monotonic() - self._crew.began_at < patience

    def supervise(self) -> None:
        """Follow the inventory, take back what has returned, go on without what hangs."""
        now = self._clock.monotonic()
        # Nobody may ask for it for long.
        self._lateness.distribution()
        self._take_back()
        self._follow_inventory()
        hung = self._lookout.hung(self._crew, now)
        for number, station in self._stations.items():
            if station is hung:
                self._leave(number, station)
                break
        self._look_after_queues(now)

    def _new_crew(self) -> RailCrew:
        return RailCrew(
            tape=self._tape,
            interval_seconds=self.interval_seconds,
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
                station = kept if kept and is_same else self._station(rail)
                station.slow_down(self._slowdown)
                self._stations[rail.number] = station
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
            _SAMPLES_A_QUEUE_READ * self.interval_seconds,
            self._queues.affordable_interval_seconds,
        )
