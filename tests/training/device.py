"""A device that takes its time without using a processor, and shows in NVML what it does.

What it does goes onto the stage of the stand-in as it happens, `lag_seconds` late; instruments of
the stage make of it what they make.
"""

from __future__ import annotations

import queue
import threading
import time
from typing import TYPE_CHECKING, Self

from support.nvml import Activity

if TYPE_CHECKING:
    from support.nvml import Gpu

_NANOSECONDS = 1e9


class Device:
    """Device time, slept; the stage is written by a thread, which the job does not wait for."""

    def __init__(self, gpu: Gpu | None, lag_seconds: float, factor: float = 1.0) -> None:
        self._gpu = gpu
        self._lag_seconds = lag_seconds
        self._factor = factor
        self._now: Activity | None = None
        self._coming: queue.SimpleQueue[tuple[float, Activity] | None] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._show, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *exception: object) -> None:
        self.does(Activity.IDLE)
        self._coming.put(None)
        self._thread.join()

    def work(self, seconds: float) -> float:
        """Compute for so long, or longer on a slow device; return when it was done."""
        time.sleep(seconds * self._factor)
        return time.monotonic()

    def does(self, activity: Activity) -> float:
        """Do this from now on; return when that is."""
        now = time.monotonic()
        if activity is not self._now:
            self._now = activity
            self._coming.put((now, activity))
        return now

    def _show(self) -> None:
        while (change := self._coming.get()) is not None:
            moment, activity = change
            if self._gpu is not None:
                at = round((moment + self._lag_seconds) * _NANOSECONDS)
                self._gpu.perform(activity, at=at)
