# SPDX-License-Identifier: Apache-2.0
"""The thread that reads markers, as many a second as the agent can afford.

What is beyond that stays in the kernel's queue, which is short, and senders are refused.
"""

from __future__ import annotations

import logging
import threading
from typing import TYPE_CHECKING, Final, Protocol

from railwatch_agent.markers.budget import Budget
from railwatch_agent.sources.errors import SourceError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from railwatch.clock import Clock
    from railwatch_agent.markers.desk import Desk
    from railwatch_agent.sources.marker_socket import Datagram

    class Inlet(Protocol):
        """Where datagrams come in."""

        def open(self) -> None:
            """Be ready for them, again and again; raises SourceError."""
            ...

        def receive(self, most: int, wait_seconds: float) -> Sequence[Datagram]:
            """Return those that are there, after waiting for the first; raises SourceError."""
            ...

        def close(self) -> None:
            """Receive nothing any more."""
            ...


log = logging.getLogger(__name__)

# 8 ranks with 12 steps a second.
MARKERS_A_SECOND: Final = 100.0
BURST: Final = 200.0
_AT_ONCE: Final = 32
# By then the kernel's queue is full: many read at once cost half of what each costs alone.
_REST_SECONDS: Final = 0.1
_SETTLE_SECONDS: Final = 1.0
_RETRY_SECONDS: Final = 30.0


class Listener:
    """Has *desk* take what comes in through *inlet*, from `start` to `stop`."""

    def __init__(self, inlet: Inlet, desk: Desk, clock: Clock) -> None:
        self._inlet = inlet
        self._desk = desk
        self._clock = clock
        self._stop = threading.Event()
        self._budget = Budget(MARKERS_A_SECOND, BURST, clock.monotonic())
        self._reason = ""
        self._thread = threading.Thread(target=self.run, name="markers", daemon=True)

    def start(self) -> None:
        """Begin to listen; what is in the way is logged, and tried again."""
        self._thread.start()

    def stop(self) -> None:
        """Take the socket away; the thread ends by itself."""
        self._stop.set()
        self._inlet.close()

    def run(self) -> None:
        """Listen until stopped; the body of the thread."""
        while not self._stop.is_set():
            try:
                self._inlet.open()
                self._note("")
                self._listen(self._clock.monotonic() + _RETRY_SECONDS)
            except SourceError as exc:
                if not self._stop.is_set():
                    self._note(str(exc))
                self._desk.settle(self._clock.monotonic())
                self._clock.wait(self._stop, _RETRY_SECONDS)
        self._inlet.close()

    def _listen(self, until: float) -> None:
        """Take what comes for a while; then it is seen to that the socket is still there."""
        now = settled_at = self._clock.monotonic()
        while now < until and not self._stop.is_set():
            if self._budget.is_left(now):
                for datagram in self._inlet.receive(_AT_ONCE, _SETTLE_SECONDS):
                    self._budget.spend(self._desk.take(datagram, self._clock.monotonic()))
            else:
                self._clock.wait(self._stop, _REST_SECONDS)
            now = self._clock.monotonic()
            if now - settled_at >= _SETTLE_SECONDS:
                self._desk.settle(now)
                settled_at = now

    def _note(self, reason: str) -> None:
        if reason != self._reason:
            log.info("step markers: %s", reason or "can be sent again")
        self._reason = reason
