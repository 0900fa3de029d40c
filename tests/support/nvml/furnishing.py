"""Fills the records of the state file for a model of GPU, as it is after boot."""

import time

import pynvml

from support.nvml import layout
from support.nvml.fields import furnish_fields
from support.nvml.profiles import GIB, Profile
from support.nvml.timeline import SECOND

# As on an HGX board, where every GPU is behind a PCIe switch of its own.
_BUSES = (0x1B, 0x43, 0x52, 0x61, 0x9D, 0xC3, 0xD1, 0xDF)
_DRIVER = b"575.57.08"


def furnish_driver(state: layout.State, gpus: int) -> None:
    """A loaded driver; the magic comes last, so that nobody maps half a file."""
    state.version = layout.VERSION
    state.gpu_count = gpus
    state.driver_loaded = 1
    state.cuda_version = 12090
    state.library_version = state.kernel_version = _DRIVER
    state.wall_offset = time.time_ns() - time.monotonic_ns()
    state.nvml_version = b"12." + _DRIVER
    state.magic = layout.MAGIC


def furnish_gpu(gpu: layout.Gpu, profile: Profile, number: int) -> None:
    """The GPU with this number of a healthy node."""
    gpu.present = 1
    _identity(gpu, profile, number)
    _readings(gpu, profile)
    _instruments(gpu, profile)
    furnish_fields(gpu.fields, profile)


def _identity(gpu: layout.Gpu, profile: Profile, number: int) -> None:
    gpu.name = profile.name.encode()
    gpu.uuid = f"GPU-{number:08x}-5afe-4bad-8bee-{0xC0FFEE000000 + number:012x}".encode()
    gpu.serial = f"{1650923000000 + number}".encode()
    gpu.pci_domain, gpu.pci_device = number // len(_BUSES), 0
    gpu.pci_bus = _BUSES[number % len(_BUSES)]
    gpu.pci_device_id, gpu.pci_subsystem_id = profile.pci_device_id, 0x16C110DE
    gpu.minor_number, gpu.board_id = number, gpu.pci_bus << 8
    gpu.architecture = profile.architecture
    gpu.capability_major, gpu.capability_minor = profile.capability
    gpu.multiprocessors = profile.multiprocessors


def _readings(gpu: layout.Gpu, profile: Profile) -> None:
    gpu.persistence = 1
    gpu.memory_total, gpu.memory_reserved = profile.memory_total, GIB // 2
    gpu.temperature, gpu.memory_temperature = 34, 41
    gpu.max_clocks_megahertz[:] = [*profile.max_clocks_megahertz]
    gpu.clocks_megahertz[:] = [*profile.max_clocks_megahertz]
    gpu.power_limit_milliwatts = profile.power_limit_watts * 1000
    gpu.pcie_width = gpu.pcie_max_width = 16
    gpu.pcie_generation = gpu.pcie_max_generation = profile.pcie_generation
    gpu.ecc_mode, gpu.mig_capacity = 1, layout.SIZES["INSTANCES"]
    gpu.link_count, gpu.link_version = profile.links, profile.link_version
    gpu.link_megabytes_per_second = profile.link_megabytes_per_second
    gpu.link_active[: profile.links] = [1] * profile.links
    gpu.event_types = pynvml.nvmlEventTypeXidCriticalError | pynvml.nvmlEventTypeDoubleBitEccError


def _instruments(gpu: layout.Gpu, profile: Profile) -> None:
    """Their periods and buffers, all of which may be set.

    Power is read over 25 ms of every 100 on A100 and H100 (arXiv 2312.02741), GPM refreshes every
    100 ms (nvml.h), an RTX 5090 keeps 119 samples of power 20 ms apart and 71 of utilisation. The
    lag of power and the periods of energy and traffic are assumed.
    """
    gpu.gpm_supported = profile.gpm
    gpu.utilization_period = round(profile.utilization_period_seconds * SECOND)
    gpu.utilization_samples, gpu.power_samples = 71, 119
    gpu.power_window = round(profile.power_window_seconds * SECOND)
    gpu.power_period = gpu.energy_period = gpu.gpm_period = gpu.power_lag = SECOND // 10
    gpu.instant_window = SECOND // 40
    gpu.power_sample_period = SECOND // 50
    gpu.traffic_period = SECOND // 100
