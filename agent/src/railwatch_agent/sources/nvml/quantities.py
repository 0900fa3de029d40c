# SPDX-License-Identifier: Apache-2.0
"""What is asked of a GPU, by the names under which the child sends it; units are NVML's (nvml.h).

The child's memory counts: nothing is imported here that it does not have anyway.
"""

from __future__ import annotations

from enum import StrEnum


class Quantity(StrEnum):
    """One number of one GPU."""

    UTILIZATION = "utilization_percent"
    MEMORY_ACTIVITY = "memory_activity_percent"
    MEMORY_USED = "memory_used_bytes"
    MEMORY_TOTAL = "memory_total_bytes"
    SM_ACTIVE = "sm_active_percent"
    TENSOR_ACTIVE = "tensor_active_percent"
    POWER = "power_milliwatts"
    ENERGY = "energy_millijoules"
    TEMPERATURE = "temperature_celsius"
    SM_CLOCK = "sm_clock_megahertz"
    THROTTLE_REASONS = "throttle_reasons"
    NVLINK_RECEIVE = "nvlink_receive_kibibytes"
    NVLINK_TRANSMIT = "nvlink_transmit_kibibytes"
    NVLINK_CRC_FLIT = "nvlink_crc_flit"
    NVLINK_CRC_DATA = "nvlink_crc_data"
    NVLINK_REPLAY = "nvlink_replay"
    NVLINK_RECOVERY = "nvlink_recovery"
    NVLINK_SYMBOL = "nvlink_symbol"
    PCIE_REPLAYS = "pcie_replays"
    PCIE_WIDTH = "pcie_width"
    PCIE_WIDTH_MAX = "pcie_width_max"
    PCIE_GENERATION = "pcie_generation"
    PCIE_GENERATION_MAX = "pcie_generation_max"
    ECC_CORRECTED = "ecc_corrected"
    ECC_UNCORRECTED = "ecc_uncorrected"
    REMAPPED_CORRECTED = "remapped_corrected"
    REMAPPED_UNCORRECTED = "remapped_uncorrected"
    REMAP_PENDING = "remap_pending"
    REMAP_FAILED = "remap_failed"


class Signal(StrEnum):
    """What stands for compute in fast samples, best first."""

    GPM = "gpm"
    ENERGY = "energy"
    POWER_SAMPLES = "power_samples"
    UTILIZATION = "utilization"


class State(StrEnum):
    """How NVML answers for a GPU when a child begins."""

    PRESENT = "present"
    MISSING = "missing"
    LOST = "lost"
    LEFT_OUT = "left_out"
