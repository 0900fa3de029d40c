# SPDX-License-Identifier: Apache-2.0
"""The numbers of a GPU and the calls that know them (nvml.h); the first that a driver has is asked.

Field values are asked in one call for all. `nvmlDeviceGetPcieThroughput` is nowhere: it measures
for 20 ms while the caller waits.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import pynvml

from railwatch_agent.sources.nvml.quantities import Quantity

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    # What one call knows, several numbers at once for some.
    Answer = Iterable[tuple[Quantity, float]]

# The scope of an NVLink field that asks for all links together.
ALL_LINKS = 0xFFFF_FFFF


class Field(NamedTuple):
    """One field value; *scope* is a link for those of NVLink."""

    quantity: Quantity
    number: int
    scope: int = 0


FIELDS = (
    # POWER_AVERAGE; pynvml before 12.535 has no name for it.
    Field(Quantity.POWER, 185),
    Field(Quantity.ENERGY, pynvml.NVML_FI_DEV_TOTAL_ENERGY_CONSUMPTION),
    Field(Quantity.PCIE_REPLAYS, pynvml.NVML_FI_DEV_PCIE_REPLAY_COUNTER),
    Field(Quantity.ECC_CORRECTED, pynvml.NVML_FI_DEV_ECC_SBE_VOL_TOTAL),
    Field(Quantity.ECC_UNCORRECTED, pynvml.NVML_FI_DEV_ECC_DBE_VOL_TOTAL),
    Field(Quantity.REMAPPED_CORRECTED, pynvml.NVML_FI_DEV_REMAPPED_COR),
    Field(Quantity.REMAPPED_UNCORRECTED, pynvml.NVML_FI_DEV_REMAPPED_UNC),
    Field(Quantity.REMAP_PENDING, pynvml.NVML_FI_DEV_REMAPPED_PENDING),
    Field(Quantity.REMAP_FAILED, pynvml.NVML_FI_DEV_REMAPPED_FAILURE),
    Field(Quantity.NVLINK_RECEIVE, pynvml.NVML_FI_DEV_NVLINK_THROUGHPUT_DATA_RX, ALL_LINKS),
    Field(Quantity.NVLINK_TRANSMIT, pynvml.NVML_FI_DEV_NVLINK_THROUGHPUT_DATA_TX, ALL_LINKS),
    Field(Quantity.NVLINK_CRC_FLIT, pynvml.NVML_FI_DEV_NVLINK_CRC_FLIT_ERROR_COUNT_TOTAL),
    Field(Quantity.NVLINK_CRC_DATA, pynvml.NVML_FI_DEV_NVLINK_CRC_DATA_ERROR_COUNT_TOTAL),
    Field(Quantity.NVLINK_REPLAY, pynvml.NVML_FI_DEV_NVLINK_REPLAY_ERROR_COUNT_TOTAL),
    Field(Quantity.NVLINK_RECOVERY, pynvml.NVML_FI_DEV_NVLINK_RECOVERY_ERROR_COUNT_TOTAL),
)

LINK_COUNT_FIELD = pynvml.NVML_FI_DEV_NVLINK_LINK_COUNT

# What is asked of each link where the total is refused: bytes where the driver does not add links
# up, and what NVLink 5 counts in its stead (nvml.h, from R550 on).
IN_PLACE_OF_TOTALS = {
    Quantity.NVLINK_RECEIVE: (
        Quantity.NVLINK_RECEIVE,
        pynvml.NVML_FI_DEV_NVLINK_THROUGHPUT_DATA_RX,
    ),
    Quantity.NVLINK_TRANSMIT: (
        Quantity.NVLINK_TRANSMIT,
        pynvml.NVML_FI_DEV_NVLINK_THROUGHPUT_DATA_TX,
    ),
    # LINK_RECOVERY_EVENTS and SYMBOL_ERRORS.
    Quantity.NVLINK_RECOVERY: (Quantity.NVLINK_RECOVERY, 215),
    Quantity.NVLINK_CRC_FLIT: (Quantity.NVLINK_SYMBOL, 221),
}


def _utilization(handle: Any) -> Answer:
    rates = pynvml.nvmlDeviceGetUtilizationRates(handle)
    return (Quantity.UTILIZATION, rates.gpu), (Quantity.MEMORY_ACTIVITY, rates.memory)


def _memory(handle: Any) -> Answer:
    info = pynvml.nvmlDeviceGetMemoryInfo(handle)
    return (Quantity.MEMORY_USED, info.used), (Quantity.MEMORY_TOTAL, info.total)


def _memory_without_reserved(handle: Any) -> Answer:
    """Version 2 does not count what the driver keeps for itself as used."""
    info = pynvml.nvmlDeviceGetMemoryInfo(handle, version=pynvml.nvmlMemory_v2)
    return (Quantity.MEMORY_USED, info.used), (Quantity.MEMORY_TOTAL, info.total)


def _temperature(handle: Any) -> Answer:
    kind = pynvml.NVML_TEMPERATURE_GPU
    return ((Quantity.TEMPERATURE, pynvml.nvmlDeviceGetTemperature(handle, kind)),)


def _clock(handle: Any) -> Answer:
    megahertz = pynvml.nvmlDeviceGetClockInfo(handle, pynvml.NVML_CLOCK_SM)
    return ((Quantity.SM_CLOCK, megahertz),)


def _event_reasons(handle: Any) -> Answer:
    reasons = pynvml.nvmlDeviceGetCurrentClocksEventReasons(handle)
    return ((Quantity.THROTTLE_REASONS, reasons),)


def _throttle_reasons(handle: Any) -> Answer:
    """The name of the call before R535."""
    reasons = pynvml.nvmlDeviceGetCurrentClocksThrottleReasons(handle)
    return ((Quantity.THROTTLE_REASONS, reasons),)


def _pcie_width(handle: Any) -> Answer:
    return ((Quantity.PCIE_WIDTH, pynvml.nvmlDeviceGetCurrPcieLinkWidth(handle)),)


def _pcie_width_max(handle: Any) -> Answer:
    return ((Quantity.PCIE_WIDTH_MAX, pynvml.nvmlDeviceGetMaxPcieLinkWidth(handle)),)


def _pcie_generation(handle: Any) -> Answer:
    return ((Quantity.PCIE_GENERATION, pynvml.nvmlDeviceGetCurrPcieLinkGeneration(handle)),)


def _pcie_generation_max(handle: Any) -> Answer:
    return ((Quantity.PCIE_GENERATION_MAX, pynvml.nvmlDeviceGetMaxPcieLinkGeneration(handle)),)


# Each a list of alternatives.
CALLS: tuple[tuple[Callable[[Any], Answer], ...], ...] = (
    (_utilization,),
    (_memory_without_reserved, _memory),
    (_temperature,),
    (_clock,),
    (_event_reasons, _throttle_reasons),
    (_pcie_width,),
    (_pcie_width_max,),
    (_pcie_generation,),
    (_pcie_generation_max,),
)


def _power(handle: Any) -> Answer:
    return ((Quantity.POWER, pynvml.nvmlDeviceGetPowerUsage(handle)),)


def _energy(handle: Any) -> Answer:
    return ((Quantity.ENERGY, pynvml.nvmlDeviceGetTotalEnergyConsumption(handle)),)


def _pcie_replays(handle: Any) -> Answer:
    return ((Quantity.PCIE_REPLAYS, pynvml.nvmlDeviceGetPcieReplayCounter(handle)),)


def _ecc_corrected(handle: Any) -> Answer:
    return ((Quantity.ECC_CORRECTED, _ecc_errors(handle, 0)),)


def _ecc_uncorrected(handle: Any) -> Answer:
    return ((Quantity.ECC_UNCORRECTED, _ecc_errors(handle, 1)),)


def _ecc_errors(handle: Any, kind: int) -> int:
    return int(pynvml.nvmlDeviceGetTotalEccErrors(handle, kind, pynvml.NVML_VOLATILE_ECC))


def _remapped(handle: Any) -> Answer:
    found = pynvml.nvmlDeviceGetRemappedRows(handle)
    names = (
        Quantity.REMAPPED_CORRECTED,
        Quantity.REMAPPED_UNCORRECTED,
        Quantity.REMAP_PENDING,
        Quantity.REMAP_FAILED,
    )
    return zip(names, found, strict=True)


# What is asked where a field is not known, or no field at all.
IN_PLACE_OF_FIELDS: dict[Quantity, Callable[[Any], Answer]] = {
    Quantity.POWER: _power,
    Quantity.ENERGY: _energy,
    Quantity.PCIE_REPLAYS: _pcie_replays,
    Quantity.ECC_CORRECTED: _ecc_corrected,
    Quantity.ECC_UNCORRECTED: _ecc_uncorrected,
    # Knows the other three too.
    Quantity.REMAPPED_CORRECTED: _remapped,
}
