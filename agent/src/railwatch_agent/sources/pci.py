# SPDX-License-Identifier: Apache-2.0
"""GPUs on the PCI bus, and where a function hangs in the tree (Documentation/PCI/sysfs-pci.rst).

Class codes are those of the PCI Code and ID Assignment Specification as in linux/pci_ids.h. Nothing
here asks a driver: the kernel answers from what it read when it found the function.
"""

from __future__ import annotations

import os
import re
from typing import TYPE_CHECKING, Final, TypeAlias

from railwatch_agent.sources.errors import SourceError
from railwatch_agent.sources.sysfs import link_name, read_word

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

Place: TypeAlias = tuple[str, ...]
"""What a function hangs below, from the host bridge down, and itself: `pci0000:00`, a root port,
perhaps switches (an upstream and a downstream port each), the function."""

_NVIDIA: Final = "0x10de"
_AMD: Final = "0x1002"
# By vendor what the class begins with: VGA and 3D controllers; AMD's accelerators call themselves
# display controllers (up to MI100) or processing accelerators.
_GPU_CLASSES: Final = {_NVIDIA: ("0x0300", "0x0302"), _AMD: ("0x0302", "0x0380", "0x1200")}

_HOST_BRIDGE: Final = re.compile(r"pci[0-9a-f]{4,}:[0-9a-f]{2}")


class PciWatch:
    """Knows the GPUs and the places of functions; looks again only when the bus has changed.

    What has once been there is remembered: a GPU that falls off the bus keeps its place.
    """

    def __init__(self, sysfs: Path) -> None:
        self._directory = sysfs / "bus" / "pci" / "devices"
        self._listed: frozenset[str] = frozenset()
        self._vendors: dict[str, str] = {}
        self._places: dict[str, Place] = {}

    def look(self) -> bool:
        """Look whether functions have come or gone, and return that.

        Raises
        ------
        SourceError
            sysfs cannot be listed. A machine without PCI has no functions.
        """
        try:
            listed = frozenset(entry.name for entry in os.scandir(self._directory))
        except FileNotFoundError:
            listed = frozenset()
        except OSError as exc:
            raise SourceError(f"cannot list {self._directory}: {exc.strerror}") from exc
        came = listed - self._listed
        has_changed = listed != self._listed
        self._listed = listed
        for address in came:
            # Another card may be in the slot by now.
            self._vendors.pop(address, None)
            self._places.pop(address, None)
            vendor = self._gpu_vendor(address)
            if vendor is not None:
                self._vendors[address] = vendor
                self.place(address)
        return has_changed

    def gpus(self) -> Mapping[str, Place]:
        """Return the places of all GPUs that have been there, by address.

        Those of one vendor: a driver numbers its own only.
        """
        vendors = self._vendors.values()
        vendor = _NVIDIA if _NVIDIA in vendors else _AMD
        return {a: self._places[a] for a, v in self._vendors.items() if v == vendor}

    def of_nvidia(self) -> list[str]:
        """Return the addresses of NVIDIA's GPUs that have been there."""
        return [address for address, vendor in self._vendors.items() if vendor == _NVIDIA]

    def place(self, address: str) -> Place:
        """Return where a function is, or was; empty if it was never there."""
        found = self._places.get(address)
        if found is None:
            found = _place(self._directory / address)
            if found:
                self._places[address] = found
        return found

    def _gpu_vendor(self, address: str) -> str | None:
        function = self._directory / address
        vendor = read_word(function / "vendor") or ""
        begins = _GPU_CLASSES.get(vendor)
        if begins is None or not (read_word(function / "class") or "").startswith(begins):
            return None
        # A slice of a GPU, or a whole one, that is lent to a guest is none of this machine's.
        is_lent = (function / "physfn").exists() or link_name(function / "driver") == "vfio-pci"
        return None if is_lent else vendor


def _place(link: Path) -> Place:
    """Return the path that a link in bus/pci/devices leads to, from its host bridge on."""
    if not link.exists():
        return ()
    return below_host_bridge(link.resolve().parts)


def below_host_bridge(parts: Place) -> Place:
    """Return *parts* from the last host bridge on; where there is none, the last one only.

    >>> below_host_bridge(("sys", "devices", "pci0000:00", "0000:00:01.0", "0000:01:00.0"))
    ('pci0000:00', '0000:00:01.0', '0000:01:00.0')
    """
    # A bridge that is itself behind PCI (Intel VMD) has a number of its own: the last one counts.
    bridges = [at for at, part in enumerate(parts) if _HOST_BRIDGE.fullmatch(part)]
    return parts[bridges[-1] :] if bridges else parts[-1:]
