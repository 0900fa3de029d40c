"""Waiting on a condition with a deadline, instead of sleeping for a time that is hoped to do."""

import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")

# Short beside the one second at which the stack scrapes and evaluates.
_POLL_SECONDS = 0.05


class DeadlineError(AssertionError):
    """What was waited for did not come about in time; the message says what."""


def wait_until(
    condition: Callable[[], T],
    deadline_seconds: float,
    what: str,
    *,
    poll_seconds: float = _POLL_SECONDS,
) -> T:
    """Return the first truthy answer of `condition`, asked until `deadline_seconds` have passed.

    What `condition` raises is passed on. Poll less often where asking costs a process.
    """
    end = time.monotonic() + deadline_seconds
    while True:
        answer = condition()
        if answer:
            return answer
        if time.monotonic() >= end:
            raise DeadlineError(f"not within {deadline_seconds:g} s: {what}; last: {answer!r}")
        time.sleep(poll_seconds)
