# SPDX-License-Identifier: Apache-2.0
"""The driver as a whole: its GPUs by PCI address, and the Xid errors that it reports (nvml.h)."""

from __future__ import annotations

import ctypes
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple

import pynvml

from railwatch_agent.sources.nvml.faults import DriverGoneError, Fault, fault_of
from railwatch_agent.sources.nvml.quantities import State

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

# More at once than this is a storm; the rest is asked for next time.
_MOST_EVENTS = 64


class Listed(NamedTuple):
    """A GPU of the node; *handle* is None unless it is present."""

    number: int
    address: str
    state: State
    handle: Any


def sysfs_address(bus_id: str) -> str:
    """Return a PCI address as sysfs writes it; NVML's domain has eight digits and capitals.

    >>> sysfs_address("00000000:3B:00.0")
    '0000:3b:00.0'
    """
    domain, _, rest = bus_id.lower().partition(":")
    return f"{int(domain, 16):04x}:{rest}"


def start() -> str:
    """Begin with NVML and return the version of the driver; raises DriverGoneError."""
    try:
        pynvml.nvmlInit()
        return str(pynvml.nvmlSystemGetDriverVersion())
    except pynvml.NVMLError as error:
        raise DriverGoneError(str(error)) from error


def list_gpus(
    known: Sequence[tuple[int, str, bool]], enter: Callable[[int], None]
) -> Iterator[Listed]:
    """Yield the GPUs *known*, each number, address and whether to leave it out, then all others.

    *enter* is called with the number of a GPU before the driver is asked about it.
    """
    found = set()
    for number, address, is_left_out in known:
        if is_left_out:
            found.add(address)
            yield Listed(number, address, State.LEFT_OUT, None)
            continue
        enter(number)
        state, handle = _look_up(partial(pynvml.nvmlDeviceGetHandleByPciBusId, address))
        if state is not State.MISSING:
            found.add(address)
        yield Listed(number, address, state, handle)
    if pynvml.nvmlDeviceGetCount() > len(found):
        yield from _others(found, max((n for n, _, _ in known), default=-1) + 1, enter)


def _others(found: set[str], number: int, enter: Callable[[int], None]) -> Iterator[Listed]:
    """Yield those that sysfs does not list, as in a container."""
    for index in range(pynvml.nvmlDeviceGetCount()):
        enter(number)
        state, handle = _look_up(partial(pynvml.nvmlDeviceGetHandleByIndex, index))
        if handle is None:
            continue
        address = sysfs_address(_text(pynvml.nvmlDeviceGetPciInfo(handle).busId))
        if address not in found:
            yield Listed(number, address, state, handle)
            number += 1


def _look_up(call: Callable[[], Any]) -> tuple[State, Any]:
    try:
        return State.PRESENT, call()
    except pynvml.NVMLError as error:
        fault = fault_of(error)
        if fault is Fault.GONE:
            raise DriverGoneError(str(error)) from error
        return (State.LOST if fault is Fault.LOST else State.MISSING), None


def _text(value: Any) -> str:
    return value.decode("ascii", "replace") if isinstance(value, bytes) else str(value)


class XidWatch:
    """Collects the Xid errors of GPUs without waiting for any."""

    def __init__(self) -> None:
        self._set = pynvml.nvmlEventSetCreate()
        self._numbers: dict[int | None, int] = {}
        self.is_broken = False

    def close(self) -> None:
        """Watch no more."""
        pynvml.nvmlEventSetFree(self._set)

    def add(self, number: int, handle: Any) -> bool:
        """Watch a GPU, and return whether it can be."""
        kind = pynvml.nvmlEventTypeXidCriticalError
        try:
            pynvml.nvmlDeviceRegisterEvents(handle, kind, self._set)
        except pynvml.NVMLError:
            return False
        self._numbers[_pointer(handle)] = number
        return True

    def poll(self) -> Iterator[tuple[int, int]]:
        """Yield the number of the GPU and of the Xid for each that came since the last time."""
        for _ in range(_MOST_EVENTS):
            try:
                event = pynvml.nvmlEventSetWait(self._set, 0)
            except pynvml.NVMLError as error:
                # Else it is the end of the wait.
                self.is_broken = fault_of(error) is Fault.LOST
                return
            number = self._numbers.get(_pointer(event.device))
            if number is not None and event.eventType == pynvml.nvmlEventTypeXidCriticalError:
                yield number, int(event.eventData)


def _pointer(handle: Any) -> int | None:
    return ctypes.cast(handle, ctypes.c_void_p).value
