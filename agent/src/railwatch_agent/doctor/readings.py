# SPDX-License-Identifier: Apache-2.0
"""One round of each collector: what it says of each rail, and what it could not read."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from railwatch.catalogue.metric import ReadFailure, Sample
from railwatch_agent.doctor.deadline import ask_all
from railwatch_agent.doctor.findings import Finding, Section, Status, message_of, of_failure

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from railwatch_agent.collectors.base import Collector


@dataclass(frozen=True, slots=True)
class Heard:
    """What one collector said; `rail` is None for one of the node."""

    collector: str
    rail: int | None
    readings: tuple[Sample | ReadFailure, ...]

    @property
    def samples(self) -> tuple[Sample, ...]:
        """Those readings that succeeded."""
        return tuple(r for r in self.readings if isinstance(r, Sample))

    def findings(self) -> Iterator[Finding]:
        """Yield how many series it has, and each of its failures."""
        name = f"{self.collector} collector"
        failures = [r for r in self.readings if isinstance(r, ReadFailure)]
        if self.samples:
            detail = f"{len(self.samples)} series"
            yield Finding(Section.SOURCES, name, Status.OK, detail, rail=self.rail)
        elif not failures:
            detail = "nothing here that it could read"
            yield Finding(Section.SOURCES, name, Status.ABSENT, detail, rail=self.rail)
        for failure in failures:
            yield of_failure(Section.SOURCES, name, failure, self.rail)


def hear_all(collectors: Sequence[tuple[Collector, int | None]], seconds: float) -> list[Heard]:
    """Give each collector one round in a thread of its own, and a deadline.

    What one said before it failed or hung counts.
    """
    said: list[list[Sample | ReadFailure]] = [[] for _ in collectors]

    def listen(at: int) -> None:
        for reading in collectors[at][0].collect():
            said[at].append(reading)

    answers = ask_all([partial(listen, at) for at in range(len(collectors))], seconds)
    heard: list[Heard] = []
    for (collector, rail), readings, answer in zip(collectors, said, answers, strict=True):
        failed = () if answer is None else (ReadFailure("round", message_of(answer)),)
        heard.append(Heard(collector.name, rail, (*readings, *failed)))
    return heard
