# SPDX-License-Identifier: Apache-2.0
"""One rail looked at closely for a while: read at 200 Hz, apart from what is sampled all the time.

What it sees is on a channel of its own: peaks over 5 ms are higher than over 20 ms, and would make
a rail look unlike its peers. One look at a time, bounded, and as long a rest after it, so that who
asks again and again costs no more than half of that.
"""

from __future__ import annotations

import threading
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from railwatch.windows import Counted, statistics_of_counters
from railwatch_agent.histogram import Histogram
from railwatch_agent.rail_crew import RailCrew
from railwatch_agent.tape import Tape

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from railwatch.clock import Clock
    from railwatch_agent.inventory import Rail
    from railwatch_agent.stations import RailStation

INTERVAL_SECONDS = 0.005
LONGEST_SECONDS = 60.0
_SAMPLES = round(LONGEST_SECONDS / INTERVAL_SECONDS)
_LONGEST_INTERVALS = 10


class BusyError(RuntimeError):
    """It looks at a rail, or rests after that; `wait_seconds` say for how long."""

    def __init__(self, wait_seconds: float) -> None:
        super().__init__(f"busy for {wait_seconds:.0f} s")
        self.wait_seconds = wait_seconds


@dataclass(frozen=True, slots=True)
class _Look:
    """A look at a rail; times are of CLOCK_MONOTONIC but `began_wall`, which is Unix time."""

    rail: Rail
    seconds: float
    began_at: float
    began_wall: float
    crew: RailCrew
    tape: Tape
    line_rate: float | None

    @property
    def ends_at(self) -> float:
        return self.began_at + self.seconds


class Microscope:
    """Looks at one rail at a time.

    *station* makes what reads a rail onto a tape; *line_rate* answers with a rail's bytes per
    second, None if unknown. `supervise` ends what is over; it is to be called about once a second.
    """

    def __init__(
        self,
        *,
        rails: Callable[[], Sequence[Rail]],
        station: Callable[[Rail, Tape], RailStation],
        line_rate: Callable[[Rail], float | None],
        clock: Clock,
    ) -> None:
        self._rails = rails
        self._station = station
        self._line_rate = line_rate
        self._clock = clock
        self._look: _Look | None = None
        self._lock = threading.Lock()

    def look(self, number: int, seconds: float) -> None:
        """Begin to look at the rail of this number.

        Raises
        ------
        ValueError
            *seconds* is not above 0 and at most `LONGEST_SECONDS`.
        LookupError
            There is no such rail, or its device is gone.
        BusyError
            It looks already, or rests.
        """
        if not 0 < seconds <= LONGEST_SECONDS:
            raise ValueError(f"seconds must be above 0 and at most {LONGEST_SECONDS:g}")
        rail = next((r for r in self._rails() if r.number == number and r.is_present), None)
        if rail is None:
            raise LookupError(f"no rail {number} is present")
        with self._lock:
            self._refuse_haste()
            self._look = self._begin(rail, seconds)

    def supervise(self) -> None:
        """End the look whose time is over."""
        look = self._look
        if look is not None and self._clock.monotonic() >= look.ends_at:
            look.crew.stop()

    def stop(self) -> None:
        """End the look that is under way; does not wait for its read."""
        if self._look is not None:
            self._look.crew.stop()

    @property
    def is_looking(self) -> bool:
        """Whether a rail is being looked at."""
        look = self._look
        return look is not None and self._clock.monotonic() < look.ends_at

    def seen(self) -> dict[str, Any] | None:
        """Return what the last look has seen so far, as it is answered; None before the first."""
        look = self._look
        if look is None:
            return None
        return {
            "rail": str(look.rail.number),
            "device": look.rail.device,
            "began": look.began_wall,
            "seconds": look.seconds,
            "interval_seconds": INTERVAL_SECONDS,
            "is_over": not self.is_looking,
            **_described(look),
        }

    def _refuse_haste(self) -> None:
        look = self._look
        if look is None:
            return
        now = self._clock.monotonic()
        rested_at = look.ends_at + look.seconds
        if now < rested_at:
            raise BusyError(rested_at - now)
        if not look.crew.is_over:
            # A read does not return: another look might not, either.
            raise BusyError(look.seconds)

    def _begin(self, rail: Rail, seconds: float) -> _Look:
        tape = Tape(_SAMPLES)
        crew = RailCrew(
            tape=tape,
            interval_seconds=INTERVAL_SECONDS,
            clock=self._clock,
            lateness=Histogram(()),
        )
        crew.stations = (self._station(rail, tape),)
        now, wall = self._clock.monotonic(), self._clock.wall()
        crew.start()
        return _Look(rail, seconds, now, wall, crew, tape, self._line_rate(rail))


def _described(look: _Look) -> dict[str, Any]:
    """Return samples as times since the beginning and counters, and what they say of the rates."""
    held = look.tape.track(look.rail.number).slice(look.began_at)
    # It may have taken the supervisor a while to end the look.
    held = held.until(look.ends_at)
    counters = {"receive": held.receive_bytes, "transmit": held.transmit_bytes}
    found = statistics_of_counters(
        [Counted(held.times, counter, look.line_rate) for counter in counters.values()],
        float(held.times[0]) if len(held) else 0.0,
        float(held.times[-1]) if len(held) > 1 else 1.0,
        longest_interval=_LONGEST_INTERVALS * INTERVAL_SECONDS,
    )
    known = np.isfinite(held.receive_bytes)
    rates = {
        direction: {
            "max_bytes_per_second": of.max,
            "top_decile_bytes_per_second": of.top_decile,
            "mean_bytes_per_second": of.mean,
            "std_bytes_per_second": of.std,
        }
        for direction, of in zip(counters, found, strict=True)
        if of is not None
    }
    return {
        "rates": rates,
        "times": np.round(held.times[known] - look.began_at, 6).tolist(),
        "receive_bytes": held.receive_bytes[known].tolist(),
        "transmit_bytes": held.transmit_bytes[known].tolist(),
    }
