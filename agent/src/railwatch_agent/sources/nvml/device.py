# SPDX-License-Identifier: Apache-2.0
"""One GPU in the child: its identity, its numbers, its MIG devices, its processes (nvml.h)."""

from __future__ import annotations

import math
from functools import partial
from typing import TYPE_CHECKING, Any

import pynvml

from railwatch_agent.sources.nvml.faults import DriverGoneError, Fault, fault_of
from railwatch_agent.sources.nvml.interview import Interview, LostError
from railwatch_agent.sources.nvml.quantities import Quantity
from railwatch_agent.sources.nvml.signals import GpmSource, best_source

if TYPE_CHECKING:
    from array import array

    from railwatch_agent.sources.nvml.driver import Listed
    from railwatch_agent.sources.nvml.signals import GpmQuestion, Source

# Seven GPU instances is the most that a GPU is divided into; each may have several compute
# instances, and those past this number have no series.
_MOST_MIG_DEVICES = 8
_MOST_PROCESSES = 256


def _processes(handle: Any) -> list[Any]:
    return list(pynvml.nvmlDeviceGetComputeRunningProcesses_v3(handle))


def _processes_before_r510(handle: Any) -> list[Any]:
    return list(pynvml.nvmlDeviceGetComputeRunningProcesses_v2(handle))


_PROCESSES = (_processes, _processes_before_r510)


class Device:
    """A GPU that the driver has, and what is asked of it; fast samples are added to *samples*."""

    def __init__(
        self,
        listed: Listed,
        question: GpmQuestion,
        interval_seconds: float,
        samples: array[float],
    ) -> None:
        self.number, self.address = listed.number, listed.address
        self.is_lost = False
        self.watches_xid = False
        self._handle = listed.handle
        self._question = question
        self._interval_seconds = interval_seconds
        self._interview = Interview(self._handle)
        self._identity = self._read_identity()
        self._has_mig = True
        self._processes = list(_PROCESSES)
        self._source = self._choose_source()
        self._samples = samples
        self._is_gap = False

    @property
    def handle(self) -> Any:
        """What pynvml knows the GPU by."""
        return self._handle

    def sample(self, now: float) -> None:
        """Take the activity signal's new samples; a gap where there is none."""
        source = self._source
        if source is None:
            return
        try:
            source.read(now, self._take)
            self._is_gap = False
        except pynvml.NVMLError as error:
            if not self._is_gap:
                self._take(now, math.nan, math.nan)
            self._is_gap = True
            self._react(error)

    def _react(self, error: pynvml.NVMLError) -> None:
        fault = fault_of(error)
        if fault is Fault.GONE:
            raise DriverGoneError(str(error)) from error
        if fault is Fault.LOST:
            # The next report says so.
            self._source = None
        elif fault in {Fault.REFUSED, Fault.DENIED}:
            # It was answered before: MIG was switched on, say. Another signal may do.
            self._source = self._choose_source()

    def _take(self, at: float, activity: float, tensor: float) -> None:
        self._samples.extend((self.number, at, activity, tensor))

    def report(self, now: float) -> dict[str, Any]:
        """Ask everything that is asked seldom; a GPU that is lost says no more than that."""
        facts: dict[str, Any] = {
            "number": self.number,
            "address": self.address,
            "time": now,
            "watches_xid": self.watches_xid,
            **self._identity,
        }
        try:
            self._interview.ask()
            facts["processes"] = self._read_processes()
            facts["mig"] = self._read_mig()
            self._add_activity(facts)
        except LostError:
            self.is_lost = True
        facts["is_lost"] = self.is_lost
        if not self.is_lost:
            facts["values"] = self._interview.values
            facts["failures"] = self._interview.failures
            facts["denied"] = sorted(self._interview.denied)
        return facts

    def _choose_source(self) -> Source | None:
        try:
            return best_source(
                self._handle, self._question, self._interval_seconds, self._interview.denied
            )
        except pynvml.NVMLError as error:
            if fault_of(error) is Fault.GONE:
                raise DriverGoneError(str(error)) from error
            # The GPU is lost, as its next report says.
            return None

    def _read_identity(self) -> dict[str, str]:
        found = {}
        for name, call in (
            ("uuid", pynvml.nvmlDeviceGetUUID),
            ("name", pynvml.nvmlDeviceGetName),
        ):
            text, _ = self._interview.attempt(name, partial(call, self._handle))
            found[name] = "" if text is None else str(text)
        return found

    def _add_activity(self, facts: dict[str, Any]) -> None:
        source = self._source
        if source is None:
            return
        facts["signal"] = source.name
        # In whole intervals: what is observed wanders within one.
        intervals = max(round(source.averaging_seconds / self._interval_seconds), 1)
        facts["averaging_seconds"] = intervals * self._interval_seconds
        if isinstance(source, GpmSource):
            shares, _ = self._interview.attempt("gpm", source.since_last)
            if shares is not None:
                names = (Quantity.SM_ACTIVE, Quantity.TENSOR_ACTIVE)
                known = [(n, v) for n, v in zip(names, shares, strict=True) if not math.isnan(v)]
                self._interview.values.update(known)

    def _read_processes(self) -> list[tuple[int, int]]:
        while self._processes:
            call = self._processes[0]
            found, fault = self._interview.attempt("processes", partial(call, self._handle))
            if fault not in {Fault.REFUSED, Fault.DENIED}:
                return [
                    (process.pid, process.usedGpuMemory)
                    for process in (found or [])[:_MOST_PROCESSES]
                    if process.usedGpuMemory is not None
                ]
            del self._processes[0]
        return []

    def _read_mig(self) -> list[dict[str, Any]]:
        if not self._has_mig:
            return []
        attempt, handle = self._interview.attempt, self._handle
        mode, fault = attempt("mig", lambda: pynvml.nvmlDeviceGetMigMode(handle))
        # A GPU that cannot be divided is not asked again.
        self._has_mig = fault not in {Fault.REFUSED, Fault.DENIED}
        if mode is None or mode[0] != pynvml.NVML_DEVICE_MIG_ENABLE:
            return []
        count, _ = attempt("mig", lambda: pynvml.nvmlDeviceGetMaxMigDeviceCount(handle))
        found = (self._read_instance(index) for index in range(count or 0))
        return [instance for instance in found if instance is not None][:_MOST_MIG_DEVICES]

    def _read_instance(self, index: int) -> Any:
        attempt = self._interview.attempt
        handle, _ = attempt(
            "mig", lambda: pynvml.nvmlDeviceGetMigDeviceHandleByIndex(self._handle, index)
        )
        if handle is None:
            return None
        facts, _ = attempt("mig", lambda: _instance_facts(handle))
        if facts is not None:
            memory, _ = attempt("mig memory", lambda: pynvml.nvmlDeviceGetMemoryInfo(handle))
            if memory is not None:
                facts["used"], facts["total"] = memory.used, memory.total
        return facts


def _instance_facts(handle: Any) -> dict[str, Any]:
    gpu = pynvml.nvmlDeviceGetGpuInstanceId(handle)
    compute = pynvml.nvmlDeviceGetComputeInstanceId(handle)
    return {
        "instance": f"{gpu}/{compute}",
        "uuid": str(pynvml.nvmlDeviceGetUUID(handle)),
        # "NVIDIA A100-SXM4-40GB MIG 1g.5gb"
        "profile": str(pynvml.nvmlDeviceGetName(handle)).rpartition(" ")[2],
    }
