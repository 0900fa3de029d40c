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
    from collections.abc import Callable, Iterable, Mapping

    from railwatch.clock import Clock
    from railwatch_agent.inventory import Rail
    from railwatch_agent.rail_bytes import ByteCounters
    from railwatch_agent.sources.summed import Plain
    from railwatch_agent.tape import Tape, Track

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
    slow read is the scheduler's; several in a row are the driver's. `slowdown` makes rests so many
    times longer, while the agent is over its budget.
    """

    def __init__(self) -> None:
        self.is_slow = False
        self.slowdown = 1
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
        if not self.is_slow:
            return 0.0
        return self.slowdown * min(took / _READ_SHARE, _LONGEST_REST_SECONDS)


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
    """Reads one rail's bytes onto its *track*; less often while that is slow.

    Parameters
    ----------
    counters
        Makes what reads the bytes; it is given what to call when they have jumped.
    on_error
        Is told of each reading that failed.
    """

    def __init__(
        self,
        rail: Rail,
        *,
        counters: Callable[[Callable[[], None]], ByteCounters],
        track: Track,
        on_error: Callable[[], None],
        monotonic: Callable[[], float],
    ) -> None:
        self.rail = rail
        self._receive, self._transmit = counters(self.interrupt)
        self._track = track
        self._on_error = on_error
        self._monotonic = monotonic
        self._pace = Pace()
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

    def slow_down(self, factor: int) -> None:
        """Rest so many times longer after slow reads."""
        self._pace.slowdown = factor

    def plains(self) -> tuple[Plain, Plain] | None:
        """Return how to read its bytes in one go with others', None if it wants care."""
        if self._pace.is_alert or self._follows_gap or self._resume > -math.inf:
            return None
        receive, transmit = self._receive.plain(), self._transmit.plain()
        return None if receive is None or transmit is None else (receive, transmit)

    def adopt(self, said: Mapping[int, int]) -> None:
        """Take over what was read in one go, by descriptor."""
        self._receive.adopt(said)
        self._transmit.adopt(said)

    def read(self, now: float) -> None:
        """Add a sample to the track, or nothing if one counter cannot be read."""
        if now < self._resume:
            return
        self._resume = -math.inf
        began = self._monotonic()
        self._sample(now)
        self._keep_pace(now, self._monotonic() - began)

    def _sample(self, now: float) -> None:
        try:
            receive = self._receive.read()
            time = self._monotonic()
            transmit = self._transmit.read()
        except Exception as exc:
            # Whatever it is, it costs this reading and not the sampler.
            self._failed(now, exc)
            return
        if receive is None or transmit is None:
            self._pause(now)
            return
        if self._follows_gap:
            self._continue(time)
        self._track.append(time, receive, transmit)

    def _keep_pace(self, now: float, took: float) -> None:
        was_slow = self._pace.is_slow
        # A rail that could not be read rests already.
        rest_seconds = self._pace.rest_seconds(took)
        if rest_seconds > 0:
            self._resume = max(self._resume, now + rest_seconds)
        if self._pace.is_slow and not was_slow:
            log.warning("%s: reads take %.1f ms; sampled less often", self.what, took * 1e3)
        if was_slow and not self._pace.is_slow:
            log.info("%s: reads are fast again", self.what)

    def _continue(self, time: float) -> None:
        self._follows_gap = False
        if self._track.newest() is not None:
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
    """Reads the queues of all interfaces, and knows how often that can be afforded.

    What waits in front of *rails* goes onto the *tape*, what was dropped there is kept.
    """

    what = "queueing disciplines"

    def __init__(
        self,
        source: QueueSource,
        *,
        rails: Callable[[], Iterable[Rail]],
        tape: Tape,
        clock: Clock,
        on_error: Callable[[], None],
        cpu_seconds: Callable[[], float] = time.thread_time,
    ) -> None:
        self._source = source
        self._rails = rails
        self._tape = tape
        # Not the time that passes: on a busy host that is mostly others', and a queue that is read
        # seldom is a guess.
        self._cpu_seconds = cpu_seconds
        self._monotonic = clock.monotonic
        self._on_error = on_error
        self._queues: Mapping[int, Queue] = {}
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
        self._queues = queues
        self._write(self._monotonic(), queues)
        self._is_failing = False
        cost = self._cpu_seconds() - began
        self._cost_seconds += _QUEUE_COST_WEIGHT * (cost - self._cost_seconds)

    @property
    def affordable_interval_seconds(self) -> float:
        """How often it may be read, by what reading has cost lately."""
        return self._cost_seconds / _QUEUE_CPU_SHARE

    def drops(self, ifindex: int) -> int | None:
        """Packets that an interface's queue has thrown away; None where there is no queue."""
        queue = self._queues.get(ifindex)
        return None if queue is None else queue.drops

    def _write(self, now: float, queues: Mapping[int, Queue]) -> None:
        found = [
            (rail.number, queues[rail.ifindex].backlog_bytes)
            for rail in self._rails()
            if rail.ifindex is not None and rail.ifindex in queues
        ]
        if found:
            rails, backlogs = zip(*found, strict=True)
            self._tape.queues.append((now, rails, backlogs))

    def _failed(self, now: float, exc: Exception) -> None:
        self._on_error()
        self._queues = {}
        self._resume = now + _PAUSE_SECONDS
        if not self._is_failing:
            self._is_failing = True
            log.warning("%s cannot be read: %s", self.what, exc)
