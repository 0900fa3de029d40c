# SPDX-License-Identifier: Apache-2.0
"""One look at everything that the agent reads of its rails, and what was seen."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Final

from railwatch.catalogue.metric import Sample
from railwatch.catalogue.rail import RAIL_NEIGHBOR_INFO, RAIL_QUEUE_DROPS, RAIL_QUEUE_OCCUPIED
from railwatch_agent.collectors.neighbor import NeighborCollector
from railwatch_agent.doctor.checks import Answer, answer_of
from railwatch_agent.doctor.deadline import ask_all
from railwatch_agent.doctor.fast import byte_samples, fast_findings, take_samples
from railwatch_agent.doctor.findings import TROUBLE, Finding, Section, Status
from railwatch_agent.doctor.metrics import metric_findings, optional_findings
from railwatch_agent.doctor.neighbors import ask_lldp
from railwatch_agent.doctor.readings import Heard, hear_all
from railwatch_agent.roster import node_collectors, rail_collectors
from railwatch_agent.sources.qdisc import QueueReader

if TYPE_CHECKING:
    from collections.abc import Iterator

    from railwatch_agent.collectors.base import Collector
    from railwatch_agent.doctor.fast import FirstSample
    from railwatch_agent.inventory import Rail
    from railwatch_agent.settings import AgentSettings
    from railwatch_agent.sources.qdisc import Queue

_LLDP: Final = "LLDP"


@dataclass(frozen=True, slots=True)
class Looks:
    """What was seen of *rails*, that of byte counters in their order."""

    rails: tuple[Rail, ...]
    heard: list[Heard]
    firsts: list[FirstSample | Exception]
    queues: dict[int, Queue] | Exception
    lldp: Answer

    def samples(self) -> list[Sample]:
        """Return every sample that came out, as one scrape would show them."""
        found = [sample for one in self.heard for sample in one.samples]
        for rail, first in zip(self.rails, self.firsts, strict=True):
            found += [*byte_samples(rail, first), *self._queue_samples(rail)]
        return found

    def _queue_samples(self, rail: Rail) -> list[Sample]:
        queues = {} if isinstance(self.queues, Exception) else self.queues
        queue = queues.get(rail.ifindex or 0)
        if queue is None:
            return []
        return [
            Sample(RAIL_QUEUE_OCCUPIED, rail.labels, int(queue.backlog_bytes > 0)),
            Sample(RAIL_QUEUE_DROPS, rail.labels, queue.drops),
        ]


def look(settings: AgentSettings, rails: tuple[Rail, ...], seconds: float) -> Looks:
    """Read each rail as the agent does; each look has *seconds* to return."""
    collectors = [*_collectors(settings, rails)]
    (queues,) = ask_all([QueueReader().read], seconds)
    (lldp,) = ask_all([partial(_ask_lldp, settings, rails)], seconds)
    return Looks(
        rails,
        heard=hear_all(collectors, seconds),
        firsts=take_samples(rails, Path(settings.paths.sysfs), seconds),
        queues=queues,
        lldp=answer_of(lldp),
    )


def _ask_lldp(settings: AgentSettings, rails: tuple[Rail, ...]) -> Answer:
    if NeighborCollector.name in settings.collectors.disable:
        return Answer(Status.OFF, "nobody would ask it", "[collectors] disable")
    return ask_lldp(settings.topology.lldp_socket, rails)


def _collectors(
    settings: AgentSettings, rails: tuple[Rail, ...]
) -> Iterator[tuple[Collector, int | None]]:
    disabled = settings.collectors.disable
    for name, make in node_collectors(lambda: settings, lambda: rails).items():
        if name not in disabled:
            yield make(), None
    for name, make_for in rail_collectors(lambda: settings, lambda: rails).items():
        if name not in disabled:
            for rail in rails:
                yield make_for(rail.number), rail.number


def source_findings(looks: Looks, settings: AgentSettings, seconds: float) -> Iterator[Finding]:
    """Yield how each source did, and of each rail how its bytes can be read."""
    yield Finding(Section.SOURCES, "queueing disciplines", *_queue_answer(looks.queues))
    yield Finding(Section.SOURCES, _LLDP, *looks.lldp)
    for name in settings.collectors.disable:
        answer = Answer(Status.OFF, "[collectors] disable names it", "[collectors] disable")
        yield Finding(Section.SOURCES, f"{name} collector", *answer)
    for one in looks.heard:
        yield from one.findings()
    for rail, first in zip(looks.rails, looks.firsts, strict=True):
        yield from fast_findings(
            rail,
            first,
            sysfs=Path(settings.paths.sysfs),
            interval_seconds=settings.sampler.interval_seconds,
            seconds=seconds,
        )


def _queue_answer(queues: dict[int, Queue] | Exception) -> Answer:
    if isinstance(queues, Exception):
        return answer_of(queues)
    return Answer(Status.OK, f"{len(queues)} interfaces have one")


def shown_findings(
    looks: Looks, settings: AgentSettings, sources: list[Finding]
) -> Iterator[Finding]:
    """Yield what the rails show and what not, after what was found of the *sources*."""
    samples = looks.samples()
    why = {} if looks.lldp.status is Status.OK else {RAIL_NEIGHBOR_INFO: looks.lldp}
    for rail in looks.rails:
        has_failures = any(
            f.rail in {None, rail.number} and f.status in TROUBLE and f.what != _LLDP
            for f in sources
        )
        yield from metric_findings(
            rail, samples, settings.collectors.disable, why=why, has_failures=has_failures
        )
        yield from optional_findings(rail, samples, settings)
