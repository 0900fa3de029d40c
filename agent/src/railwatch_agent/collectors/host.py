# SPDX-License-Identifier: Apache-2.0
"""The host around the rails: what a detector needs to tell a busy host from a slow link."""

from __future__ import annotations

from typing import TYPE_CHECKING

from railwatch.catalogue.metric import ReadFailure, Sample
from railwatch.catalogue.node import (
    HOST_CPU_BUSY,
    HOST_MEMORY_AVAILABLE,
    HOST_PRESSURE,
    PRESSURE_RESOURCES,
)
from railwatch_agent.sources.errors import SourceError
from railwatch_agent.sources.host import busy_ratio

if TYPE_CHECKING:
    from collections.abc import Iterator

    from railwatch_agent.sources.host import HostSource


class HostCollector:
    """Collects processor, memory and pressure from *source*."""

    name = "host"
    interval_seconds = 5.0

    def __init__(self, source: HostSource) -> None:
        self._source = source
        self._times: dict[str, float] | None = None

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
