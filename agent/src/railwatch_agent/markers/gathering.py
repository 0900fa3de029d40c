# SPDX-License-Identifier: Apache-2.0
"""Steps of a node, gathered from its ranks; pure.

A step of the node lasts from the start of its first rank to the end of its last. The others wait
for that one in the next collective, so that this is what a step costs; the bytes on the node's
rails are those of this time; and a median of ranks would hide one that is slow. Where a rank begins
a step before another has ended the one before, the time that both have goes to the earlier: no
second counts twice.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterable

    from railwatch_agent.markers.marker import Marker

# More than a node has GPUs.
_MOST_RANKS: Final = 256
# A step is held open for ranks that are late while so many later ones are not yet heard of.
_MOST_OPEN: Final = 2


@dataclass(frozen=True, slots=True)
class NodeStep:
    """One step; its parts are means over the ranks that say them, None if none does."""

    start: float
    end: float
    compute: float | None
    exposed: float | None
    communication: float | None


class Gathering:
    """The steps of one job that are not whole yet."""

    def __init__(self) -> None:
        self._open: dict[int, dict[int, Marker]] = {}
        self._ranks: frozenset[int] = frozenset()
        self._closed = -1
        self._closed_end = -math.inf

    def add(self, marker: Marker) -> list[NodeStep] | None:
        """Return the steps that are whole now; None of a marker that comes twice or too late.

        A number that goes back, of a step that begins after all that was heard of, is a job that
        has begun anew.
        """
        steps: list[NodeStep] = []
        if self._is_anew(marker):
            steps = self.flush()
            self._closed = -1
        elif marker.step <= self._closed:
            # The next step is to wait for that rank.
            self._ranks |= {marker.rank}
            return None
        ranks = self._open.setdefault(marker.step, {})
        if marker.rank in ranks or len(ranks) >= _MOST_RANKS:
            return None
        ranks[marker.rank] = marker
        return [*steps, *self._close_whole()]

    def flush(self) -> list[NodeStep]:
        """Return what there is, whole or not."""
        return [step for number in sorted(self._open) for step in self._close(number)]

    def _is_anew(self, marker: Marker) -> bool:
        before = self._open.get(marker.step, {}).get(marker.rank)
        if before is not None:
            return marker.start >= before.end
        return marker.step <= self._closed and marker.start >= self._closed_end

    def _close_whole(self) -> list[NodeStep]:
        steps: list[NodeStep] = []
        while self._open:
            number = min(self._open)
            is_whole = bool(self._ranks) and self._ranks <= self._open[number].keys()
            if not is_whole and len(self._open) <= _MOST_OPEN:
                break
            steps += self._close(number)
        return steps

    def _close(self, number: int) -> list[NodeStep]:
        markers = self._open.pop(number)
        self._ranks, self._closed = frozenset(markers), number
        start = max(self._closed_end, min(marker.start for marker in markers.values()))
        end = max(marker.end for marker in markers.values())
        if end <= start:
            return []
        self._closed_end = end
        step = NodeStep(
            start,
            end,
            _mean(marker.compute for marker in markers.values()),
            _mean(marker.exposed for marker in markers.values()),
            _mean(marker.communication for marker in markers.values()),
        )
        return [step]


def _mean(parts: Iterable[float | None]) -> float | None:
    known = [part for part in parts if part is not None]
    return sum(known) / len(known) if known else None
