# SPDX-License-Identifier: Apache-2.0
"""Questions with a deadline: what does not answer in time costs its own answer and no other.

A read that does not return cannot be interrupted. Each question has a thread, and one that hangs
keeps its thread until the process ends.
"""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

T = TypeVar("T")


def ask_all(questions: Sequence[Callable[[], T]], seconds: float) -> list[T | Exception]:
    """Return the answer to each question, what it raised, or TimeoutError; in their order."""
    answers: dict[int, T | Exception] = {}

    def ask(at: int) -> None:
        try:
            answers[at] = questions[at]()
        except Exception as exc:
            # Whatever it is, it is this question's answer.
            answers[at] = exc

    threads = [
        threading.Thread(target=ask, args=(at,), daemon=True) for at in range(len(questions))
    ]
    for thread in threads:
        thread.start()
    deadline = time.monotonic() + seconds
    for thread in threads:
        thread.join(max(deadline - time.monotonic(), 0.0))
    late = TimeoutError(f"no answer within {seconds:g} s")
    return [answers.get(at, late) for at in range(len(questions))]
