# SPDX-License-Identifier: Apache-2.0
"""Time behind one seam: durations from a monotonic clock, wall time only at the edges."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    import threading


class Clock(Protocol):
    """The two clocks of a program and the only way in which it waits."""

    def monotonic(self) -> float:
        """Seconds of CLOCK_MONOTONIC; for durations."""
        ...

    def wall(self) -> float:
        """Unix seconds; for what other machines read."""
        ...

    def wait(self, event: threading.Event, seconds: float) -> bool:
        """Wait until *event* is set or *seconds* have passed; whether it is set."""
        ...


class SystemClock:
    """The clocks of this machine."""

    def monotonic(self) -> float:
        """Seconds of CLOCK_MONOTONIC."""
        return time.monotonic()

    def wall(self) -> float:
        """Unix seconds."""
        return time.time()

    def wait(self, event: threading.Event, seconds: float) -> bool:
        """Wait until *event* is set or *seconds* have passed; whether it is set."""
        return event.wait(max(seconds, 0.0))
