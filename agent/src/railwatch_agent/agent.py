# SPDX-License-Identifier: Apache-2.0
"""The agent at work: what runs in which thread, and who looks after it.

The main thread supervises about once a second. The sampler's crews read fast counters, every
collector has a worker, the web server answers from what they left behind.
"""

from __future__ import annotations

import logging
import math
import time
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from railwatch.catalogue.metric import Sample
from railwatch.catalogue.node import AGENT_MICROSCOPE_ACTIVE
from railwatch_agent.collectors.fast import FastReadings
from railwatch_agent.collectors.gpu import GpuCollector
from railwatch_agent.collectors.job import JobCollector
from railwatch_agent.collectors.marker import marker_samples
from railwatch_agent.collectors.netdev import NetdevCollector
from railwatch_agent.collectors.steps import StepCollector
from railwatch_agent.collectors.window import WindowCollector
from railwatch_agent.gpus.keeper import Keeper
from railwatch_agent.gpus.tape import GpuTape
from railwatch_agent.inventory import Inventory
from railwatch_agent.jobs.census import JobCensus
from railwatch_agent.markers.desk import Desk
from railwatch_agent.markers.listener import Listener
from railwatch_agent.microscope import Microscope
from railwatch_agent.numbering import BookFile
from railwatch_agent.rail_bytes import byte_counters
from railwatch_agent.roster import node_collectors, rail_collectors
from railwatch_agent.sampler import Sampler
from railwatch_agent.snapshot import Snapshot
from railwatch_agent.sources.marker_socket import MarkerSocket
from railwatch_agent.sources.nvidia import NvidiaMachine
from railwatch_agent.sources.nvml.process import ChildProcess
from railwatch_agent.sources.qdisc import QueueReader
from railwatch_agent.stations import QueueStation, RailStation
from railwatch_agent.tape import Tape
from railwatch_agent.throttle import Throttle
from railwatch_agent.workers import Workers

if TYPE_CHECKING:
    from collections.abc import Iterator

    from railwatch.clock import Clock
    from railwatch_agent.collectors.base import Collector
    from railwatch_agent.inventory import Rail
    from railwatch_agent.settings import AgentSettings, SamplerSettings

log = logging.getLogger(__name__)

# What is looked back on: two minutes for the length of steps, and two windows in any case.
_TAPE_SECONDS = 120.0


class Agent:
    """Everything that runs in one agent, put together; nothing is read before `start`."""

    def __init__(self, settings: AgentSettings, *, clock: Clock, version: str) -> None:
        self._settings = settings
        self._sysfs = Path(settings.paths.sysfs)
        self._clock = clock
        self.inventory = Inventory(
            sysfs=self._sysfs,
            procfs=Path(settings.paths.procfs),
            configured=settings.rails,
            book_file=BookFile(Path(settings.paths.state)),
            clock=clock,
        )
        self._tape = Tape(_tape_capacity(settings.sampler))
        # A block comes about once a second.
        self._gpu_tape = GpuTape(math.ceil(_TAPE_SECONDS))
        self._read_errors = 0
        self._queues = QueueStation(
            QueueReader(),
            rails=self.inventory.rails,
            tape=self._tape,
            clock=clock,
            on_error=self._count_read_error,
        )
        self._sampler = Sampler(
            rails=self.inventory.rails,
            station=lambda rail: self._station(rail, self._tape),
            tape=self._tape,
            queues=self._queues,
            interval_seconds=settings.sampler.interval_seconds,
            clock=clock,
        )
        self.microscope = Microscope(
            rails=self.inventory.rails,
            station=self._station,
            line_rate=self._line_rate,
            clock=clock,
        )
        self._gpus = Keeper(
            spawn=ChildProcess,
            machine=NvidiaMachine(self._sysfs, Path(settings.paths.procfs)),
            tape=self._gpu_tape,
            settings=settings.gpus,
            clock=clock,
        )
        self._census = JobCensus(
            lambda: self._settings,
            rails=self.inventory.rails,
            gpus=lambda: self._gpus.view,
            clock=clock,
        )
        self._desk = Desk(
            identity=self._census.identity,
            places=self._census.places,
            tape=self._tape,
            sample_seconds=lambda: self._sampler.interval_seconds,
        )
        self._markers = (
            Listener(MarkerSocket(Path(settings.steps.socket)), self._desk, clock)
            if settings.steps.socket
            else None
        )
        self._gpu_collector = GpuCollector(
            lambda: self._gpus.view,
            jobs_of=self._census.identity.jobs_of,
            interval_seconds=settings.gpus.slow_interval_seconds,
        )
        self._of_rails: dict[tuple[str, int], Collector] = {}
        self._for_rail = rail_collectors(lambda: self._settings, self.inventory.rails)
        self._for_node = self._node_collectors(settings)
        self._workers = Workers(clock=clock)
        self._throttle = Throttle(settings.sampler.cpu_budget_ratio)
        self._is_sampling = False
        self._was_ready = False
        self._fast = FastReadings(
            rails=self.inventory.rails,
            tape=self._tape,
            sampler=self._sampler,
            queues=self._queues,
            read_errors=lambda: self._read_errors,
            clock=clock,
        )
        self._snapshot = Snapshot(
            duties=self._workers,
            live=self._live,
            cpu_seconds=self._cpu_seconds,
            version=version,
        )

    def start(self) -> None:
        """Begin to look for rails."""
        self._workers.employ([self.inventory])

    def supervise(self) -> None:
        """Follow the inventory and look after what hangs; call it about once a second.

        Nothing is sampled before the rails were looked for once, or that takes too long.
        """
        if not self._is_sampling and not self._workers.were_attempted():
            return
        disabled = self._settings.collectors.disable
        collectors = [*self._rail_collectors(), *self._for_node, *self._tend_gpus()]
        enabled = [collector for collector in collectors if collector.name not in disabled]
        self._workers.employ([self.inventory, *enabled])
        self._sampler.supervise()
        self.microscope.supervise()
        self._keep_budget()
        if not self._is_sampling:
            self._is_sampling = True
            self._sampler.start()
            if self._markers is not None:
                self._markers.start()

    def adopt(self, settings: AgentSettings) -> None:
        """Go on with *settings*, which differ from those before in what is live."""
        self._settings = settings
        self._throttle = replace(self._throttle, budget_ratio=settings.sampler.cpu_budget_ratio)

    def stop(self) -> None:
        """Begin nothing any more; threads that hang end with the process."""
        self._workers.stop()
        if self._markers is not None:
            self._markers.stop()
        self._sampler.stop()
        self.microscope.stop()
        self._gpus.stop()

    def metrics(self) -> bytes:
        """Return the exposition of what is known now."""
        return self._snapshot.render()

    def is_healthy(self) -> bool:
        """Whether rails are being sampled."""
        return self._sampler.is_alive()

    def is_ready(self) -> bool:
        """Whether each collector has had its first round; stays so."""
        self._was_ready |= self._is_sampling and self._workers.were_attempted()
        return self._was_ready

    def status(self) -> str:
        """Return in a line how things are, in figures that seldom change."""
        reports = [duty.report() for duty in self._workers]
        failing = sorted({r.name for r in reports if r.was_attempted and not r.succeeded})
        return (
            f"rails={len(self.inventory.rails())} stuck={self._sampler.stuck_rails} "
            f"interval={self._sampler.interval_seconds:g}s failing={','.join(failing) or 'none'}"
        )

    def _live(self) -> Iterator[Sample]:
        yield from self._fast.samples()
        yield from marker_samples(self._desk)
        yield Sample(AGENT_MICROSCOPE_ACTIVE, (), int(self.microscope.is_looking))

    def _tend_gpus(self) -> list[Collector]:
        """Look after the GPUs; return their collector, unless there never was a driver."""
        if GpuCollector.name in self._settings.collectors.disable:
            self._gpus.rest()
            return []
        self._gpus.tend()
        view = self._gpus.view
        return [self._gpu_collector] if view.has_driver or view.gpus else []

    def _keep_budget(self) -> None:
        before = self._throttle
        self._throttle = before.after(self._clock.monotonic(), self._cpu_seconds())
        if self._throttle.factor == before.factor:
            return
        self._sampler.slow_down(self._throttle.factor)
        interval = self._sampler.interval_seconds
        if self._throttle.factor > before.factor:
            percent = 100 * before.budget_ratio
            log.warning(
                "over the budget of %.1f %% of a core: a sample each %g s", percent, interval
            )
        else:
            log.info("within the budget: a sample each %g s", interval)

    def _cpu_seconds(self) -> float:
        """Processor time used, that of the process which asks NVML included."""
        return time.process_time() + self._gpus.view.processor_seconds

    def _node_collectors(self, settings: AgentSettings) -> list[Collector]:
        """The collectors of which there is one a node."""
        window = WindowCollector(
            tape=self._tape,
            rails=self.inventory.rails,
            line_rate=self._line_rate,
            sample_seconds=lambda: self._sampler.interval_seconds,
            window_seconds=settings.sampler.window_seconds,
            clock=self._clock,
        )
        steps = StepCollector(
            tape=self._tape,
            gpu_tape=self._gpu_tape,
            places=self._census.places,
            gpus=lambda: self._gpus.view.gpus,
            sample_seconds=settings.sampler.interval_seconds,
            clock=self._clock,
        )
        makers = node_collectors(lambda: self._settings, self.inventory.rails)
        jobs = JobCollector(self._census, self.inventory.rails)
        return [window, steps, jobs, *(make() for make in makers.values())]

    def _rail_collectors(self) -> Iterator[Collector]:
        for rail in self.inventory.rails():
            for name, make in self._for_rail.items():
                key = (name, rail.number)
                if key not in self._of_rails:
                    self._of_rails[key] = make(rail.number)
                yield self._of_rails[key]

    def _line_rate(self, rail: Rail) -> float | None:
        if rail.line_rate_override is not None:
            return rail.line_rate_override
        collector = self._of_rails.get((NetdevCollector.name, rail.number))
        return collector.line_rate if isinstance(collector, NetdevCollector) else None

    def _station(self, rail: Rail, tape: Tape) -> RailStation:
        return RailStation(
            rail,
            counters=lambda on_jump: byte_counters(rail, self._sysfs, on_jump=on_jump),
            track=tape.track(rail.number),
            on_error=self._count_read_error,
            monotonic=self._clock.monotonic,
        )

    def _count_read_error(self) -> None:
        self._read_errors += 1


def _tape_capacity(sampler: SamplerSettings) -> int:
    seconds = max(_TAPE_SECONDS, 2 * sampler.window_seconds + 10.0)
    return math.ceil(seconds / sampler.interval_seconds)
