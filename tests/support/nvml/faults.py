"""What befalls calls: failures, delays, costs, hangs; and how often each was made."""

from ctypes import Array

from support.nvml import layout
from support.nvml.calls import CALLS

# The kinds of hang that the C side knows.
_RETURNS, _INTERRUPTIBLE, _UNINTERRUPTIBLE = range(3)


class Faults:
    """What befalls calls: of the whole driver, or of one GPU. Calls are named by C symbol."""

    def __init__(self, slots: Array[layout.Fault]) -> None:
        self._slots = slots

    def fail(self, call: str, result: int) -> None:
        """Let *call* answer with *result*, which is one of pynvml's NVML_ERROR_…."""
        self._slot(call).result = result

    def delay(self, call: str, seconds: float) -> None:
        """Let *call* wait this long."""
        self._slot(call).delay_microseconds = round(seconds * 1e6)

    def burden(self, call: str, seconds: float) -> None:
        """Let *call* use this much of a processor, as the driver's own work does."""
        self._slot(call).work_microseconds = round(seconds * 1e6)

    def hang(self, call: str, *, uninterruptible: bool = False) -> None:
        """Let *call* not return until healed.

        A signal ends a process that hangs; where it is *uninterruptible*, not even SIGKILL does,
        until what the stage is `stuck_on` lets go.
        """
        self._slot(call).hang = _UNINTERRUPTIBLE if uninterruptible else _INTERRUPTIBLE

    def heal(self, call: str) -> None:
        """Let *call* work again, and what hangs in it return."""
        slot = self._slot(call)
        slot.hang, slot.result, slot.delay_microseconds = _RETURNS, 0, 0

    def let_go(self) -> None:
        """Let every call that hangs return."""
        for slot in self._slots:
            slot.hang = _RETURNS

    def count(self, call: str) -> int:
        """How often *call* was made, by whichever process."""
        return self._slot(call).count

    def _slot(self, call: str) -> layout.Fault:
        return self._slots[CALLS.index(call)]
