# SPDX-License-Identifier: Apache-2.0
"""What an error of NVML means for whoever asked (nvml.h, nvmlReturn_t)."""

from __future__ import annotations

from enum import Enum

import pynvml


class Fault(Enum):
    """What is to be done about it."""

    # Not on this GPU or not in this driver: it is not asked again.
    REFUSED = 1
    # As refused, but because of who asks.
    DENIED = 2
    # Nothing to say now.
    EMPTY = 3
    # The GPU is out of reach.
    LOST = 4
    # The driver knows no such GPU.
    MISSING = 5
    # The driver went away, or is not the one that the library is of: a new process finds it.
    GONE = 6
    # Something else; it may pass.
    FAILED = 7


FAULTS = {
    pynvml.NVML_ERROR_UNINITIALIZED: Fault.GONE,
    pynvml.NVML_ERROR_DRIVER_NOT_LOADED: Fault.GONE,
    pynvml.NVML_ERROR_LIBRARY_NOT_FOUND: Fault.GONE,
    pynvml.NVML_ERROR_LIB_RM_VERSION_MISMATCH: Fault.GONE,
    pynvml.NVML_ERROR_GPU_IS_LOST: Fault.LOST,
    pynvml.NVML_ERROR_NOT_FOUND: Fault.MISSING,
    28: Fault.MISSING,
    pynvml.NVML_ERROR_NO_PERMISSION: Fault.DENIED,
    pynvml.NVML_ERROR_NOT_SUPPORTED: Fault.REFUSED,
    pynvml.NVML_ERROR_INVALID_ARGUMENT: Fault.REFUSED,
    pynvml.NVML_ERROR_FUNCTION_NOT_FOUND: Fault.REFUSED,
    # ARGUMENT_VERSION_MISMATCH and DEPRECATED: a driver older or newer than the function.
    25: Fault.REFUSED,
    26: Fault.REFUSED,
    pynvml.NVML_ERROR_NO_DATA: Fault.EMPTY,
    # NOT_READY, and the end of the wait for an event.
    27: Fault.EMPTY,
}


def fault_of(error: Exception) -> Fault:
    """Return what *error* means; a function that pynvml itself lacks is one the driver lacks.

    >>> fault_of(pynvml.NVMLError(pynvml.NVML_ERROR_NOT_SUPPORTED))
    <Fault.REFUSED: 1>
    """
    if isinstance(error, pynvml.NVMLError):
        return fault_of_code(error.value)
    return Fault.REFUSED if isinstance(error, AttributeError) else Fault.FAILED


def fault_of_code(code: int) -> Fault:
    """Return what a return code means that is not success."""
    return FAULTS.get(code, Fault.FAILED)


class DriverGoneError(Exception):
    """The driver is not there any more for this process."""
