# SPDX-License-Identifier: Apache-2.0
"""All rails' bytes in one go: what a round of fast sampling does while all is well.

Whatever runs 50 times a second finds the processor's caches full of others' data, and each line of
Python costs three times what a loop shows. So a round is a few calls into C, whatever the number of
rails, and anything out of the ordinary is left to the stations.
"""

from __future__ import annotations

from itertools import repeat
from operator import add, gt, lt, mul
from typing import TYPE_CHECKING

from railwatch_agent.sources.summed import QUIET_BYTES, OpenFiles

if TYPE_CHECKING:
    from collections.abc import Sequence

    from railwatch_agent.sources.summed import Plain
    from railwatch_agent.stations import RailStation

# Resting parts are looked at every so many rounds.
LOOK_EVERY_ROUNDS = 10


class Sweep:
    """Reads the plain counters of *stations*, of each first what it received, then what it sent."""

    def __init__(self, stations: Sequence[RailStation], plains: Sequence[Plain]) -> None:
        self.stations = tuple(stations)
        self.rails = tuple(station.rail.number for station in stations)
        self._moving = OpenFiles([plain.moving for plain in plains])
        self._offsets = [plain.offset for plain in plains]
        self._is_scaled = any(scale != 1 for scale in self._moving.scales)
        self._resting = OpenFiles([reading for plain in plains for reading in plain.resting])
        # Which sum a part that rests is a part of.
        self._owners = [at for at, plain in enumerate(plains) for _ in plain.resting]
        self._is_looking = False

    @property
    def reading(self) -> RailStation:
        """The station that is being read, as seen from another thread."""
        if self._is_looking:
            return self.stations[self._owners[max(self._resting.position, 0)] // 2]
        return self.stations[max(self._moving.position, 0) // 2]

    def read(self) -> list[int] | None:
        """Return the bytes of all stations, or None if one of them wants care."""
        moving = self._moving
        try:
            values = moving.read()
        except (OSError, ValueError):
            return None
        if any(map(lt, values, moving.values)):
            return None
        moving.values = values
        if self._is_scaled:
            values = map(mul, values, moving.scales)  # type: ignore[assignment] # as good to add
        return list(map(add, values, self._offsets))

    def look(self) -> bool:
        """Look at what rests; return whether it still does."""
        resting = self._resting
        if not resting.values:
            return True
        self._is_looking = True
        try:
            values = resting.read()
        except (OSError, ValueError):
            return False
        finally:
            self._is_looking = False
        if values == resting.values:
            return True
        limits = map(add, resting.values, repeat(LOOK_EVERY_ROUNDS * QUIET_BYTES))
        if any(map(gt, values, limits)) or any(map(lt, values, resting.values)):
            return False
        for owner, before, value, scale in zip(
            self._owners, resting.values, values, resting.scales, strict=True
        ):
            self._offsets[owner] += (value - before) * scale
        resting.values = values
        return True

    def give_back(self) -> None:
        """Let the stations know what was read."""
        said = self._moving.by_descriptor() | self._resting.by_descriptor()
        for station in self.stations:
            station.adopt(said)
