# SPDX-License-Identifier: Apache-2.0
"""The GPUs' metrics, as NVML knows them (nvml.h); GPU.md says what they mean on which GPU."""

from __future__ import annotations

from enum import StrEnum

from railwatch.catalogue.metric import PREFIX, MetricSpec, MetricType, Scope

_GPU = ("gpu",)
_INSTANCE = ("gpu", "instance")


def _gpu(what: str, kind: MetricType, text: str, *, source: str, scale: float = 1.0) -> MetricSpec:
    return MetricSpec(f"{PREFIX}gpu_{what}", kind, text, _GPU, Scope.GPU, source, scale=scale)


def _gpu_by(
    label: str, values: type[StrEnum], what: str, kind: MetricType, text: str, source: str
) -> MetricSpec:
    name = f"{PREFIX}gpu_{what}"
    return MetricSpec(name, kind, text, (*_GPU, label), Scope.GPU, source, values=tuple(values))


def _gpu_part(
    labels: tuple[str, ...], scope: Scope, what: str, kind: MetricType, text: str, source: str
) -> MetricSpec:
    return MetricSpec(f"{PREFIX}gpu_{what}", kind, text, labels, scope, source)


GPU_INFO = _gpu_part(
    (*_GPU, "uuid", "name", "pci_address", "driver_version"),
    Scope.GPU,
    "info",
    MetricType.INFO,
    "What a GPU is; joins its number to the hardware behind it.",
    "nvmlDeviceGetUUID, GetName, nvmlSystemGetDriverVersion",
)
GPU_PRESENT = _gpu(
    "present",
    MetricType.GAUGE,
    "1 if the driver lists the GPU; 0 if PCI lists it, or did, and the driver does not.",
    source="nvmlDeviceGetHandleByPciBusId; /sys/bus/pci/devices/*/{vendor,class}",
)
GPU_LOST = _gpu(
    "lost",
    MetricType.GAUGE,
    "1 if the driver says that it cannot reach the GPU any more.",
    source="NVML_ERROR_GPU_IS_LOST of any call",
)
GPU_UTILIZATION = _gpu(
    "utilization_ratio",
    MetricType.GAUGE,
    "Share of the driver's last period in which a kernel was resident; one that waits in a "
    "collective is, so this is not compute occupancy.",
    source="nvmlDeviceGetUtilizationRates, gpu (percent)",
    scale=0.01,
)
GPU_MEMORY_ACTIVITY = _gpu(
    "memory_activity_ratio",
    MetricType.GAUGE,
    "Share of the driver's last period in which device memory was read or written.",
    source="nvmlDeviceGetUtilizationRates, memory (percent)",
    scale=0.01,
)
GPU_MEMORY_USED = _gpu(
    "memory_used_bytes",
    MetricType.GAUGE,
    "Device memory in use.",
    source="nvmlDeviceGetMemoryInfo",
)
GPU_MEMORY_TOTAL = _gpu(
    "memory_total_bytes",
    MetricType.GAUGE,
    "Device memory that there is.",
    source="nvmlDeviceGetMemoryInfo",
)
GPU_SM_ACTIVE = _gpu(
    "sm_active_ratio",
    MetricType.GAUGE,
    "Share of the streaming multiprocessors that were busy, over the slow interval; those of a "
    "collective's kernel included. Hopper and later.",
    source="GPM, NVML_GPM_METRIC_SM_UTIL (percent)",
    scale=0.01,
)
GPU_TENSOR_ACTIVE = _gpu(
    "tensor_active_ratio",
    MetricType.GAUGE,
    "Share of the time in which tensor cores worked, over the slow interval. Hopper and later.",
    source="GPM, NVML_GPM_METRIC_ANY_TENSOR_UTIL (percent)",
    scale=0.01,
)
GPU_POWER = _gpu(
    "power_watts",
    MetricType.GAUGE,
    "Power drawn: the mean of about a second, on the A100 and older GPUs of the moment.",
    source="NVML_FI_DEV_POWER_AVERAGE, else nvmlDeviceGetPowerUsage (mW)",
    scale=0.001,
)
GPU_ENERGY = _gpu(
    "energy_joules_total",
    MetricType.COUNTER,
    "Energy used since the driver was loaded.",
    source="NVML_FI_DEV_TOTAL_ENERGY_CONSUMPTION (mJ)",
    scale=0.001,
)
GPU_TEMPERATURE = _gpu(
    "temperature_celsius",
    MetricType.GAUGE,
    "Temperature of the chip.",
    source="nvmlDeviceGetTemperature",
)
GPU_SM_CLOCK = _gpu(
    "sm_clock_hertz",
    MetricType.GAUGE,
    "Clock of the streaming multiprocessors.",
    source="nvmlDeviceGetClockInfo, NVML_CLOCK_SM (MHz)",
    scale=1e6,
)


class Throttle(StrEnum):
    """Why clocks are lower than they could be; being idle and what was asked for are left out.

    So is sync boost, a group of GPUs that keeps to one clock: nobody uses it in training.
    """

    SW_POWER_CAP = "sw_power_cap"
    HW_SLOWDOWN = "hw_slowdown"
    SW_THERMAL = "sw_thermal_slowdown"
    HW_THERMAL = "hw_thermal_slowdown"
    HW_POWER_BRAKE = "hw_power_brake"


GPU_THROTTLED = _gpu_by(
    "reason",
    Throttle,
    "throttled",
    MetricType.GAUGE,
    "1 while the reason keeps the clocks down.",
    "nvmlDeviceGetCurrentClocksEventReasons",
)
GPU_NVLINK_RECEIVE = _gpu(
    "nvlink_receive_bytes_total",
    MetricType.COUNTER,
    "Payload received over all NVLinks of the GPU.",
    source="NVML_FI_DEV_NVLINK_THROUGHPUT_DATA_RX (KiB)",
    scale=1024.0,
)
GPU_NVLINK_TRANSMIT = _gpu(
    "nvlink_transmit_bytes_total",
    MetricType.COUNTER,
    "Payload sent over all NVLinks of the GPU.",
    source="NVML_FI_DEV_NVLINK_THROUGHPUT_DATA_TX (KiB)",
    scale=1024.0,
)


class NvlinkError(StrEnum):
    """What goes wrong on NVLink; a GPU keeps those of its generation."""

    CRC_FLIT = "crc_flit"
    CRC_DATA = "crc_data"
    REPLAY = "replay"
    RECOVERY = "recovery"
    SYMBOL = "symbol_error"


GPU_NVLINK_ERRORS = _gpu_by(
    "kind",
    NvlinkError,
    "nvlink_errors_total",
    MetricType.COUNTER,
    "Errors on all NVLinks of the GPU, by kind; symbol_error from Blackwell on, in place of crc "
    "and replay.",
    "NVML_FI_DEV_NVLINK_{CRC_FLIT,CRC_DATA,REPLAY,RECOVERY}_ERROR_COUNT_TOTAL; "
    "NVML_FI_DEV_NVLINK_COUNT_{SYMBOL_ERRORS,LINK_RECOVERY_EVENTS} of each link",
)
GPU_PCIE_REPLAYS = _gpu(
    "pcie_replays_total",
    MetricType.COUNTER,
    "Packets that were sent again over PCIe.",
    source="NVML_FI_DEV_PCIE_REPLAY_COUNTER",
)
GPU_PCIE_WIDTH = _gpu(
    "pcie_link_width",
    MetricType.GAUGE,
    "Lanes of the PCIe link.",
    source="nvmlDeviceGetCurrPcieLinkWidth",
)
GPU_PCIE_WIDTH_MAX = _gpu(
    "pcie_link_width_max",
    MetricType.GAUGE,
    "Lanes that GPU and slot could use.",
    source="nvmlDeviceGetMaxPcieLinkWidth",
)
GPU_PCIE_GENERATION = _gpu(
    "pcie_link_generation",
    MetricType.GAUGE,
    "Generation, and so speed, of the PCIe link; an idle GPU lowers it to save power.",
    source="nvmlDeviceGetCurrPcieLinkGeneration",
)
GPU_PCIE_GENERATION_MAX = _gpu(
    "pcie_link_generation_max",
    MetricType.GAUGE,
    "Generation that GPU and slot could use.",
    source="nvmlDeviceGetMaxPcieLinkGeneration",
)


class EccError(StrEnum):
    """Whether an error in memory could be corrected."""

    CORRECTED = "corrected"
    UNCORRECTED = "uncorrected"


GPU_ECC_ERRORS = _gpu_by(
    "kind",
    EccError,
    "ecc_errors_total",
    MetricType.COUNTER,
    "Errors in memory and caches since the driver was loaded.",
    "NVML_FI_DEV_ECC_{SBE,DBE}_VOL_TOTAL",
)
GPU_REMAPPED_ROWS = _gpu_by(
    "kind",
    EccError,
    "remapped_rows_total",
    MetricType.COUNTER,
    "Rows of device memory that were replaced by spare ones in the GPU's life, by the error that "
    "was the reason.",
    "NVML_FI_DEV_REMAPPED_{COR,UNC}",
)
GPU_REMAP_PENDING = _gpu(
    "remap_pending",
    MetricType.GAUGE,
    "1 if a row waits for a reset of the GPU to be replaced.",
    source="NVML_FI_DEV_REMAPPED_PENDING",
)
GPU_REMAP_FAILED = _gpu(
    "remap_failed",
    MetricType.GAUGE,
    "1 if a row could not be replaced: the GPU is to be exchanged.",
    source="NVML_FI_DEV_REMAPPED_FAILURE",
)


class XidClass(StrEnum):
    """Where to look after an Xid; `railwatch.catalogue.xid` says which number is of which class."""

    MEMORY = "memory"
    NVLINK = "nvlink"
    BUS = "bus"
    FIRMWARE = "firmware"
    APPLICATION = "application"
    OTHER = "other"


GPU_XID_ERRORS = _gpu_by(
    "class",
    XidClass,
    "xid_errors_total",
    MetricType.COUNTER,
    "Xid errors since the agent has been running, by class.",
    "nvmlEventSetWait, nvmlEventTypeXidCriticalError",
)
GPU_LAST_XID = _gpu(
    "last_xid",
    MetricType.GAUGE,
    "Number of the newest Xid, for ten minutes after it; absent otherwise.",
    source="nvmlEventSetWait, nvmlEventTypeXidCriticalError",
)
GPU_ACTIVITY_INFO = _gpu_part(
    (*_GPU, "signal", "averaging_seconds"),
    Scope.GPU,
    "activity_info",
    MetricType.INFO,
    "Which signal stands for compute in fast samples (gpm, energy, power_samples or utilization), "
    "and over how long one sample averages.",
    "the best that the GPU has; averaging: the distance of two GPM samples, how often the energy "
    "counter is seen to move, NVML's figure for the rest",
)
GPU_JOB_MEMORY = _gpu_part(
    (*_GPU, "job_id"),
    Scope.GPU_JOB,
    "job_memory_bytes",
    MetricType.GAUGE,
    "Device memory of a job's processes; at most eight jobs a GPU.",
    "nvmlDeviceGetComputeRunningProcesses; /proc/*/cgroup",
)
GPU_MIG_INFO = _gpu_part(
    (*_INSTANCE, "uuid", "profile"),
    Scope.MIG_DEVICE,
    "mig_info",
    MetricType.INFO,
    "A MIG device: instance is GPU instance and compute instance, profile its size.",
    "nvmlDeviceGetMigDeviceHandleByIndex",
)
GPU_MIG_MEMORY_USED = _gpu_part(
    _INSTANCE,
    Scope.MIG_DEVICE,
    "mig_memory_used_bytes",
    MetricType.GAUGE,
    "Device memory in use in a MIG device.",
    "nvmlDeviceGetMemoryInfo",
)
GPU_MIG_MEMORY_TOTAL = _gpu_part(
    _INSTANCE,
    Scope.MIG_DEVICE,
    "mig_memory_total_bytes",
    MetricType.GAUGE,
    "Device memory of a MIG device.",
    "nvmlDeviceGetMemoryInfo",
)
