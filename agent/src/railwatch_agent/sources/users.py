# SPDX-License-Identifier: Apache-2.0
"""Names of users by their numbers (getpwuid(3)), which may come from a directory in the network.

Such a question can take minutes, or for ever: each is asked in a thread of its own, and until it is
answered the number stands for the name.
"""

from __future__ import annotations

import pwd
import threading
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable

    from railwatch.clock import Clock

_PATIENCE_SECONDS: Final = 0.5
_MOST_WAITING: Final = 4
_MOST_KNOWN: Final = 1024
# When a name that nobody knew is asked for again.
_RETRY_SECONDS: Final = 600.0


class UserNames:
    """Answers with a user's name, or its number; for one thread at a time."""

    def __init__(
        self, clock: Clock, lookup: Callable[[int], str] = lambda uid: pwd.getpwuid(uid).pw_name
    ) -> None:
        self._clock = clock
        self._lookup = lookup
        self._questions: dict[int, _Question] = {}

    def __call__(self, uid: int) -> str:
        """Return the name of *uid*."""
        now = self._clock.monotonic()
        question = self._questions.get(uid)
        if question is None or question.is_over(now):
            question = self._ask(uid, now)
        return question.name or str(uid)

    def _ask(self, uid: int, now: float) -> _Question:
        question = _Question(now)
        if sum(not other.answered.is_set() for other in self._questions.values()) >= _MOST_WAITING:
            return question
        if len(self._questions) >= _MOST_KNOWN:
            self._questions.clear()
        self._questions[uid] = question
        threading.Thread(
            target=question.ask, args=(self._lookup, uid), name="user", daemon=True
        ).start()
        question.answered.wait(_PATIENCE_SECONDS)
        return question


class _Question:
    def __init__(self, asked_at: float) -> None:
        self.name = ""
        self.answered = threading.Event()
        self._asked_at = asked_at

    def ask(self, lookup: Callable[[int], str], uid: int) -> None:
        try:
            self.name = lookup(uid)
        except (KeyError, OSError, OverflowError):
            # Nobody knows it; its number says that.
            pass
        finally:
            self.answered.set()

    def is_over(self, now: float) -> bool:
        """Whether it was answered with nothing, long ago."""
        return self.answered.is_set() and not self.name and now - self._asked_at > _RETRY_SECONDS
