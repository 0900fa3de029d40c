# SPDX-License-Identifier: Apache-2.0
"""What an unprivileged agent is not shown, and which capability would show it (capabilities(7)).

Each check tries, where trying is possible: a kernel has more ways to refuse than are listed here.
"""

from __future__ import annotations

from functools import partial
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Final

from railwatch_agent.doctor.checks import Answer, Check
from railwatch_agent.doctor.findings import Section, Status
from railwatch_agent.sources.access import (
    Capability,
    open_once,
    own_capabilities,
    processes_of_others,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Collection

_KERNEL_LOG: Final = Path("/dev/kmsg")
_PROCESSES_TRIED: Final = 50


def permission_checks(procfs: Path) -> list[Check]:
    """Return the checks of what needs a privilege."""
    looks: dict[str, Callable[[], Answer]] = {
        "module EEPROM": lambda: module_eeprom(own_capabilities()),
        "environment of jobs": lambda: environment_of_others(procfs, own_capabilities()),
        "kernel log": partial(kernel_log, _KERNEL_LOG),
    }
    return [Check(Section.PERMISSIONS, what, look) for what, look in looks.items()]


def module_eeprom(held: Collection[Capability]) -> Answer:
    """Say whether optical power and temperature can be asked for (net/ethtool/ioctl.c)."""
    needed = Capability.CAP_NET_ADMIN
    if needed in held:
        return Answer(Status.OK, f"{needed.name} is held")
    return Answer(Status.DENIED, "optical power and temperature of modules", needed.name)


def environment_of_others(procfs: Path, held: Collection[Capability]) -> Answer:
    """Say whether the jobs of other users can be told by their environment.

    The file is its owner's, and behind that is ptrace's check (proc_pid_environ(5)): it takes both
    capabilities.
    """
    for process in islice(processes_of_others(procfs), _PROCESSES_TRIED):
        try:
            open_once(process / "environ")
        except OSError:
            continue
        return Answer(Status.OK, "other users' /proc/PID/environ can be read")
    reads_any = {Capability.CAP_DAC_OVERRIDE, Capability.CAP_DAC_READ_SEARCH}.intersection(held)
    if reads_any and Capability.CAP_SYS_PTRACE in held:
        return Answer(Status.OK, "the capabilities are held")
    needed = (Capability.CAP_SYS_PTRACE, Capability.CAP_DAC_READ_SEARCH)
    return Answer(
        Status.DENIED,
        "other users' /proc/PID/environ; jobs are told by cgroup or by files that a prolog writes",
        " and ".join(capability.name for capability in needed),
    )


def kernel_log(log: Path) -> Answer:
    """Say whether the kernel's messages can be read (sysctl kernel.dmesg_restrict)."""
    try:
        open_once(log)
    except PermissionError:
        change = f"{Capability.CAP_SYSLOG.name}, or kernel.dmesg_restrict = 0"
        return Answer(Status.DENIED, f"{log}, where drivers say what ails them", change)
    except FileNotFoundError:
        return Answer(Status.MISSING, f"{log} is not there", "give the container that device")
    return Answer(Status.OK, str(log))
