# SPDX-License-Identifier: Apache-2.0
"""Whose job a process is: asked for processes that hold GPUs, and for those that send markers.

In order of trust: configuration, which gives the whole node to one job; the process's control
group, which it cannot leave; its user, who has one job on the node and no more; its word (its
environment, where that may be read), unless another user's job has that name.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from railwatch_agent.sources.cgroup import job_of_process
from railwatch_agent.sources.process import environment_of, owner_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from pathlib import Path

    from railwatch_agent.jobs.job import Job


class Identity:
    """Answers from any thread.

    *known* answers with the jobs of the node, *whole_node* with the one that has all of it, if any.
    """

    def __init__(
        self,
        procfs: Path,
        *,
        known: Callable[[], tuple[Job, ...]],
        whole_node: Callable[[], str | None],
    ) -> None:
        self._procfs = procfs
        self._known = known
        self._whole_node = whole_node

    def jobs_of(self, pids: Iterable[int]) -> dict[int, str]:
        """Return the jobs of processes, those left out that belong to none."""
        owners = {pid: owner_of(self._procfs, pid) for pid in pids}
        found = {p: self.known_job(p, uid) or self.word_of(p, uid) for p, uid in owners.items()}
        return {pid: job for pid, job in found.items() if job is not None}

    def known_job(self, pid: int, uid: int | None) -> str | None:
        """Return the job of the process *pid* of user *uid*, as far as it cannot lie about that."""
        whole_node = self._whole_node()
        if whole_node is not None:
            return whole_node
        job = job_of_process(self._procfs, pid)
        if job is not None:
            return job
        own = [job.job_id for job in self._known() if uid is not None and job.uid == uid]
        return own[0] if len(own) == 1 else None

    def word_of(self, pid: int, uid: int | None, said: str = "") -> str | None:
        """Return the job that a process says it is: its environment, or else what it has *said*.

        None if that is another user's.
        """
        claim = environment_of(self._procfs, pid)
        name = said if claim is None else claim.job_id
        is_others = any(job.uid != uid for job in self._known() if job.job_id == name)
        return None if is_others or not name else name
