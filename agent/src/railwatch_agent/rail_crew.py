# SPDX-License-Identifier: Apache-2.0
"""The crew that reads the rails' bytes: plain ones in one go, and the others with care."""

from __future__ import annotations

from typing import TYPE_CHECKING

from railwatch_agent.crew import Crew
from railwatch_agent.stations import SLOW_SECONDS
from railwatch_agent.sweep import LOOK_EVERY_ROUNDS, Sweep

if TYPE_CHECKING:
    from railwatch.clock import Clock
    from railwatch_agent.histogram import Histogram
    from railwatch_agent.stations import RailStation, Station
    from railwatch_agent.tape import Tape


class RailCrew(Crew):
    """Reads rails onto *tape*; `stations` are those of the rails, and may be changed by others."""

    stations: tuple[RailStation, ...]

    def __init__(
        self, *, tape: Tape, interval_seconds: float, clock: Clock, lateness: Histogram
    ) -> None:
        super().__init__((), interval_seconds=interval_seconds, clock=clock, lateness=lateness)
        self._append = tape.bytes.append
        self._rounds = 0
        # Which stations the sweep and the others were made of.
        self._sorted: tuple[RailStation, ...] = ()
        self._sweep: Sweep | None = None
        self._others: tuple[RailStation, ...] = ()
        self._is_sweeping = False

    def at(self) -> Station | None:
        """Return the station that is being read, None between two rounds."""
        sweep = self._sweep
        return sweep.reading if sweep is not None and self._is_sweeping else self.reading

    def round(self, now: float) -> None:
        """Sweep, then read the others; where a sweep does not do, read all with care."""
        self.began_at = now
        self._rounds += 1
        sweep = self._sweep
        if sweep is None or self._sorted is not self.stations:
            self._read_all(now)
            return
        self._is_sweeping = True
        found = sweep.read()
        is_look = self._rounds % LOOK_EVERY_ROUNDS == 0
        if is_look and not sweep.look():
            found = None
        self._is_sweeping = False
        self.steps += 1
        if self._is_abandoned:
            return
        if found is None:
            self._read_all(now)
            return
        ended = self._monotonic()
        self._append(((now + ended) / 2, sweep.rails, found))
        if self._others:
            self.read_each(self._others, now)
        if ended - now > SLOW_SECONDS or (is_look and self._others):
            # One of them may be slow, or one of the others no more so: find out which.
            self._give_back(sweep)

    def _give_back(self, sweep: Sweep) -> None:
        """Have all stations read with care next time."""
        sweep.give_back()
        self._sweep = None

    def _read_all(self, now: float) -> None:
        """Read all stations with care, and sort them into those that can be swept and others."""
        stations = self.stations
        if self._sweep is not None:
            self._give_back(self._sweep)
        self.read_each(stations, now)
        plains = [(station, station.plains()) for station in stations]
        self._sorted = stations
        self._others = tuple(station for station, plain in plains if plain is None)
        swept = [station for station, plain in plains if plain is not None]
        if swept and not self._is_abandoned:
            self._sweep = Sweep(swept, [plain for _, pair in plains for plain in pair or ()])
