# SPDX-License-Identifier: Apache-2.0
"""Whose job a process is, by its control group (cgroups(7)): Slurm's job number, Kubernetes' pod.

Everybody may read /proc/PID/cgroup and list control groups, whoever the processes belong to. A user
may make control groups of any name below a session of theirs, /user.slice, and name no job by that.
Where Slurm puts jobs: its cgroup.conf and cgroup v2 documentation.
"""

from __future__ import annotations

import os
import re
from itertools import islice
from typing import TYPE_CHECKING, Final

from railwatch_agent.sources.errors import SourceError
from railwatch_agent.sources.files import read_text

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

# Version 2: …/slurmstepd.scope/job_42/step_0/…, with the node's name before slurmstepd where one
# machine is several; version 1: /slurm/uid_1000/job_42/…, likewise.
_SLURM: Final = re.compile(r"(?:slurmstepd\.scope|/slurm[^/]*/uid_\d+)/job_(\d+)(?:/|$)")
# The kubelet: …-pod0a1b_….slice, or /kubepods/burstable/pod0a1b-…
_POD: Final = re.compile(r"[/-]pod([0-9a-f]{8}(?:[-_][0-9a-f]{4}){3}[-_][0-9a-f]{12})")
_POD_ID: Final = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")
_SESSIONS: Final = "/user.slice/"
_TREES: Final = (
    "system.slice/*slurmstepd.scope/job_*",
    "unified/system.slice/*slurmstepd.scope/job_*",
    "*/slurm*/uid_*/job_*",
)
_MOST_GROUPS: Final = 64


def parse_job(text: str) -> str | None:
    r"""Return the job of a `cgroup` file, None if it names none.

    >>> parse_job("0::/system.slice/slurmstepd.scope/job_42/step_0/user/task_0\n")
    '42'
    """
    lines = [line for line in text.splitlines() if _SESSIONS not in line]
    for pattern in (_SLURM, _POD):
        for line in lines:
            found = pattern.search(line)
            if found is not None:
                return found[1].replace("_", "-")
    return None


def is_pod(job: str) -> bool:
    """Whether a job's name is a pod's: users within it are not those of the node.

    >>> is_pod("0b1c2d3e-4f50-6172-8394-a5b6c7d8e9f0"), is_pod("42")
    (True, False)
    """
    return _POD_ID.fullmatch(job) is not None


def job_of_process(procfs: Path, pid: int) -> str | None:
    """Return the job of a process, None if it has none, has ended, or is not to be seen."""
    try:
        text = read_text(procfs / str(pid) / "cgroup")
    except SourceError:
        return None
    return None if text is None else parse_job(text)


class SlurmTree:
    """The control groups of Slurm's jobs below *root*, where they are mounted."""

    def __init__(self, root: Path) -> None:
        self._root = root

    def read(self) -> dict[str, Path]:
        """Return the directory of each job; of version 1 that of one controller."""
        found: dict[str, Path] = {}
        for pattern in _TREES:
            for path in self._root.glob(pattern):
                number = path.name.removeprefix("job_")
                if number.isascii() and number.isdecimal():
                    found.setdefault(number, path)
        return found


def processes_of(group: Path) -> Iterator[int]:
    """Yield the processes of a control group and of those below it."""
    for folder, _, _ in islice(os.walk(group), _MOST_GROUPS):
        try:
            text = read_text(f"{folder}/cgroup.procs")
        except SourceError:
            continue
        yield from (int(word) for word in (text or "").split() if word.isdecimal())
