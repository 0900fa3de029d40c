"""What calls of a real driver cost, for measuring an agent on the stand-in.

Measured by others through one libnvidia-ml on an RTX 5090 with driver 610; a data-centre GPU may
differ. Calls that are not listed take less than a microsecond there. How much of the time is the
caller's processor and how much is waiting for the GPU is not known; `charge` counts all of it as
processor time, which is the worst case.
"""

import pynvml

from support.nvml.stage import Stage

INIT_SECONDS = 4e-3
CALLS_SECONDS = {
    "nvmlDeviceGetHandleByIndex_v2": 6e-3,
    "nvmlDeviceGetMemoryInfo": 3e-6,
    "nvmlDeviceGetMemoryInfo_v2": 3e-6,
    "nvmlDeviceGetPowerManagementLimit": 0.12e-3,
    "nvmlDeviceGetTotalEnergyConsumption": 2.6e-3,
    "nvmlDeviceGetComputeRunningProcesses_v3": 0.13e-3,
    "nvmlDeviceGetGraphicsRunningProcesses_v3": 0.2e-3,
    "nvmlDeviceGetSamples": 1.5e-3,
    "nvmlDeviceGetProcessUtilization": 1.7e-3,
    "nvmlDeviceGetFanSpeed": 0.4e-3,
    "nvmlDeviceGetBAR1MemoryInfo": 84e-6,
}
FIELDS_SECONDS = {
    pynvml.NVML_FI_DEV_TOTAL_ENERGY_CONSUMPTION: 2.6e-3,
    pynvml.NVML_FI_DEV_ENERGY: 2.6e-3,
    pynvml.NVML_FI_DEV_POWER_AVERAGE: 3.3e-3,
    pynvml.NVML_FI_DEV_POWER_INSTANT: 3e-6,
    pynvml.NVML_FI_DEV_MEMORY_TEMP: 1.2e-3,
    pynvml.NVML_FI_DEV_PCIE_COUNT_TX_BYTES: 0.15e-3,
    pynvml.NVML_FI_DEV_PCIE_COUNT_RX_BYTES: 0.15e-3,
}


def charge(stage: Stage) -> None:
    """Let every GPU's calls cost what they were measured to."""
    stage.burden("nvmlInitWithFlags", INIT_SECONDS)
    stage.burden("nvmlInit_v2", INIT_SECONDS)
    for gpu in stage.gpus:
        for call, seconds in CALLS_SECONDS.items():
            gpu.burden(call, seconds)
        for field, seconds in FIELDS_SECONDS.items():
            gpu.burden_field(field, seconds)
