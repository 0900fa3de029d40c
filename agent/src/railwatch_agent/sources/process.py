# SPDX-License-Identifier: Apache-2.0
"""Who runs a process (proc_pid_status(5)), and what its environment says (proc_pid_environ(5)).

Variables are those of sbatch(1), of PBS's qsub(1) and of LSF's bsub(1). Others' environments take
CAP_SYS_PTRACE and CAP_DAC_READ_SEARCH. An environment is the word of whoever started the process.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Final

from railwatch_agent.sources.claim import Claim, parse_gpus, plain_name
from railwatch_agent.sources.errors import SourceError
from railwatch_agent.sources.files import read_text

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

_UID: Final = "Uid:"
# By scheduler: the job, its user, its queue.
_SCHEDULERS: Final = (
    ("SLURM_JOB_ID", "SLURM_JOB_USER", "SLURM_JOB_PARTITION"),
    ("PBS_JOBID", "PBS_O_LOGNAME", "PBS_QUEUE"),
    ("LSB_JOBID", "LSFUSER", "LSB_QUEUE"),
)
# The first two hold the node's own numbers; what CUDA shows is counted from 0 where the others are
# kept from the job.
_GPUS: Final = ("SLURM_STEP_GPUS", "SLURM_JOB_GPUS", "CUDA_VISIBLE_DEVICES")
_MOST_BYTES: Final = 256 * 1024


def parse_environment(data: bytes) -> Claim | None:
    r"""Return the job that an environment names, None if it names none.

    >>> parse_environment(b"HOME=/\0PBS_JOBID=7.head\0PBS_QUEUE=gpu\0").partition
    'gpu'
    """
    pairs = (entry.partition(b"=") for entry in data.split(b"\0"))
    variables = {
        name.decode("ascii", "replace"): value.decode("utf-8", "replace")
        for name, _, value in pairs
        if name.startswith((b"SLURM_", b"PBS_", b"LS", b"CUDA_"))
    }
    for job, user, partition in _SCHEDULERS:
        if variables.get(job):
            return _claim(variables, (job, user, partition))
    return None


def _claim(variables: Mapping[str, str], names: tuple[str, str, str]) -> Claim | None:
    job, user, partition = (_name(variables.get(name, "")) for name in names)
    lists = (variables[name] for name in _GPUS if name in variables)
    if not job:
        return None
    return Claim(job, user, partition, gpus=parse_gpus(next(lists, "")), is_word=True)


def _name(text: str) -> str:
    try:
        return plain_name(text)
    except ValueError:
        return ""


def parse_owner(status: str) -> int | None:
    r"""Return the real user of a `status` file.

    >>> parse_owner("Name:\tx\nUid:\t1000\t0\t0\t0\n")
    1000
    """
    for line in status.splitlines():
        if line.startswith(_UID):
            return int(line.split()[1])
    return None


def owner_of(procfs: Path, pid: int) -> int | None:
    """Return the user who runs a process, None if it has ended or is not to be seen."""
    try:
        text = read_text(procfs / str(pid) / "status")
    except SourceError:
        return None
    return None if text is None else parse_owner(text)


def environment_of(procfs: Path, pid: int) -> Claim | None:
    """Return the job that a process's environment names, None if it may not be read."""
    try:
        descriptor = os.open(procfs / str(pid) / "environ", os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return None
    try:
        return parse_environment(os.read(descriptor, _MOST_BYTES))
    except OSError:
        return None
    finally:
        os.close(descriptor)
