# SPDX-License-Identifier: Apache-2.0
"""A thread that reads on a steady cadence, and how to tell from outside that it hangs."""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING

from railwatch_agent.cadence import next_deadline

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from railwatch.clock import Clock
    from railwatch_agent.histogram import Histogram
    from railwatch_agent.stations import Station

# A read that lasts longer does not return, as far as the others are concerned.
STUCK_SECONDS = 2.0


class Crew:
    """A thread that reads *stations* on a steady cadence, until it is stopped or abandoned.

    `stations` and `interval_seconds` may be changed by others and hold from the next round on.
    `steps` grows with all that returns; with `at` it tells a supervisor what hangs and costs the
    fast path no clock.
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
        self.interval_seconds = interval_seconds
        self._monotonic = clock.monotonic
        self._lateness = lateness
        # Not the clock's wait: an event that is waited for with a timeout costs twice a sleep.
        self._sleep = sleep
        self._is_abandoned = False
        self._is_stopped = False
        self._thread = threading.Thread(target=self.run, name="sampler", daemon=True)

    @property
    def is_over(self) -> bool:
        """Whether the thread has ended, so that another one may have what it read."""
        return not self._thread.is_alive()

    def at(self) -> Station | None:
        """Return the station that is being read, None between two rounds."""
        return self.reading

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
        monotonic, sleep = self._monotonic, self._sleep
        now = monotonic()
        deadline = now - now % self.interval_seconds
        while True:
            interval = self.interval_seconds
            # What next_deadline() answers, without the call as long as rounds are in time.
            if deadline + interval > now:
                deadline += interval
            else:
                deadline = next_deadline(deadline, now, interval)
            sleep(deadline - now)
            if self._is_stopped:
                return
            began = monotonic()
            self._lateness.note(began - deadline)
            self.round(began)
            now = monotonic()

    def round(self, now: float) -> None:
        """Read every station once."""
        self.began_at = now
        self.read_each(self.stations, now)

    def read_each(self, stations: Sequence[Station], now: float) -> None:
        """Read *stations* one after the other, until abandoned."""
        for station in stations:
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
        station, steps = crew.at(), crew.steps
        if slept or station is None or steps != self._steps:
            self._steps, self._since = steps, now
            return None
        return station if now - self._since > STUCK_SECONDS else None
