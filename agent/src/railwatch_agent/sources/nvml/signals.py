# SPDX-License-Identifier: Apache-2.0
"""The signal that stands for compute, many times a second: the best that a GPU has (nvml.h).

GPM counts what the multiprocessors do. Energy is a counter whose differences are the power of the
moment, where `power` is averaged over a second. Utilisation is the last resort: a kernel that waits
in a collective is resident, too.
"""

from __future__ import annotations

import ctypes
import math
import time
from typing import TYPE_CHECKING, Any, Protocol

import pynvml

from railwatch_agent.sources.nvml.faults import Fault, fault_of
from railwatch_agent.sources.nvml.quantities import Signal

if TYPE_CHECKING:
    from collections.abc import Callable

    # Takes time, activity, tensor activity.
    Take = Callable[[float, float, float], None]

# nvml.h: two GPM samples are to be more than 100 ms apart, as they are refreshed that often.
_GPM_LEAST_SECONDS = 0.105
# The driver refreshes utilisation and its buffers of samples at least this often (nvml.h: between
# 1/6 s and 1 s by product).
_UTILIZATION_SECONDS = 1 / 6
# A counter of energy that does not move for longer than this belongs to a GPU that says nothing.
_ENERGY_PATIENCE_SECONDS = 1.0
_PERCENT = 0.01
_WATTS_OF_MILLIJOULES = 1e-3
_MICROSECONDS = 1e-6


class Source(Protocol):
    """A signal of one GPU; `read` is called many times a second."""

    name: Signal
    averaging_seconds: float

    def read(self, now: float, take: Take) -> None:
        """Give what is new by *now* to *take*; raises NVMLError."""
        ...


class GpmSource:
    """Busy multiprocessors and tensor cores: shares of 0 to 1, between samples *lag* rounds apart.

    All GPUs use one *question*: it is 20 kB of NVML's.
    """

    name = Signal.GPM

    def __init__(self, handle: Any, question: GpmQuestion, interval_seconds: float) -> None:
        if not pynvml.nvmlGpmQueryDeviceSupport(handle).isSupportedDevice:
            raise pynvml.NVMLError(pynvml.NVML_ERROR_NOT_SUPPORTED)
        self._handle = handle
        self._question = question
        lag = max(math.ceil(_GPM_LEAST_SECONDS / interval_seconds), 1)
        self.averaging_seconds = lag * interval_seconds
        self._samples = [GpmSample() for _ in range(lag + 1)]
        self._taken = 0
        self._long = GpmSample(), GpmSample()
        self._has_long = False
        # Whether it may be asked at all is known only now.
        self._sample(time.monotonic())

    def read(self, now: float, take: Take) -> None:
        """Give the shares between the oldest sample kept and one of now."""
        newest = self._sample(now)
        if self._taken >= len(self._samples):
            oldest = self._samples[self._taken % len(self._samples)]
            self.averaging_seconds = now - oldest.taken_at
            sm, tensor = self._question.ask(oldest, newest)
            take(now, sm * _PERCENT, tensor * _PERCENT)

    def since_last(self) -> tuple[float, float] | None:
        """Return how busy both were since the last call, in percent; None the first time."""
        before, after = self._long
        pynvml.nvmlGpmSampleGet(self._handle, after.buffer)
        self._long = after, before
        if not self._has_long:
            self._has_long = True
            return None
        return self._question.ask(before, after)

    def _sample(self, now: float) -> GpmSample:
        sample = self._samples[self._taken % len(self._samples)]
        try:
            pynvml.nvmlGpmSampleGet(self._handle, sample.buffer)
        except pynvml.NVMLError:
            self._taken = 0
            raise
        self._taken += 1
        sample.taken_at = now
        return sample


class GpmSample:
    """A buffer of NVML's for one sample; it lasts as long as the process."""

    __slots__ = ("address", "buffer", "taken_at")

    def __init__(self) -> None:
        self.buffer = pynvml.nvmlGpmSampleAlloc()
        self.taken_at = 0.0
        self.address = ctypes.cast(self.buffer, ctypes.c_void_p).value


class GpmQuestion:
    """NVML's structure for the difference of two samples, filled in once and used again.

    It is seen through plain numbers that lie over it: pynvml's own attributes take longer than NVML
    takes for the answer.
    """

    def __init__(self) -> None:
        kind, metric = pynvml.c_nvmlGpmMetricsGet_t, pynvml.c_nvmlGpmMetric_t
        self._struct = kind()
        self._struct.version = pynvml.NVML_GPM_METRICS_GET_VERSION
        self._struct.numMetrics = 2
        self._before = ctypes.c_void_p.from_buffer(self._struct, kind.sample1.offset)
        self._after = ctypes.c_void_p.from_buffer(self._struct, kind.sample2.offset)
        self._answers = []
        for place, number in enumerate(
            (pynvml.NVML_GPM_METRIC_SM_UTIL, pynvml.NVML_GPM_METRIC_ANY_TENSOR_UTIL)
        ):
            at = kind.metrics.offset + place * ctypes.sizeof(metric)
            self._struct.metrics[place].metricId = number
            code = ctypes.c_int.from_buffer(self._struct, at + metric.nvmlReturn.offset)
            percent = ctypes.c_double.from_buffer(self._struct, at + metric.value.offset)
            self._answers.append((code, percent))

    def ask(self, before: GpmSample, after: GpmSample) -> tuple[float, float]:
        """Return how busy multiprocessors and tensor cores were, in percent, NaN where unknown."""
        self._before.value, self._after.value = before.address, after.address
        pynvml.nvmlGpmMetricsGet(self._struct)
        (sm_code, sm), (tensor_code, tensor) = self._answers
        return (
            math.nan if sm_code.value else sm.value,
            math.nan if tensor_code.value else tensor.value,
        )


class EnergySource:
    """Watts, from a counter that moves in steps: a sample for each time that it has moved."""

    name = Signal.ENERGY

    def __init__(self, handle: Any, interval_seconds: float) -> None:
        self._handle = handle
        self._energy = pynvml.nvmlDeviceGetTotalEnergyConsumption(handle)
        self._moved_at = time.monotonic()
        # As observed: until then as often as it is read.
        self.averaging_seconds = interval_seconds
        self._is_first = True

    def read(self, now: float, take: Take) -> None:
        """Give the mean power since the counter moved last, if it has moved."""
        energy = pynvml.nvmlDeviceGetTotalEnergyConsumption(self._handle)
        grown, seconds = energy - self._energy, now - self._moved_at
        if grown == 0 and seconds < _ENERGY_PATIENCE_SECONDS:
            return
        # When the first step began is not known; after a fall the counter began anew.
        if self._is_first or grown < 0:
            take(now, math.nan, math.nan)
        else:
            take(now, grown * _WATTS_OF_MILLIJOULES / seconds, math.nan)
            self.averaging_seconds += (seconds - self.averaging_seconds) / 16
        self._is_first = False
        self._energy, self._moved_at = energy, now


class PowerSource:
    """Watts, from the driver's own buffer of samples, fetched once a second."""

    name = Signal.POWER_SAMPLES
    averaging_seconds = _UTILIZATION_SECONDS
    _kind = pynvml.NVML_TOTAL_POWER_SAMPLES
    _scale = 1e-3
    _fetch_seconds = 1.0

    def __init__(self, handle: Any) -> None:
        self._handle = handle
        self._newest = 0
        self._due = 0.0
        self.read(time.monotonic(), lambda *_: None)

    def read(self, now: float, take: Take) -> None:
        """Give what the driver has sampled since the last time, at the times that it says."""
        if now < self._due:
            return
        self._due = now + self._fetch_seconds
        try:
            kind, samples = pynvml.nvmlDeviceGetSamples(self._handle, self._kind, self._newest)
        except pynvml.NVMLError_NotFound:
            # None since the last time.
            return
        # Times are microseconds of the wall clock.
        offset = now - time.time()
        member = "dVal" if kind == pynvml.NVML_VALUE_TYPE_DOUBLE else "uiVal"
        for sample in samples:
            if sample.timeStamp > self._newest:
                self._newest = sample.timeStamp
                value = getattr(sample.sampleValue, member) * self._scale
                take(sample.timeStamp * _MICROSECONDS + offset, value, math.nan)


class UtilizationSource:
    """Share of the driver's last period in which a kernel was resident: not compute, but all."""

    name = Signal.UTILIZATION
    averaging_seconds = _UTILIZATION_SECONDS

    def __init__(self, handle: Any) -> None:
        self._handle = handle
        pynvml.nvmlDeviceGetUtilizationRates(handle)

    def read(self, now: float, take: Take) -> None:
        """Give the share of the period that ended last."""
        gpu = pynvml.nvmlDeviceGetUtilizationRates(self._handle).gpu
        take(now, gpu * _PERCENT, math.nan)


def best_source(
    handle: Any, question: GpmQuestion, interval_seconds: float, denied: set[str]
) -> Source | None:
    """Return the best signal that the GPU answers with now, None if there is none.

    Better ones that this user may not have are added to *denied*. Raises NVMLError if the GPU is
    lost or the driver gone.
    """
    makers: dict[Signal, Callable[[], Source]] = {
        Signal.GPM: lambda: GpmSource(handle, question, interval_seconds),
        Signal.ENERGY: lambda: EnergySource(handle, interval_seconds),
        Signal.POWER_SAMPLES: lambda: PowerSource(handle),
        Signal.UTILIZATION: lambda: UtilizationSource(handle),
    }
    for name, make in makers.items():
        try:
            return make()
        except (pynvml.NVMLError, AttributeError) as error:
            fault = fault_of(error)
            if fault in {Fault.LOST, Fault.GONE}:
                raise
            if fault is Fault.DENIED:
                denied.add(name)
    return None
