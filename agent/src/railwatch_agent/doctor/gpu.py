# SPDX-License-Identifier: Apache-2.0
"""Whether there is an NVIDIA driver, and the library that it is asked through."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from railwatch_agent.doctor.checks import Answer, Check
from railwatch_agent.doctor.findings import Section, Status
from railwatch_agent.sources.nvidia import (
    MANAGEMENT_LIBRARY,
    can_load,
    count_gpus,
    driver_version,
)

if TYPE_CHECKING:
    from pathlib import Path


def gpu_checks(sysfs: Path, procfs: Path) -> list[Check]:
    """Return the checks of the GPUs' driver."""
    looks = {
        "GPUs": partial(gpus, sysfs),
        "driver": partial(driver, sysfs, procfs),
        "NVML": partial(library, sysfs, MANAGEMENT_LIBRARY),
    }
    return [Check(Section.GPU, what, look) for what, look in looks.items()]


def gpus(sysfs: Path) -> Answer:
    """Say how many there are, whatever the driver says of them."""
    found = count_gpus(sysfs)
    if not found:
        return Answer(Status.ABSENT, "the PCI bus lists none of NVIDIA's")
    return Answer(Status.OK, f"{found} on the PCI bus")


def driver(sysfs: Path, procfs: Path) -> Answer:
    """Say which version of the kernel module is loaded."""
    version = driver_version(procfs)
    if version is not None:
        return Answer(Status.OK, version)
    return _missing(sysfs, "no kernel module of NVIDIA's is loaded", "modprobe nvidia")


def library(sysfs: Path, name: str) -> Answer:
    """Say whether NVML can be loaded."""
    if can_load(name):
        return Answer(Status.OK, name)
    change = "install the driver's libraries (Debian: libnvidia-ml1), or show them to the container"
    return _missing(sysfs, f"{name} is not found", change)


def _missing(sysfs: Path, what: str, change: str) -> Answer:
    """Return that something is missing, which matters only where there is a GPU."""
    return (
        Answer(Status.MISSING, what, change) if count_gpus(sysfs) else Answer(Status.ABSENT, what)
    )
