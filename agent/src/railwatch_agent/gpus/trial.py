# SPDX-License-Identifier: Apache-2.0
"""Tries whether a GPU answers again, in a process of its own that leaves out all others.

The driver may hang on it as before, and then those that are being watched are to notice nothing.
"""

from __future__ import annotations

from enum import Enum
from typing import TYPE_CHECKING

from railwatch_agent.sources.nvml import wire
from railwatch_agent.sources.nvml.reports import GpuReport, read_message

if TYPE_CHECKING:
    from railwatch_agent.gpus.run import Run


class Outcome(Enum):
    """What came of it."""

    ANSWERS = 1
    STUCK = 2
    GONE = 3


class Trial:
    """What becomes of *run*, which asks the GPU of one number and no other."""

    def __init__(self, run: Run, number: int) -> None:
        self.run = run
        self.number = number

    def outcome(self, now: float, deadline_seconds: float) -> Outcome | None:
        """Return what came of it, None while that is open."""
        has_ended = self.run.child.has_ended()
        try:
            reports = self._reports()
        except ValueError:
            return Outcome.STUCK
        if reports:
            return Outcome.GONE if reports[-1].is_lost else Outcome.ANSWERS
        if has_ended:
            # By itself: there was nothing to ask.
            return Outcome.GONE if self.run.child.died_of is None else Outcome.STUCK
        is_stuck = self.run.stuck_place(now, deadline_seconds) is not None
        return Outcome.STUCK if is_stuck else None

    def _reports(self) -> list[GpuReport]:
        messages = self.run.child.messages()
        said = [read_message(data) for data in messages if not data.startswith(wire.FAST)]
        reports = [message for message in said if isinstance(message, GpuReport)]
        return [report for report in reports if report.number == self.number]
