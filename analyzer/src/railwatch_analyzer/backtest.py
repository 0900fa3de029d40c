# SPDX-License-Identifier: Apache-2.0
"""The fold over a Prometheus's history: what an analyzer would have said at the time.

Each round asks for the raw samples that were there at its moment, by the source that a running
analyzer uses; only the clock is another. Times are Unix seconds or ISO 8601 with an offset.
"""

from __future__ import annotations

from contextlib import closing
from datetime import datetime
from itertools import chain
from typing import TYPE_CHECKING

from railwatch.clock import SystemClock
from railwatch_analyzer.replay import judged
from railwatch_analyzer.sources.prometheus import PrometheusSource

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from railwatch_analyzer.findings import Finding
    from railwatch_analyzer.frame import Frame

# A round a window, as a running analyzer has by default.
ROUND_SECONDS = 5.0


class _PastClock(SystemClock):
    """A wall clock at a moment of the past; durations are today's."""

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds

    def wall(self) -> float:
        """Unix seconds."""
        return self.seconds


def unix_seconds(text: str) -> float:
    """Return the moment that *text* names.

    Raises
    ------
    ValueError
        If it names none, or one that depends on where it is read.
    """
    try:
        return float(text)
    except ValueError:
        moment = datetime.fromisoformat(text)
    if moment.tzinfo is None:
        raise ValueError(f"{text!r} has no offset, such as Z or +02:00")
    return moment.timestamp()


def backtest(
    url: str, start: float, end: float, *, matchers: Sequence[str] = ()
) -> Iterator[Finding]:
    """Return a line for each change of a finding between *start* and *end*, Unix seconds.

    Raises
    ------
    SourceError
        If Prometheus does not answer: at the call where it never does, later where it ceases to.
    """
    frames = _frames(url, start, end, matchers)
    # Asked before the first line is: the caller has written nothing yet.
    first = next(frames, None)
    return judged(frames if first is None else chain([first], frames))


def _frames(url: str, start: float, end: float, matchers: Sequence[str]) -> Iterator[Frame]:
    clock = _PastClock(start)
    with closing(PrometheusSource(url, clock, matchers=matchers)) as source:
        rounds = int((end - start) // ROUND_SECONDS) + 1
        for number in range(rounds):
            clock.seconds = start + number * ROUND_SECONDS
            yield source.fetch()
