# SPDX-License-Identifier: Apache-2.0
"""Which Xid is of which class (NVIDIA, Xid Errors: the catalogue for Ampere and later).

The class says where to look, not how bad it is: the catalogue has the action for each number, and
a number that is not here is `other`.
"""

from __future__ import annotations

from typing import Final

from railwatch.catalogue.gpu import XidClass

_NUMBERS: Final = {
    # ECC, row remapping, retired channels and resources, L2 cache, write-protected region.
    XidClass.MEMORY: "48 58 63 64 90 92 94 95 140 156 157 160 161 168 171 172",
    # 74 up to Hopper; 144 to 150 are the units of NVLink 5.
    XidClass.NVLINK: "74 136 137 144-150 155 166 170",
    # PCIe and C2C: what the GPU is reached through, and data damaged on the way to it.
    XidClass.BUS: "32 79 80 121 159 167",
    # Microcontrollers of the GPU and what the driver has them do.
    XidClass.FIRMWARE: "37 38 59 61 62 93 110 119 120 122-125 143 158 169",
    # Faults of a program's own, and its channels taken down.
    XidClass.APPLICATION: (
        "8 11 13 25 31 39-41 43-45 60 66-72 75-77 82-86 88 89 96-105 108 126-135 139 141"
    ),
}


def _expanded(text: str) -> list[int]:
    """Return the numbers of a list with ranges.

    >>> _expanded("8 11-13")
    [8, 11, 12, 13]
    """
    found: list[int] = []
    for part in text.split():
        first, _, last = part.partition("-")
        found += range(int(first), int(last or first) + 1)
    return found


XID_CLASSES: Final[dict[int, XidClass]] = {
    number: kind for kind, numbers in _NUMBERS.items() for number in _expanded(numbers)
}


def xid_class(number: int) -> XidClass:
    """Return the class of an Xid.

    >>> xid_class(79), xid_class(100_000)
    (<XidClass.BUS: 'bus'>, <XidClass.OTHER: 'other'>)
    """
    return XID_CLASSES.get(number, XidClass.OTHER)
