# SPDX-License-Identifier: Apache-2.0
"""What the agent knows now, as one scrape sees it: fresh samples, and how the agent itself does."""

from __future__ import annotations

import platform
import threading
import time
from typing import TYPE_CHECKING

from railwatch.catalogue.metric import Distribution, Sample
from railwatch.catalogue.node import (
    AGENT_BUILD_INFO,
    AGENT_COLLECTOR_DURATION,
    AGENT_COLLECTOR_SUCCESS,
    AGENT_CPU_SECONDS,
    AGENT_LAST_SUCCESS,
    AGENT_READ_ERRORS,
)
from railwatch.catalogue.rail import RAIL_FAULTS, RAIL_RECEIVE_PACKETS, RAIL_TRANSMIT_PACKETS
from railwatch.exposition import Renderer
from railwatch.rates import Accumulator

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from railwatch.catalogue.metric import MetricSpec
    from railwatch_agent.duties import Duty, Report

# What several collectors count a part of each: the network device, RDMA, TCP.
_SUMMED = frozenset({RAIL_FAULTS, RAIL_RECEIVE_PACKETS, RAIL_TRANSMIT_PACKETS})


class Snapshot:
    """Gathers samples at the moment of a scrape.

    *duties* are those of the moment; *live* answers at once and reads nothing.
    """

    def __init__(
        self,
        *,
        duties: Iterable[Duty],
        live: Callable[[], Iterable[Sample]],
        version: str,
        cpu_seconds: Callable[[], float] = time.process_time,
    ) -> None:
        self._duties = duties
        self._live = live
        self._version = version
        self._cpu_seconds = cpu_seconds
        self._renderer = Renderer()
        self._sums: dict[tuple[MetricSpec, tuple[str, ...]], _Sum] = {}
        # Renderer and sums are for one thread at a time; two Prometheis may scrape at once.
        self._lock = threading.Lock()

    def render(self) -> bytes:
        """Return the exposition of what is fresh."""
        with self._lock:
            return self._renderer.render(list(self.samples()))

    def samples(self) -> Iterator[Sample]:
        """Yield every sample that is fresh."""
        duties = list(self._duties)
        yield from self._collected(duties)
        yield from self._live()
        yield from _reported(duty.report() for duty in duties)
        versions = (self._version, platform.python_version())
        yield Sample(AGENT_BUILD_INFO, versions, 1)
        yield Sample(AGENT_CPU_SECONDS, (), self._cpu_seconds())

    def _collected(self, duties: Iterable[Duty]) -> Iterator[Sample]:
        parts: dict[tuple[MetricSpec, tuple[str, ...]], dict[str, float]] = {}
        for duty in duties:
            name = duty.collector.name
            for sample in duty.samples():
                if sample.spec in _SUMMED and not isinstance(sample.value, Distribution):
                    parts.setdefault((sample.spec, sample.labels), {})[name] = sample.value
                else:
                    yield sample
        for (spec, labels), by_name in parts.items():
            total = self._sums.setdefault((spec, labels), _Sum()).update(by_name)
            yield Sample(spec, labels, total)


class _Sum:
    """The total of one series that several collectors may have a part in."""

    def __init__(self) -> None:
        self._places: dict[str, int] = {}
        self._total = Accumulator()

    def update(self, by_name: dict[str, float]) -> float:
        """Return the total after what each collector says now; one that is stale says nothing."""
        for name in by_name:
            self._places.setdefault(name, len(self._places))
        return self._total.update([by_name.get(name) for name in self._places])


def _reported(reports: Iterable[Report]) -> Iterator[Sample]:
    """Yield one set of series a name: collectors that share one are as good as the worst."""
    by_name: dict[str, list[Report]] = {}
    for report in reports:
        by_name.setdefault(report.name, []).append(report)
    for name, parts in by_name.items():
        errors = sum(part.read_errors for part in parts)
        yield Sample(AGENT_READ_ERRORS, (name,), errors)
        if not all(part.was_attempted for part in parts):
            continue
        success = int(all(part.succeeded for part in parts))
        duration = max(part.duration_seconds for part in parts)
        yield Sample(AGENT_COLLECTOR_SUCCESS, (name,), success)
        yield Sample(AGENT_COLLECTOR_DURATION, (name,), duration)
        successes = [part.last_success for part in parts if part.last_success is not None]
        if len(successes) == len(parts):
            yield Sample(AGENT_LAST_SUCCESS, (name,), min(successes))
