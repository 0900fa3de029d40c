"""Waiting for a condition with a deadline, in place of sleeping and hoping."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable

T = TypeVar("T")

POLL_INTERVAL_SECONDS = 0.02


def wait_until(condition: Callable[[], T | None], deadline_seconds: float, what: str) -> T:
    """Return the first truthy value of `condition`, or fail naming `what` was awaited.

    The condition is asked at least once; an exception it raises ends the wait.
    """
    start = time.monotonic()
    while True:
        value = condition()
        if value:
            return value
        waited = time.monotonic() - start
        if waited >= deadline_seconds:
            raise AssertionError(f"waited {waited:.1f} s in vain for {what}; last saw {value!r}")
        time.sleep(POLL_INTERVAL_SECONDS)
