# SPDX-License-Identifier: Apache-2.0
"""Whether NVIDIA's driver, its library and its GPUs are here; asks none of them anything.

Knowledge: /proc/driver/nvidia/version of the driver's README, dlopen(3), linux/pci_ids.h and
Documentation/ABI/testing/sysfs-bus-pci.
"""

from __future__ import annotations

import ctypes
import os
import re
from pathlib import Path
from typing import Final

from railwatch_agent.sources.errors import SourceError
from railwatch_agent.sources.files import read_text
from railwatch_agent.sources.pci import PciWatch
from railwatch_agent.sources.sysfs import read_word

MANAGEMENT_LIBRARY: Final = "libnvidia-ml.so.1"
_VENDOR: Final = "0x10de"
_DISPLAY_CLASS: Final = "0x03"
_VERSION: Final = re.compile(r"\s(\d+\.\d+(?:\.\d+)?)\s")


def parse_driver_version(text: str) -> str | None:
    """Return the version of the kernel module.

    >>> parse_driver_version("NVRM version: NVIDIA UNIX x86_64 Kernel Module  535.104.05  Sat Aug")
    '535.104.05'
    """
    match = _VERSION.search(text)
    return None if match is None else match[1]


def driver_version(procfs: Path) -> str | None:
    """Return the version of the driver that is loaded, None if none is; raises SourceError."""
    text = read_text(procfs / "driver" / "nvidia" / "version")
    return None if text is None else parse_driver_version(text) or "of unknown version"


def count_gpus(sysfs: Path) -> int:
    """Return how many GPUs of NVIDIA the PCI bus lists, whatever their driver says."""
    devices = (sysfs / "bus" / "pci" / "devices").glob("*")
    return sum(
        read_word(device / "vendor") == _VENDOR
        and (read_word(device / "class") or "").startswith(_DISPLAY_CLASS)
        for device in devices
    )


def can_load(library: str) -> bool:
    """Whether the dynamic linker finds a library."""
    try:
        ctypes.CDLL(library)
    except OSError:
        return False
    return True


class NvidiaMachine:
    """What is to be seen of driver and GPUs below *sysfs* and *procfs*, even while they hang."""

    def __init__(self, sysfs: Path, procfs: Path) -> None:
        self._watch = PciWatch(sysfs)
        self._procfs = procfs

    def has_driver(self) -> bool:
        """Whether the kernel module is loaded, or a library is given in its stead."""
        if (self._procfs / "driver" / "nvidia").exists():
            return True
        folders = os.environ.get("LD_LIBRARY_PATH", "").split(":")
        return any(folder and Path(folder, MANAGEMENT_LIBRARY).exists() for folder in folders)

    def gpus(self) -> list[str]:
        """Return the addresses of the GPUs that are or were there, in PCI order; NVML's is that."""
        try:
            self._watch.look()
        except SourceError:
            # The driver lists those that it has; none of them is missed then.
            return []
        # A domain may have five digits, and comes last then.
        return sorted(self._watch.of_nvidia(), key=lambda address: (len(address), address))
