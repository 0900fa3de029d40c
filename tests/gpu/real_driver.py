"""The read-only part of the GPU tests on this machine's own NVIDIA driver: `make test-gpu`.

Nothing is set, reset or loaded. What the driver refuses is printed: it has no series.
"""

import math
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from railwatch.catalogue.gpu import (
    GPU_ENERGY,
    GPU_MEMORY_TOTAL,
    GPU_MEMORY_USED,
    GPU_POWER,
    GPU_PRESENT,
    GPU_SM_ACTIVE,
    GPU_TEMPERATURE,
    GPU_TENSOR_ACTIVE,
    GPU_UTILIZATION,
)
from railwatch.catalogue.metric import MetricSpec, ReadFailure, Sample
from railwatch.clock import SystemClock
from railwatch_agent.collectors.gpu import GpuCollector
from railwatch_agent.gpus.keeper import Keeper
from railwatch_agent.gpus.tape import GpuTape
from railwatch_agent.settings import GpuSettings
from railwatch_agent.sources.nvidia import NvidiaMachine
from railwatch_agent.sources.nvml.process import ChildProcess
from railwatch_agent.sources.nvml.quantities import Quantity
from support.conditions import wait_until

# Initialising GPUs without persistence mode takes seconds each.
_START_SECONDS = 120.0
_ROUNDS = 3
_SLOW_SECONDS = 2.0
_SHARES = (GPU_UTILIZATION, GPU_SM_ACTIVE, GPU_TENSOR_ACTIVE)
_LARGEST_SHARE_OF_A_CORE = 0.05


class Watch:
    """A keeper on the real driver, watched for a few slow rounds."""

    def __init__(self) -> None:
        self.tape = GpuTape(200)
        self.settings = GpuSettings(slow_interval_seconds=_SLOW_SECONDS)
        self.machine = NvidiaMachine(Path("/sys"), Path("/proc"))
        self.keeper = Keeper(
            spawn=ChildProcess,
            machine=self.machine,
            tape=self.tape,
            settings=self.settings,
            clock=SystemClock(),
        )
        self._collector = GpuCollector(
            lambda: self.keeper.view, jobs_of=lambda _: {}, interval_seconds=_SLOW_SECONDS
        )

    def run(self) -> None:
        """Wait until all GPUs have been asked a few times."""

        def reports() -> bool:
            self.keeper.tend()
            gpus = self.keeper.view.gpus
            return bool(gpus) and all(gpu.report is not None for gpu in gpus)

        wait_until(reports, _START_SECONDS, "the first report of each GPU", poll_seconds=1.0)
        self.before = self.values(GPU_ENERGY)
        end = time.monotonic() + _ROUNDS * self.settings.slow_interval_seconds
        while time.monotonic() < end:
            self.keeper.tend()
            time.sleep(1.0)

    def readings(self) -> list[Sample | ReadFailure]:
        """Return what would be exposed now."""
        return list(self._collector.collect())

    def values(self, spec: MetricSpec) -> dict[str, float]:
        """Return the values of a family by GPU."""
        found = [s for s in self.readings() if isinstance(s, Sample) and s.spec is spec]
        return {s.labels[0]: s.value for s in found if isinstance(s.value, int | float)}


@pytest.fixture(scope="module")
def watch() -> Iterator[Watch]:
    """The driver, watched."""
    watch = Watch()
    watch.run()
    yield watch
    watch.keeper.stop()


def test_every_gpu_that_pci_lists_is_there(watch: Watch) -> None:
    present = watch.values(GPU_PRESENT)

    assert len(present) >= len(watch.machine.gpus())
    assert set(present.values()) == {1}


def test_nothing_fails(watch: Watch, capsys: pytest.CaptureFixture[str]) -> None:
    with capsys.disabled():
        for gpu in watch.keeper.view.gpus:
            if gpu.report is not None:
                absent = sorted(set(Quantity) - {Quantity(name) for name in gpu.report.values})
                denied = ", ".join(gpu.report.denied) or "nothing"
                print(  # noqa: T201 - what this run is for
                    f"\nGPU {gpu.number} {gpu.report.name}: signal {gpu.report.signal}, averaging "
                    f"{gpu.report.averaging_seconds:.2f} s; absent: {', '.join(absent)}; "
                    f"not permitted: {denied}"
                )

    assert [reading for reading in watch.readings() if isinstance(reading, ReadFailure)] == []
    assert (watch.keeper.view.restarts, watch.keeper.view.abandoned) == (0, 0)


def test_numbers_are_what_such_numbers_can_be(watch: Watch) -> None:
    used, total = watch.values(GPU_MEMORY_USED), watch.values(GPU_MEMORY_TOTAL)

    assert all(0 <= used[gpu] <= total[gpu] for gpu in total)
    assert all(0 < value < 120 for value in watch.values(GPU_TEMPERATURE).values())
    assert all(0 < value < 3000 for value in watch.values(GPU_POWER).values())
    for spec in _SHARES:
        assert all(0 <= value <= 1 for value in watch.values(spec).values()), spec.name


def test_energy_grows(watch: Watch) -> None:
    after = watch.values(GPU_ENERGY)

    assert after.keys() == watch.before.keys()
    assert all(after[gpu] > value for gpu, value in watch.before.items())


def test_the_signal_is_sampled_as_often_as_it_is_said_to_be(watch: Watch) -> None:
    for gpu in watch.keeper.view.gpus:
        if gpu.report is None or gpu.report.signal is None:
            continue
        held = watch.tape.slice(gpu.number, time.monotonic() - 5.0)
        known = held.times[np.isfinite(held.activity)]
        averaging = gpu.report.averaging_seconds
        assert averaging is not None
        assert not math.isnan(averaging)
        assert np.median(np.diff(known)) <= 2 * averaging, gpu.number


def test_asking_costs_little(watch: Watch) -> None:
    """Of a core, the start included."""
    used = watch.keeper.view.processor_seconds

    assert used < 1.0 + _LARGEST_SHARE_OF_A_CORE * _ROUNDS * watch.settings.slow_interval_seconds
