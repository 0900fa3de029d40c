# SPDX-License-Identifier: Apache-2.0
"""Whether the kernel believes the wall clock to be right (adjtimex(2), linux/timex.h).

A service that synchronises the clock (NTP, PTP) tells the kernel so; without one it sets
STA_UNSYNC. To ask needs no privilege.
"""

from __future__ import annotations

import ctypes
import os
from typing import ClassVar, Final, NamedTuple

from railwatch_agent.sources.errors import SourceError

_STA_UNSYNC: Final = 0x0040
_MICROSECOND: Final = 1e-6


class _Timex(ctypes.Structure):
    """The beginning of struct timex, and more room than the kernel fills."""

    _fields_: ClassVar = [
        ("modes", ctypes.c_uint),
        ("offset", ctypes.c_long),
        ("freq", ctypes.c_long),
        ("maxerror", ctypes.c_long),
        ("esterror", ctypes.c_long),
        ("status", ctypes.c_int),
        ("rest", ctypes.c_long * 32),
    ]


class ClockState(NamedTuple):
    """What the kernel says of the wall clock."""

    is_synchronised: bool
    maximum_error_seconds: float


def read_clock_state() -> ClockState:
    """Ask the kernel; raises SourceError where it does not tell."""
    asked = _Timex()
    if ctypes.CDLL(None, use_errno=True).adjtimex(ctypes.byref(asked)) < 0:
        raise SourceError(f"cannot ask for the clock's state: {os.strerror(ctypes.get_errno())}")
    return ClockState(not asked.status & _STA_UNSYNC, asked.maxerror * _MICROSECOND)
