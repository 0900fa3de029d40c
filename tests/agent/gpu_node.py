"""A node with GPUs: keeper, child and collector, all real, without the rest of the agent."""

import re
import time
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Self

import pytest

from railwatch.catalogue.metric import MetricSpec, ReadFailure, Sample
from railwatch.clock import SystemClock
from railwatch.exposition import Renderer
from railwatch_agent.collectors.gpu import GpuCollector
from railwatch_agent.gpus.keeper import Keeper
from railwatch_agent.gpus.tape import GpuTape
from railwatch_agent.settings import GpuSettings
from railwatch_agent.sources.nvml.process import ChildProcess, Task
from support.conditions import wait_until
from support.nvml import Stage

# Quick rounds, and a deadline that a busy machine does not miss by itself.
QUICK = GpuSettings(fast_interval_seconds=0.05, slow_interval_seconds=0.4, deadline_seconds=1.5)
PATIENCE_SECONDS = 30.0
_POLL_SECONDS = 0.02


MakeNode = Callable[..., "GpuNode"]
"""Takes the profiles of the GPUs, and what `GpuNode` takes."""


class Machine:
    """A machine whose driver and PCI list are what a test says."""

    def __init__(self, addresses: Iterable[str] = ()) -> None:
        self.addresses = [*addresses]
        self.is_driven = True

    def has_driver(self) -> bool:
        """Whether there is a driver."""
        return self.is_driven

    def gpus(self) -> Sequence[str]:
        """The addresses in PCI order."""
        return self.addresses


class GpuNode:
    """Keeps a child on *stage* while the context lasts."""

    def __init__(
        self,
        stage: Stage,
        monkeypatch: pytest.MonkeyPatch,
        *,
        library: Path | None = None,
        machine: Machine | None = None,
        jobs: dict[int, str] | None = None,
    ) -> None:
        self.stage = stage
        for name, value in stage.environment(library).items():
            monkeypatch.setenv(name, value)
        self.gpus = stage.gpus
        self.machine = machine or Machine()
        self.children: list[ChildProcess] = []
        self.tape = GpuTape(1000)
        self.keeper = Keeper(
            spawn=self._spawn,
            machine=self.machine,
            tape=self.tape,
            settings=QUICK,
            clock=SystemClock(),
        )
        self.collector = GpuCollector(
            lambda: self.keeper.view, jobs_of=lambda _: jobs or {}, interval_seconds=0.4
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        self.keeper.stop()
        for child in self.children:
            child.kill()
            # Its parent is this process: else it would be a zombie until that ends.
            wait_until(child.has_ended, PATIENCE_SECONDS, f"the end of process {child.pid}")
            child.close()

    def readings(self) -> list[Sample | ReadFailure]:
        """Tend, and return what would be exposed now."""
        self.keeper.tend()
        return list(self.collector.collect())

    def values(self, spec: MetricSpec) -> dict[tuple[str, ...], float]:
        """Return the series of a family by their labels."""
        found = [s for s in self.readings() if isinstance(s, Sample) and s.spec is spec]
        return {s.labels: s.value for s in found if isinstance(s.value, int | float)}

    def failures(self) -> dict[str, str]:
        """Return what fails now, and why."""
        return {f.what: f.reason for f in self.readings() if isinstance(f, ReadFailure)}

    def wait_until(self, condition: Callable[[], object], what: str) -> None:
        """Tend until *condition* holds."""

        def holds() -> object:
            self.keeper.tend()
            return condition()

        wait_until(holds, PATIENCE_SECONDS, what, poll_seconds=_POLL_SECONDS)

    def wait_for(self, spec: MetricSpec, expected: dict[tuple[str, ...], float]) -> None:
        """Tend until the series of a family are these."""
        self.wait_until(
            lambda: self.values(spec) == expected,
            f"{spec.name} to be {expected}; failures {self.failures()}",
        )

    def wait_for_reports(self, gpus: int) -> None:
        """Tend until so many GPUs have reported twice, so that means over time are known."""
        since = time.monotonic()
        self.wait_until(
            lambda: len([g for g in self.keeper.view.gpus if g.report]) == gpus, "first reports"
        )
        later = since + 2 * QUICK.slow_interval_seconds
        self.wait_until(
            lambda: all(g.report and g.report.time > later for g in self.keeper.view.gpus),
            "later reports",
        )

    def exposition(self) -> str:
        """Return the text that is exposed now, with what grows or wanders held."""
        samples = [s for s in self.readings() if isinstance(s, Sample)]
        text = Renderer().render(samples).decode()
        growing = r"(?m)^(railwatch_gpu_(?:energy|nvlink_\w+_bytes)\w*|\w+_cpu_\w+)(\{.*\})? .*$"
        text = re.sub(growing, r"\1\2 0", text)
        return re.sub(r'averaging_seconds="[^"]+"', 'averaging_seconds="0.1"', text)

    def _spawn(self, task: Task) -> ChildProcess:
        child = ChildProcess(task)
        self.children.append(child)
        return child
