# SPDX-License-Identifier: Apache-2.0
"""A check: a small function that looks at one thing of the node and says how it is."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

from railwatch_agent.doctor.deadline import ask_all
from railwatch_agent.doctor.findings import Finding, Section, Status, message_of, status_of

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence


class Answer(NamedTuple):
    """How something is, what was seen, and what would change it."""

    status: Status
    detail: str = ""
    change: str = ""


@dataclass(frozen=True, slots=True)
class Check:
    """What is looked at, under which heading and name; *look* may raise, or never return."""

    section: Section
    what: str
    look: Callable[[], Answer]


def examine(checks: Sequence[Check], seconds: float) -> list[Finding]:
    """Return a finding for each check; that one raises or hangs is what it found."""
    answers = ask_all([check.look for check in checks], seconds)
    return [
        Finding(check.section, check.what, *answer_of(answer))
        for check, answer in zip(checks, answers, strict=True)
    ]


def answer_of(answer: Answer | Exception) -> Answer:
    """Return *answer*, or what an exception in its place amounts to."""
    if not isinstance(answer, Exception):
        return answer
    message = message_of(answer)
    return Answer(status_of(message), message)
