# SPDX-License-Identifier: Apache-2.0
"""Read as often as a reading is worth: what is slow is read less often, what is absent seldom.

Several parts of a collector may look at one reading in one round: it is taken once.
"""

from __future__ import annotations

import logging
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Generic, TypeVar

from railwatch.catalogue.metric import ReadFailure
from railwatch_agent.sources.errors import NotPermittedError, SourceError

if TYPE_CHECKING:
    from collections.abc import Callable

log = logging.getLogger(__name__)

T = TypeVar("T")
T_co = TypeVar("T_co", covariant=True)

# What is not there or not for this user may be so for good, and some drivers write each such
# question into the kernel's log.
RETRY_SECONDS: Final = 300.0
# A round that begins early, after one that was late, is not to wait for the next: half a round of
# the collectors here.
_EARLY_SECONDS: Final = 2.5


class PacedReading(Generic[T_co]):
    """A reading that is taken only while it costs at most *share* of the time.

    Parameters
    ----------
    what
        What is read, for the log.
    read
        Answers None if there is no such thing, and raises SourceError.
    interval_seconds
        How often it is wanted.
    share
        Of the time, how much reading may take; the kernel holds locks meanwhile.
    slow_in_a_row
        How many readings one after the other must have been slow before it is read less often.
    """

    def __init__(
        self,
        what: str,
        read: Callable[[], T_co | None],
        *,
        interval_seconds: float,
        share: float = 0.01,
        slow_in_a_row: int = 1,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        if not 0 < share <= 1:
            raise ValueError(f"share must be above 0 and at most 1, got {share!r}")
        self.what = what
        self._read = read
        self._interval_seconds = interval_seconds
        self._share = share
        self._monotonic = monotonic
        self._rest_until = monotonic()
        self._value: T_co | None = None
        self._error: SourceError | None = None
        self._is_slow = False
        self._slow_in_a_row = slow_in_a_row
        self._slow_readings = 0
        self._patience_seconds = 0.0

    def latest(self) -> tuple[T_co | None, bool]:
        """Return the newest reading and whether it was taken now; raise what the newest raised."""
        now = self._monotonic()
        is_fresh = now >= self._rest_until
        if is_fresh:
            self._take(now)
        if self._error is not None:
            # Raised again and again, it would grow by a traceback each time.
            raise self._error.with_traceback(None)
        return self._value, is_fresh

    def _take(self, began: float) -> None:
        try:
            self._value, self._error = self._read(), None
        except SourceError as exc:
            self._value, self._error = None, exc
        took = self._monotonic() - began
        rest = self._rest(took)
        self._tell(took, rest)
        self._rest_until = began + max(rest, self._patience())

    def _rest(self, took: float) -> float:
        rest = took / self._share
        if rest <= self._interval_seconds:
            self._slow_readings = 0
            return rest
        self._slow_readings += 1
        return rest if self._slow_readings >= self._slow_in_a_row else 0.0

    def _patience(self) -> float:
        """How long to wait because of what was answered; longer with each error in a row."""
        before, self._patience_seconds = self._patience_seconds, 0.0
        if isinstance(self._error, NotPermittedError):
            return RETRY_SECONDS
        if self._error is None and self._value is None:
            return RETRY_SECONDS
        if self._error is None:
            return self._interval_seconds - min(self._interval_seconds / 2, _EARLY_SECONDS)
        self._patience_seconds = min(max(2 * before, self._interval_seconds), RETRY_SECONDS)
        return self._patience_seconds

    def _tell(self, took: float, rest: float) -> None:
        """Log once that reading is slow, and once that it is not any more."""
        is_slow = rest > self._interval_seconds
        if is_slow == self._is_slow:
            return
        self._is_slow = is_slow
        if is_slow:
            log.warning("%s: took %.3f s to read; will be read every %.0f s", self.what, took, rest)
        else:
            log.info("%s: quick to read again", self.what)


@dataclass(frozen=True, slots=True)
class Pacer:
    """Makes the readings of one device, which is *netdev* in messages."""

    netdev: str
    ifindex: int
    round_seconds: float
    monotonic: Callable[[], float] = time.monotonic

    def reading(
        self, what: str, read: Callable[[int], T | None], interval_seconds: float | None = None
    ) -> PacedReading[T]:
        """Return a reading of *what* that is wanted so often, by default in each round."""
        return PacedReading(
            f"{what} of {self.netdev}",
            lambda: read(self.ifindex),
            interval_seconds=self.round_seconds if interval_seconds is None else interval_seconds,
            monotonic=self.monotonic,
        )


class Attempts:
    """The readings that one round takes, and what failed of them."""

    def __init__(self) -> None:
        self._failures: dict[str, ReadFailure] = {}

    def latest(self, reading: PacedReading[T]) -> tuple[T | None, bool]:
        """Return the newest reading and whether it was taken now; None if that failed."""
        try:
            return reading.latest()
        except SourceError as exc:
            self._failures[reading.what] = ReadFailure(reading.what, str(exc))
            return None, False

    def value(self, reading: PacedReading[T] | None) -> T | None:
        """Return the newest reading, None if there is none or it failed."""
        return None if reading is None else self.latest(reading)[0]

    def failures(self) -> tuple[ReadFailure, ...]:
        """Return what failed, each once."""
        return tuple(self._failures.values())
