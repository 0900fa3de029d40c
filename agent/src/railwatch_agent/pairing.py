# SPDX-License-Identifier: Apache-2.0
"""Which GPU a rail's NIC is next to, and the numbers of the GPUs; from sysfs alone.

GPUs are numbered by PCI address. That is how NVIDIA's driver enumerates them and so NVML's index
(CUDA's only with CUDA_DEVICE_ORDER=PCI_BUS_ID); NVML promises no order (nvmlDeviceGetHandleByIndex:
"no guarantees of consistency between reboots") and recommends the PCI address. So numbers are kept
as long as the agent runs, like a driver's, and no longer: the book of rails does not hold them, or
they would part from NVML's after a boot with a GPU less.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from railwatch_agent.numbering import assign, place_order
from railwatch_agent.sources.pci import PciWatch, Place

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path


def pair(nics: Mapping[str, Place], gpus: Mapping[str, Place]) -> dict[str, str]:
    """Return the address of the nearest GPU by that of the NIC; NICs without one are left out.

    Nearest is with whom it shares the deepest bridge: a switch, a root port, a host bridge. NICs
    and GPUs that meet at the same bridge are paired in the order of their addresses; if there are
    more NICs than GPUs, neighbours share one. A NUMA node is no bridge: what shares only that, or
    only a host bridge that all GPUs share (a virtual machine's flat bus), has no GPU.
    """
    meeting: dict[Place, list[str]] = {}
    for nic in sorted(nics, key=place_order):
        bridge = _meeting_point(nics[nic], gpus)
        if bridge:
            meeting.setdefault(bridge, []).append(nic)
    paired: dict[str, str] = {}
    # Below a deep bridge the choice is smaller, so it is made first.
    for bridge in sorted(meeting, key=lambda bridge: (-len(bridge), bridge)):
        near = [gpu for gpu in sorted(gpus, key=place_order) if _is_below(gpus[gpu], bridge)]
        free = [gpu for gpu in near if gpu not in paired.values()] or near
        group = meeting[bridge]
        paired |= {nic: free[at * len(free) // len(group)] for at, nic in enumerate(group)}
    return paired


def nearest(nic: Place, gpus: Mapping[str, Place]) -> frozenset[str]:
    """Return the addresses of all GPUs below the bridge where a NIC meets the nearest of them."""
    bridge = _meeting_point(nic, gpus)
    return frozenset(gpu for gpu in gpus if bridge and _is_below(gpus[gpu], bridge))


def _meeting_point(nic: Place, gpus: Mapping[str, Place]) -> Place:
    """The deepest bridge above a NIC that has a GPU below it; empty if that says nothing."""
    deepest = max((_shared(nic, gpu) for gpu in gpus.values()), default=0)
    bridge = nic[:deepest]
    if deepest == 1 and len(gpus) > 1 and all(_is_below(gpu, bridge) for gpu in gpus.values()):
        return ()
    return bridge


def _shared(one: Place, other: Place) -> int:
    """How many bridges two functions have in common."""
    count = 0
    for mine, others in zip(one[:-1], other[:-1], strict=False):
        if mine != others:
            break
        count += 1
    return count


def _is_below(function: Place, bridge: Place) -> bool:
    return function[: len(bridge)] == bridge and len(function) > len(bridge)


class GpuPairs:
    """Which GPU belongs to which rail; worked out anew only when rails or GPUs have changed."""

    def __init__(self, sysfs: Path) -> None:
        self._watch = PciWatch(sysfs)
        self._numbers: dict[str, int] = {}
        self._nics: frozenset[str] = frozenset()
        self._pairs: dict[str, int] = {}
        self._near: dict[str, tuple[int, ...]] = {}

    def update(self, nics: Iterable[str | None]) -> None:
        """Look for GPUs near *nics*, functions by address; raises SourceError."""
        wanted = frozenset(nic for nic in nics if nic is not None)
        if not self._watch.look() and wanted == self._nics:
            return
        gpus = self._watch.gpus()
        self._nics = wanted
        self._numbers = assign(sorted(gpus, key=place_order), self._numbers)
        places = {nic: self._watch.place(nic) for nic in wanted}
        self._pairs = {nic: self._numbers[gpu] for nic, gpu in pair(places, gpus).items()}
        self._near = {
            nic: tuple(sorted(self._numbers[gpu] for gpu in nearest(place, gpus)))
            for nic, place in places.items()
        }

    def of(self, nic: str | None) -> int | None:
        """Return the number of the GPU next to a function, None if there is none."""
        return None if nic is None else self._pairs.get(nic)

    def near(self, nic: str | None) -> tuple[int, ...]:
        """Return the numbers of all GPUs that are as near to a function as the nearest."""
        return () if nic is None else self._near.get(nic, ())
