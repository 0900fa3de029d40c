# SPDX-License-Identifier: Apache-2.0
"""The GPUs as their keeper knows them, named and scaled; nothing is asked of the driver here."""

from __future__ import annotations

from typing import TYPE_CHECKING

from railwatch.catalogue.gpu import (
    GPU_ACTIVITY_INFO,
    GPU_ECC_ERRORS,
    GPU_ENERGY,
    GPU_INFO,
    GPU_JOB_MEMORY,
    GPU_LAST_XID,
    GPU_LOST,
    GPU_MEMORY_ACTIVITY,
    GPU_MEMORY_TOTAL,
    GPU_MEMORY_USED,
    GPU_MIG_INFO,
    GPU_MIG_MEMORY_TOTAL,
    GPU_MIG_MEMORY_USED,
    GPU_NVLINK_ERRORS,
    GPU_NVLINK_RECEIVE,
    GPU_NVLINK_TRANSMIT,
    GPU_PCIE_GENERATION,
    GPU_PCIE_GENERATION_MAX,
    GPU_PCIE_REPLAYS,
    GPU_PCIE_WIDTH,
    GPU_PCIE_WIDTH_MAX,
    GPU_POWER,
    GPU_PRESENT,
    GPU_REMAP_FAILED,
    GPU_REMAP_PENDING,
    GPU_REMAPPED_ROWS,
    GPU_SM_ACTIVE,
    GPU_SM_CLOCK,
    GPU_TEMPERATURE,
    GPU_TENSOR_ACTIVE,
    GPU_THROTTLED,
    GPU_UTILIZATION,
    GPU_XID_ERRORS,
    EccError,
    NvlinkError,
    Throttle,
)
from railwatch.catalogue.metric import ReadFailure, Sample
from railwatch.catalogue.node import (
    AGENT_NVML_ABANDONED,
    AGENT_NVML_CPU_SECONDS,
    AGENT_NVML_RESTARTS,
    AGENT_NVML_STUCK_GPUS,
)
from railwatch_agent.sources.nvml.quantities import Quantity, State

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from railwatch.catalogue.metric import MetricSpec
    from railwatch_agent.gpus.keeper import NodeView
    from railwatch_agent.gpus.ledger import GpuView
    from railwatch_agent.sources.nvml.reports import GpuReport, MigDevice

# Each quantity's family and the label values after the GPU's number.
_SERIES: Mapping[str, tuple[MetricSpec, tuple[str, ...]]] = {
    Quantity.UTILIZATION: (GPU_UTILIZATION, ()),
    Quantity.MEMORY_ACTIVITY: (GPU_MEMORY_ACTIVITY, ()),
    Quantity.MEMORY_USED: (GPU_MEMORY_USED, ()),
    Quantity.MEMORY_TOTAL: (GPU_MEMORY_TOTAL, ()),
    Quantity.SM_ACTIVE: (GPU_SM_ACTIVE, ()),
    Quantity.TENSOR_ACTIVE: (GPU_TENSOR_ACTIVE, ()),
    Quantity.POWER: (GPU_POWER, ()),
    Quantity.ENERGY: (GPU_ENERGY, ()),
    Quantity.TEMPERATURE: (GPU_TEMPERATURE, ()),
    Quantity.SM_CLOCK: (GPU_SM_CLOCK, ()),
    Quantity.NVLINK_RECEIVE: (GPU_NVLINK_RECEIVE, ()),
    Quantity.NVLINK_TRANSMIT: (GPU_NVLINK_TRANSMIT, ()),
    Quantity.NVLINK_CRC_FLIT: (GPU_NVLINK_ERRORS, (NvlinkError.CRC_FLIT,)),
    Quantity.NVLINK_CRC_DATA: (GPU_NVLINK_ERRORS, (NvlinkError.CRC_DATA,)),
    Quantity.NVLINK_REPLAY: (GPU_NVLINK_ERRORS, (NvlinkError.REPLAY,)),
    Quantity.NVLINK_RECOVERY: (GPU_NVLINK_ERRORS, (NvlinkError.RECOVERY,)),
    Quantity.NVLINK_SYMBOL: (GPU_NVLINK_ERRORS, (NvlinkError.SYMBOL,)),
    Quantity.PCIE_REPLAYS: (GPU_PCIE_REPLAYS, ()),
    Quantity.PCIE_WIDTH: (GPU_PCIE_WIDTH, ()),
    Quantity.PCIE_WIDTH_MAX: (GPU_PCIE_WIDTH_MAX, ()),
    Quantity.PCIE_GENERATION: (GPU_PCIE_GENERATION, ()),
    Quantity.PCIE_GENERATION_MAX: (GPU_PCIE_GENERATION_MAX, ()),
    Quantity.ECC_CORRECTED: (GPU_ECC_ERRORS, (EccError.CORRECTED,)),
    Quantity.ECC_UNCORRECTED: (GPU_ECC_ERRORS, (EccError.UNCORRECTED,)),
    Quantity.REMAPPED_CORRECTED: (GPU_REMAPPED_ROWS, (EccError.CORRECTED,)),
    Quantity.REMAPPED_UNCORRECTED: (GPU_REMAPPED_ROWS, (EccError.UNCORRECTED,)),
    Quantity.REMAP_PENDING: (GPU_REMAP_PENDING, ()),
    Quantity.REMAP_FAILED: (GPU_REMAP_FAILED, ()),
}

# nvml.h, nvmlClocksEventReasons.
_THROTTLE_BITS: Mapping[Throttle, int] = {
    Throttle.SW_POWER_CAP: 0x04,
    Throttle.HW_SLOWDOWN: 0x08,
    Throttle.SW_THERMAL: 0x20,
    Throttle.HW_THERMAL: 0x40,
    Throttle.HW_POWER_BRAKE: 0x80,
}
_MOST_JOBS = 8
# Finer than any of NVML's units.
_DECIMALS = 6


class GpuCollector:
    """Collects what *view* answers with; *jobs_of* knows the jobs of processes by their ids."""

    name = "gpu"

    def __init__(
        self,
        view: Callable[[], NodeView],
        *,
        jobs_of: Callable[[set[int]], Mapping[int, str]],
        interval_seconds: float,
    ) -> None:
        self.interval_seconds = interval_seconds
        self._view = view
        self._jobs_of = jobs_of
        # Of each GPU and quantity the number of the last round and its samples: most of them stay.
        self._kept: dict[tuple[int, str], tuple[float, tuple[Sample, ...]]] = {}

    def collect(self) -> Iterator[Sample | ReadFailure]:
        """Yield what is known; a node that never had a driver has nothing."""
        node = self._view()
        if not node.has_driver and not node.gpus:
            return
        yield from _about_itself(node)
        for what, reason in node.trouble:
            yield ReadFailure(what, reason)
        jobs = self._jobs(node)
        for gpu in node.gpus:
            yield from _presence(gpu)
            if gpu.report is not None:
                yield from _identity(gpu.report, node.driver_version)
                yield from self._numbers(gpu.report)
                yield from _parts(gpu.report, jobs)

    def _numbers(self, report: GpuReport) -> Iterator[Sample]:
        for quantity, value in report.values.items():
            kept = self._kept.get((report.number, quantity))
            if kept is None or kept[0] != value:
                kept = value, _samples(str(report.number), quantity, value)
                self._kept[report.number, quantity] = kept
            yield from kept[1]

    def _jobs(self, node: NodeView) -> Mapping[int, str]:
        reports = (gpu.report for gpu in node.gpus if gpu.report is not None)
        return self._jobs_of({pid for report in reports for pid, _ in report.processes})


def _about_itself(node: NodeView) -> Iterator[Sample]:
    yield Sample(AGENT_NVML_RESTARTS, (), node.restarts)
    yield Sample(AGENT_NVML_ABANDONED, (), node.abandoned)
    yield Sample(AGENT_NVML_STUCK_GPUS, (), node.stuck)
    yield Sample(AGENT_NVML_CPU_SECONDS, (), node.processor_seconds)


def _presence(gpu: GpuView) -> Iterator[Sample]:
    number = str(gpu.number)
    yield Sample(GPU_PRESENT, (number,), int(gpu.state is not State.MISSING))
    # Of one that is left out as the driver hangs on it, nothing more is known.
    if gpu.state in {State.PRESENT, State.LOST}:
        yield Sample(GPU_LOST, (number,), int(gpu.state is State.LOST))
    if gpu.xids is not None:
        for kind, count in gpu.xids.items():
            yield Sample(GPU_XID_ERRORS, (number, kind), count)
    if gpu.last_xid is not None:
        yield Sample(GPU_LAST_XID, (number,), gpu.last_xid)


def _identity(report: GpuReport, driver_version: str) -> Iterator[Sample | ReadFailure]:
    number = str(report.number)
    identity = (number, report.uuid, report.name, report.address, driver_version)
    yield Sample(GPU_INFO, identity, 1)
    for what, reason in report.failures.items():
        yield ReadFailure(f"{what} of GPU {number}", reason)
    if report.signal is not None and report.averaging_seconds is not None:
        averaging = f"{report.averaging_seconds:.1g}"
        yield Sample(GPU_ACTIVITY_INFO, (number, report.signal, averaging), 1)


def _samples(number: str, quantity: str, value: float) -> tuple[Sample, ...]:
    """Return the series that a number stands for; one that is not known here stands for none."""
    if quantity == Quantity.THROTTLE_REASONS:
        reasons = int(value)
        return tuple(
            Sample(GPU_THROTTLED, (number, reason), int(bool(reasons & bit)))
            for reason, bit in _THROTTLE_BITS.items()
        )
    if quantity not in _SERIES:
        return ()
    spec, labels = _SERIES[quantity]
    # A number that needs no scale stays whole; the others lose what is only of float.
    scaled = value if spec.scale == 1 else round(value * spec.scale, _DECIMALS)
    return (Sample(spec, (number, *labels), scaled),)


def _parts(report: GpuReport, jobs: Mapping[int, str]) -> Iterator[Sample]:
    for device in report.mig:
        yield from _mig_device(str(report.number), device)
    yield from _job_memory(report, jobs)


def _mig_device(number: str, device: MigDevice) -> Iterator[Sample]:
    labels = (number, device.instance)
    yield Sample(GPU_MIG_INFO, (*labels, device.uuid, device.profile), 1)
    if device.memory_used_bytes is not None:
        yield Sample(GPU_MIG_MEMORY_USED, labels, device.memory_used_bytes)
    if device.memory_total_bytes is not None:
        yield Sample(GPU_MIG_MEMORY_TOTAL, labels, device.memory_total_bytes)


def _job_memory(report: GpuReport, jobs: Mapping[int, str]) -> Iterator[Sample]:
    by_job: dict[str, int] = {}
    for pid, used in report.processes:
        job = jobs.get(pid)
        if job is not None:
            by_job[job] = by_job.get(job, 0) + used
    largest = sorted(by_job.items(), key=lambda pair: (-pair[1], pair[0]))
    for job, used in largest[:_MOST_JOBS]:
        yield Sample(GPU_JOB_MEMORY, (str(report.number), job), used)
