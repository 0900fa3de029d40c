"""Which field values a GPU has, and of which type: the rest answers NOT_SUPPORTED."""

from collections.abc import Iterator
from ctypes import Array

import pynvml as nvml

from support.nvml import layout
from support.nvml.profiles import Profile

_NUMBER = nvml.NVML_VALUE_TYPE_UNSIGNED_INT
_COUNTER = nvml.NVML_VALUE_TYPE_UNSIGNED_LONG_LONG

_NUMBERS = (
    nvml.NVML_FI_DEV_ECC_CURRENT,
    nvml.NVML_FI_DEV_ECC_PENDING,
    nvml.NVML_FI_DEV_MEMORY_TEMP,
    nvml.NVML_FI_DEV_PCIE_REPLAY_COUNTER,
    nvml.NVML_FI_DEV_POWER_INSTANT,
    nvml.NVML_FI_DEV_POWER_MIN_LIMIT,
    nvml.NVML_FI_DEV_POWER_MAX_LIMIT,
    nvml.NVML_FI_DEV_POWER_DEFAULT_LIMIT,
    nvml.NVML_FI_DEV_POWER_CURRENT_LIMIT,
    nvml.NVML_FI_DEV_POWER_REQUESTED_LIMIT,
    nvml.NVML_FI_DEV_REMAPPED_COR,
    nvml.NVML_FI_DEV_REMAPPED_UNC,
    nvml.NVML_FI_DEV_REMAPPED_PENDING,
    nvml.NVML_FI_DEV_REMAPPED_FAILURE,
    nvml.NVML_FI_DEV_PCIE_COUNT_TX_BYTES,
    nvml.NVML_FI_DEV_PCIE_COUNT_RX_BYTES,
    nvml.NVML_FI_DEV_PCIE_L0_TO_RECOVERY_COUNTER,
    *range(
        nvml.NVML_FI_DEV_PCIE_COUNT_CORRECTABLE_ERRORS, nvml.NVML_FI_DEV_PCIE_COUNT_LCRC_ERROR + 1
    ),
)
_COUNTERS = (
    nvml.NVML_FI_DEV_ECC_SBE_VOL_TOTAL,
    nvml.NVML_FI_DEV_ECC_DBE_VOL_TOTAL,
    nvml.NVML_FI_DEV_ECC_SBE_AGG_TOTAL,
    nvml.NVML_FI_DEV_ECC_DBE_AGG_TOTAL,
    nvml.NVML_FI_DEV_TOTAL_ENERGY_CONSUMPTION,
    *range(nvml.NVML_FI_DEV_PERF_POLICY_POWER, nvml.NVML_FI_DEV_PERF_POLICY_TOTAL_BASE_CLOCKS + 1),
)
_LINKS = (
    nvml.NVML_FI_DEV_NVLINK_LINK_COUNT,
    nvml.NVML_FI_DEV_NVLINK_SPEED_MBPS_COMMON,
    nvml.NVML_FI_DEV_NVLINK_GET_SPEED,
    nvml.NVML_FI_DEV_NVLINK_GET_STATE,
    nvml.NVML_FI_DEV_NVLINK_GET_VERSION,
)
_LINK_TRAFFIC = (
    nvml.NVML_FI_DEV_NVLINK_THROUGHPUT_DATA_TX,
    nvml.NVML_FI_DEV_NVLINK_THROUGHPUT_DATA_RX,
)
# Replays and CRC until Hopper; since Blackwell packets, recoveries and symbol errors.
_LINK_ERRORS = (
    nvml.NVML_FI_DEV_NVLINK_ERROR_DL_REPLAY,
    nvml.NVML_FI_DEV_NVLINK_ERROR_DL_RECOVERY,
    nvml.NVML_FI_DEV_NVLINK_ERROR_DL_CRC,
    nvml.NVML_FI_DEV_NVLINK_CRC_FLIT_ERROR_COUNT_TOTAL,
    nvml.NVML_FI_DEV_NVLINK_CRC_DATA_ERROR_COUNT_TOTAL,
    nvml.NVML_FI_DEV_NVLINK_REPLAY_ERROR_COUNT_TOTAL,
    nvml.NVML_FI_DEV_NVLINK_RECOVERY_ERROR_COUNT_TOTAL,
    nvml.NVML_FI_DEV_NVLINK_ECC_DATA_ERROR_COUNT_TOTAL,
)
_LINK_PACKETS = tuple(
    range(
        nvml.NVML_FI_DEV_NVLINK_COUNT_XMIT_PACKETS,
        nvml.NVML_FI_DEV_NVLINK_COUNT_SYMBOL_BER + 1,
    )
)


def furnish_fields(fields: Array[layout.Field], profile: Profile) -> None:
    """Say which fields this model has; their values follow from the rest or are 0."""
    for field in fields:
        field.result = nvml.NVML_ERROR_NOT_SUPPORTED
    for number in _numbers(profile):
        fields[number].result, fields[number].type = nvml.NVML_SUCCESS, _NUMBER
    for number in _counters(profile):
        fields[number].result, fields[number].type = nvml.NVML_SUCCESS, _COUNTER
    fields[nvml.NVML_FI_DEV_POWER_MIN_LIMIT].value = profile.power_limit_watts * 1000 // 2


def _numbers(profile: Profile) -> Iterator[int]:
    yield from _NUMBERS
    yield from _LINKS
    if profile.architecture >= nvml.NVML_DEVICE_ARCH_HOPPER:
        yield nvml.NVML_FI_DEV_POWER_AVERAGE
    if profile.architecture >= nvml.NVML_DEVICE_ARCH_BLACKWELL:
        yield nvml.NVML_FI_DEV_GET_GPU_RECOVERY_ACTION


def _counters(profile: Profile) -> Iterator[int]:
    yield from _COUNTERS
    yield from _LINK_TRAFFIC
    if profile.architecture >= nvml.NVML_DEVICE_ARCH_HOPPER:
        yield nvml.NVML_FI_DEV_ENERGY
    blackwell = profile.architecture >= nvml.NVML_DEVICE_ARCH_BLACKWELL
    yield from _LINK_PACKETS if blackwell else _LINK_ERRORS
