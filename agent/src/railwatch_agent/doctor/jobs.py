# SPDX-License-Identifier: Apache-2.0
"""Which sources name the jobs of the node, whether these can mark steps, and if not, why."""

from __future__ import annotations

import os
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Final

from railwatch_agent.doctor.checks import Answer, Check
from railwatch_agent.doctor.findings import Section, Status
from railwatch_agent.jobs.census import read_id
from railwatch_agent.sources.access import can_write_in, open_once
from railwatch_agent.sources.cgroup import SlurmTree
from railwatch_agent.sources.claim import Claim
from railwatch_agent.sources.map_file import gpu_files, job_files
from railwatch_agent.sources.marker_socket import is_listened_to, read_queue_length

if TYPE_CHECKING:
    from railwatch_agent.settings import AgentSettings, JobSettings
    from railwatch_agent.sources.map_file import MapDirectory

# Of as many as a node's ranks send while a garbage collection or a scrape holds the agent up.
_QUEUE_LENGTH: Final = 64


def job_checks(settings: AgentSettings) -> list[Check]:
    """Return the checks of what names jobs, the most trusted first."""
    job, procfs = settings.job, Path(settings.paths.procfs)
    looks = {
        "[job] id": partial(configured, job),
        "[job] id_file": partial(id_file, job),
        "[job] slurm": partial(
            maps, job.slurm and job_files(Path(job.slurm), procfs), "[job] slurm"
        ),
        "[job] gpu_map_directory": partial(
            maps,
            job.gpu_map_directory and gpu_files(Path(job.gpu_map_directory)),
            "[job] gpu_map_directory",
        ),
        "control groups of Slurm": partial(
            slurm, SlurmTree(Path(settings.paths.sysfs, "fs", "cgroup"))
        ),
        "control groups of processes": partial(processes, procfs),
        "step markers": partial(markers, settings.steps.socket, procfs),
    }
    return [Check(Section.JOBS, what, look) for what, look in looks.items()]


def configured(job: JobSettings) -> Answer:
    """Say whether configuration gives the node to a job."""
    if job.id is None:
        return Answer(Status.OFF, "not set")
    return Answer(Status.OK, f"the whole node is {job.id}'s; nothing else is asked")


def id_file(job: JobSettings) -> Answer:
    """Say what the file holds; raises SourceError."""
    if job.id_file is None:
        return Answer(Status.OFF, "not set")
    name = read_id(Path(job.id_file))
    if name is None:
        return Answer(Status.MISSING, f"{job.id_file} is empty or not there", "write it")
    return Answer(Status.OK, f"the whole node is {name}'s; nothing else is asked")


def maps(directory: MapDirectory | str, key: str) -> Answer:
    """Say how many jobs the files of a directory name; raises SourceError."""
    if isinstance(directory, str):
        return Answer(Status.OFF, "not set")
    path = directory.directory
    if not path.exists():
        change = f"deploy/slurm has a prolog that writes them, or set {key}"
        return Answer(Status.ABSENT, f"{path} is not there", change)
    read = list(directory.read())
    jobs = {claim.job_id for claim in read if isinstance(claim, Claim)}
    errors = [error for error in read if not isinstance(error, Claim)]
    if errors:
        detail = f"{len(jobs)} jobs; {len(errors)} cannot be read, such as: {errors[0]}"
        return Answer(Status.FAILED, detail, "what writes them")
    return Answer(Status.OK, f"{len(jobs)} jobs in {path}")


def slurm(tree: SlurmTree) -> Answer:
    """Say how many jobs have control groups."""
    groups = tree.read()
    if groups:
        return Answer(Status.OK, f"{len(groups)} jobs")
    return Answer(Status.ABSENT, "none now", "a job, with ProctrackType=proctrack/cgroup")


def processes(procfs: Path) -> Answer:
    """Say whether the control groups of others' processes are shown (proc(5), hidepid)."""
    try:
        open_once(procfs / "1" / "cgroup")
    except OSError as exc:
        change = f"mount {procfs} with hidepid=0, or with gid= a group of user {os.geteuid()}"
        return Answer(Status.DENIED, f"those of other users are hidden: {exc.strerror}", change)
    return Answer(Status.OK, "of processes that hold GPUs, and of those that send step markers")


def markers(socket: str, procfs: Path) -> Answer:
    """Say whether training code can send step markers; raises SourceError."""
    path, key = Path(socket), "[steps] socket"
    if not socket:
        return Answer(Status.OFF, "no socket", key)
    if is_listened_to(path):
        return Answer(Status.OK, f"an agent listens at {path}")
    if not path.parent.is_dir():
        change = f"make it (systemd: RuntimeDirectory=railwatch), or set {key}"
        return Answer(Status.MISSING, f"{path.parent} is not there", change)
    if not can_write_in(path.parent):
        detail = f"user {os.geteuid()} cannot write in {path.parent}"
        return Answer(Status.DENIED, detail, f"make that user its owner, or set {key}")
    length = read_queue_length(procfs)
    if length is not None and length < _QUEUE_LENGTH:
        detail = f"{path}; while the agent is busy {length} wait, and more are lost"
        return Answer(Status.OK, detail, f"sysctl net.unix.max_dgram_qlen={_QUEUE_LENGTH}")
    return Answer(Status.OK, str(path))
