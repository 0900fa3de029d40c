# SPDX-License-Identifier: Apache-2.0
"""The host around the rails: what a detector needs to tell a busy host from a slow link."""

from __future__ import annotations

from typing import TYPE_CHECKING

from railwatch.catalogue.metric import ReadFailure, Sample
from railwatch.catalogue.node import (
    HOST_CPU_BUSY,
    HOST_MEMORY_AVAILABLE,
    HOST_PRESSURE,
    HOST_SOFTNET_DROPPED,
    HOST_SOFTNET_SQUEEZED,
    PRESSURE_RESOURCES,
)
from railwatch.rates import Accumulator, unwrapped
from railwatch_agent.sources.errors import SourceError
from railwatch_agent.sources.host import SOFTNET_BITS, busy_ratio

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from railwatch_agent.sources.host import HostSource


class HostCollector:
    """Collects processor, memory, pressure and softnet from *source*."""

    name = "host"
    interval_seconds = 5.0

    def __init__(self, source: HostSource) -> None:
        self._source = source
        self._times: dict[str, float] | None = None
        self._dropped = _ProcessorTotal()
        self._squeezed = _ProcessorTotal()

    def collect(self) -> Iterator[Sample | ReadFailure]:
        """Yield what could be read; the processor's share needs the reading before."""
        try:
            yield from self._processor()
        except SourceError as exc:
            yield ReadFailure("processor", str(exc))
        try:
            yield Sample(HOST_MEMORY_AVAILABLE, (), self._source.memory_available_bytes())
        except SourceError as exc:
            yield ReadFailure("memory", str(exc))
        for resource in PRESSURE_RESOURCES:
            yield from self._pressure(resource)
        try:
            yield from self._softnet()
        except SourceError as exc:
            yield ReadFailure("softnet", str(exc))

    def _processor(self) -> Iterator[Sample]:
        before, self._times = self._times, self._source.processor_times()
        busy = None if before is None else busy_ratio(before, self._times)
        if busy is not None:
            yield Sample(HOST_CPU_BUSY, (), busy)

    def _pressure(self, resource: str) -> Iterator[Sample | ReadFailure]:
        try:
            percent = self._source.pressure_percent(resource)
        except SourceError as exc:
            yield ReadFailure(f"{resource} pressure", str(exc))
        else:
            if percent is not None:
                yield Sample(HOST_PRESSURE, (resource,), percent * HOST_PRESSURE.scale)

    def _softnet(self) -> Iterator[Sample]:
        found = self._source.softnet()
        if found:
            dropped = {number: counted.dropped for number, counted in found.items()}
            squeezed = {number: counted.squeezed for number, counted in found.items()}
            yield Sample(HOST_SOFTNET_DROPPED, (), self._dropped.update(dropped))
            yield Sample(HOST_SOFTNET_SQUEEZED, (), self._squeezed.update(squeezed))


class _ProcessorTotal:
    """The sum of a counter of 32 bits that each processor has; one may go offline and come back."""

    def __init__(self) -> None:
        self._latest: dict[int, int] = {}
        self._total = Accumulator()

    def update(self, counters: Mapping[int, int]) -> float:
        """Return the sum after *counters*, each by its processor's number."""
        latest = self._latest
        for number, reading in counters.items():
            latest[number] = unwrapped(latest.get(number), reading, SOFTNET_BITS)
        known = [latest[n] if n in counters else None for n in range(max(counters) + 1)]
        return self._total.update(known)
