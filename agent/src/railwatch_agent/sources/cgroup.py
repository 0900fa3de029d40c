# SPDX-License-Identifier: Apache-2.0
"""Whose job a process is, by its control group (cgroups(7)): Slurm's job number, Kubernetes' pod.

Everybody may read /proc/PID/cgroup, whoever the process belongs to.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from railwatch_agent.sources.errors import SourceError
from railwatch_agent.sources.files import read_text

if TYPE_CHECKING:
    from pathlib import Path

# Slurm: /system.slice/slurmstepd.scope/job_42/step_0/…, and of version 1 /slurm/uid_1000/job_42/…
_SLURM = re.compile(r"/job_(\d+)(?:/|$)", re.MULTILINE)
# The kubelet: …-pod0a1b_….slice, or /kubepods/burstable/pod0a1b-…
_POD = re.compile(r"[/-]pod([0-9a-f]{8}(?:[-_][0-9a-f]{4}){3}[-_][0-9a-f]{12})")


def parse_job(text: str) -> str | None:
    r"""Return the job of a `cgroup` file, None if it names none.

    >>> parse_job("0::/system.slice/slurmstepd.scope/job_42/step_0/user/task_0\n")
    '42'
    """
    slurm = _SLURM.search(text)
    if slurm is not None:
        return slurm[1]
    pod = _POD.search(text)
    return None if pod is None else pod[1].replace("_", "-")


class JobsByProcess:
    """Answers which job a process belongs to; a process is read once, while it is asked for."""

    def __init__(self, procfs: Path) -> None:
        self._procfs = procfs
        self._known: dict[int, str | None] = {}

    def __call__(self, pids: set[int]) -> dict[int, str]:
        """Return the jobs of *pids*, those left out that belong to none."""
        self._known = {
            pid: self._known[pid] if pid in self._known else self._read(pid) for pid in pids
        }
        return {pid: job for pid, job in self._known.items() if job is not None}

    def _read(self, pid: int) -> str | None:
        try:
            text = read_text(self._procfs / str(pid) / "cgroup")
        except SourceError:
            # It has ended in between, or is not to be seen from here.
            return None
        return None if text is None else parse_job(text)
