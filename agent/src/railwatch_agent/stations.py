# SPDX-License-Identifier: Apache-2.0
"""What fast sampling reads: a rail's byte counters onto its track, and all rails' queues.

Everything here runs within the sampler's threads, many times a second, so it does little.
"""

from __future__ import annotations

import logging
import math
import time
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from railwatch.clock import Clock
    from railwatch_agent.inventory import Rail
    from railwatch_agent.rail_bytes import ByteCounters
    from railwatch_agent.tape import Track

log = logging.getLogger(__name__)

# Opening a file that fails costs ten times a read: one that failed is left alone for a while.
_PAUSE_SECONDS = 1.0
# Share of a core that reading queues may cost. The dump lists every queue of every interface, a
# thousand on a node with eight multi-queue NICs, and then is asked for less often.
_QUEUE_CPU_SHARE = 0.001
_QUEUE_COST_WEIGHT = 0.05
# A read of a rail that takes longer is slow: eight such rails take half of a period of 20 ms.
SLOW_SECONDS = 0.001
_READ_SHARE = 0.05
_LONGEST_REST_SECONDS = 1.0
_SLOW_AT_LAST = 3
_FAST_AGAIN = 20
# A backlog that was read longer ago says nothing about now.
_BACKLOG_SECONDS = 0.25


class Station(Protocol):
    """One thing to read, whose reading may fail or never return."""

    @property
    def what(self) -> str:
        """What it reads, for the log."""
        ...

    def read(self, now: float) -> None:
        """Read once; *now* is the time of the round."""
        ...


class Pace:
    """How long to rest after a read, so that slow ones leave the others their time.

    An RDMA driver may ask its firmware for each read. The whole sample is put off and not only its
    RDMA part: one part that stands still while the other moves would make bursts of nothing. One
    slow read is the scheduler's; several in a row are the driver's.
    """

    def __init__(self) -> None:
        self.is_slow = False
        self._in_a_row = 0

    @property
    def is_alert(self) -> bool:
        """Whether fast reads are of interest too."""
        return self.is_slow or self._in_a_row > 0

    def rest_seconds(self, took: float) -> float:
        """Return how long to rest after a read that took so long; 0 while reads are fast."""
        if (took > SLOW_SECONDS) is self.is_slow:
            self._in_a_row = 0
        else:
            self._in_a_row += 1
            if self._in_a_row >= (_FAST_AGAIN if self.is_slow else _SLOW_AT_LAST):
                self.is_slow, self._in_a_row = not self.is_slow, 0
        return min(took / _READ_SHARE, _LONGEST_REST_SECONDS) if self.is_slow else 0.0


class Queue(Protocol):
    """What waits in front of one interface."""

    @property
    def backlog_bytes(self) -> int:
        """Bytes that wait."""
        ...

    @property
    def drops(self) -> int:
        """Packets thrown away."""
        ...


class QueueSource(Protocol):
    """Reads the queues of all interfaces at once."""

    def read(self) -> Mapping[int, Queue]:
        """Queue by interface index; may raise."""
        ...


class RailStation:
    """Reads one rail's byte *counters* onto its *track*; less often while that is slow.

    *backlog* answers with the bytes that wait in front
    of an interface, NaN if unknown; *on_error* is told of each reading that failed.
    """

    def __init__(
        self,
        rail: Rail,
        *,
        counters: ByteCounters,
        track: Track,
        backlog: Callable[[int, float], float],
        on_error: Callable[[], None],
    ) -> None:
        self.rail = rail
        self._counters = counters
        self._pace = Pace()
        self._track = track
        self._backlog = backlog
        self._on_error = on_error
        self._ifindex = -1 if rail.ifindex is None else rail.ifindex
        self._resume = -math.inf
        # What the track holds may be of another device.
        self._follows_gap = True
        self._is_failing = False

    @property
    def what(self) -> str:
        """The rail as the log names it."""
        return f"rail={self.rail.number} device={self.rail.device}"

    def interrupt(self) -> None:
        """Say that the next sample does not continue the last one."""
        self._follows_gap = True

    def read(self, now: float) -> None:
        """Add a sample to the track, or nothing if one counter cannot be read."""
        if now < self._resume:
            return
        try:
            receive, time, transmit = self._counters.read()
        except Exception as exc:
            # Whatever it is, it costs this reading and not the sampler.
            self._failed(now, exc)
            return
        if receive is None or transmit is None:
            self._pause(now)
            return
        if self._follows_gap:
            self._continue(time)
        self._track.append(time, receive, transmit, self._backlog(self._ifindex, time))
        took = self._counters.took_seconds
        if took > SLOW_SECONDS or self._pace.is_alert:
            self._slow_down(now, took)

    def _slow_down(self, now: float, took: float) -> None:
        was_slow = self._pace.is_slow
        self._resume = now + self._pace.rest_seconds(took)
        if self._pace.is_slow and not was_slow:
            log.warning("%s: reads take %.1f ms; sampled less often", self.what, took * 1e3)
        if was_slow and not self._pace.is_slow:
            log.info("%s: reads are fast again", self.what)

    def _continue(self, time: float) -> None:
        self._follows_gap = False
        if self._track.latest() is not None:
            self._track.append_gap(time)
        if self._is_failing:
            self._is_failing = False
            log.info("%s can be sampled again", self.what)

    def _failed(self, now: float, exc: Exception) -> None:
        self._on_error()
        self._pause(now)
        if not self._is_failing:
            self._is_failing = True
            log.warning("%s cannot be sampled: %s", self.what, exc)

    def _pause(self, now: float) -> None:
        self._follows_gap = True
        self._resume = now + _PAUSE_SECONDS


class QueueStation:
    """Reads the queues of all interfaces and knows how often that can be afforded."""

    what = "queueing disciplines"

    def __init__(
        self,
        source: QueueSource,
        *,
        clock: Clock,
        on_error: Callable[[], None],
        cpu_seconds: Callable[[], float] = time.thread_time,
    ) -> None:
        self._source = source
        # Not the time that passes: on a busy host that is mostly others', and a queue that is read
        # seldom is a guess.
        self._cpu_seconds = cpu_seconds
        self._monotonic = clock.monotonic
        self._on_error = on_error
        self._queues: Mapping[int, Queue] = {}
        self._read_at = -math.inf
        self._resume = -math.inf
        self._cost_seconds = 0.0
        self._is_failing = False

    def read(self, now: float) -> None:
        """Read all queues once."""
        if now < self._resume:
            return
        began = self._cpu_seconds()
        try:
            queues = self._source.read()
        except Exception as exc:
            # As above.
            self._failed(now, exc)
            return
        cost = self._cpu_seconds() - began
        self._queues, self._read_at = queues, self._monotonic()
        self._is_failing = False
        self._cost_seconds += _QUEUE_COST_WEIGHT * (cost - self._cost_seconds)

    @property
    def affordable_interval_seconds(self) -> float:
        """How often it may be read, by what reading has cost lately."""
        return self._cost_seconds / _QUEUE_CPU_SHARE

    def backlog(self, ifindex: int, now: float) -> float:
        """Bytes that wait in front of an interface, NaN where that is not known."""
        queue = self._queues.get(ifindex)
        if queue is None or now - self._read_at > _BACKLOG_SECONDS:
            return math.nan
        return queue.backlog_bytes

    def drops(self, ifindex: int) -> int | None:
        """Packets that an interface's queue has thrown away; None where there is no queue."""
        queue = self._queues.get(ifindex)
        return None if queue is None else queue.drops

    def _failed(self, now: float, exc: Exception) -> None:
        self._on_error()
        self._queues = {}
        self._resume = now + _PAUSE_SECONDS
        if not self._is_failing:
            self._is_failing = True
            log.warning("%s cannot be read: %s", self.what, exc)
