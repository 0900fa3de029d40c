# SPDX-License-Identifier: Apache-2.0
"""The jobs of the node, counted again every few seconds from all that names them.

In order of trust: `[job] id`; `[job] id_file`; the files of the scheduler's prolog, one a job, then
one a GPU; Slurm's control groups; the control groups of processes that hold GPUs, Kubernetes' pods
among them; environments, where they may be read. The first two say whose the whole node is, and
nothing else is asked then.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from railwatch.catalogue.metric import ReadFailure
from railwatch_agent.jobs.identity import Identity
from railwatch_agent.jobs.job import MOST_JOBS, Job, merge
from railwatch_agent.jobs.ownership import places_of
from railwatch_agent.sources.cgroup import SlurmTree, is_pod, processes_of
from railwatch_agent.sources.claim import Claim, plain_name
from railwatch_agent.sources.errors import SourceError
from railwatch_agent.sources.map_file import gpu_files, job_files
from railwatch_agent.sources.process import environment_of, owner_of
from railwatch_agent.sources.small_file import read_small
from railwatch_agent.sources.users import UserNames

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from railwatch.clock import Clock
    from railwatch_agent.gpus.keeper import NodeView
    from railwatch_agent.inventory import Rail
    from railwatch_agent.jobs.place import JobPlace
    from railwatch_agent.settings import AgentSettings, JobSettings
    from railwatch_agent.sources.map_file import MapDirectory

# From the prolog to the first process of a job; containers are fetched meanwhile.
_STARTING_SECONDS: Final = 300.0
# Where nothing else tells that a job has ended, and its epilog did not run.
_LONGEST_SECONDS: Final = 31 * 86400.0
# What was known longer ago is not known any more.
_STALE_SECONDS: Final = 60.0


@dataclass(frozen=True, slots=True)
class _Count:
    jobs: tuple[Job, ...] = ()
    whole_node: str | None = None
    at: float = -_STALE_SECONDS


class JobCensus:
    """Counts in the thread that calls `look`; any thread may ask for the result.

    *settings* answers with those in force, *rails* and *gpus* answer with what the node has now.
    """

    def __init__(
        self,
        settings: Callable[[], AgentSettings],
        *,
        rails: Callable[[], tuple[Rail, ...]],
        gpus: Callable[[], NodeView],
        clock: Clock,
    ) -> None:
        procfs = Path(settings().paths.procfs)
        self._settings = settings
        self._maps_of: JobSettings | None = None
        self._maps: list[MapDirectory] = []
        self._tree = SlurmTree(Path(settings().paths.sysfs, "fs", "cgroup"))
        self._procfs = procfs
        self._rails = rails
        self._gpus = gpus
        self._clock = clock
        self._names = UserNames(clock)
        # Of each of Slurm's jobs what one of its processes told; that does not change.
        self._told: dict[str, tuple[Claim, ...]] = {}
        # Whether Slurm gives its jobs control groups here: not all of its configurations do.
        self._has_groups = False
        self._count = _Count()
        self.identity = Identity(
            procfs, known=self.jobs, whole_node=lambda: self._fresh().whole_node
        )

    def jobs(self) -> tuple[Job, ...]:
        """Return the jobs as of the last look, none if that is long ago."""
        return self._fresh().jobs

    def places(self) -> tuple[JobPlace, ...]:
        """Return where the jobs are, as of the last look."""
        return places_of(self.jobs(), self._rails(), [gpu.number for gpu in self._gpus().gpus])

    def look(self) -> Iterator[ReadFailure]:
        """Count the jobs; yield what could not be read."""
        failures: list[ReadFailure] = []
        whole_node = self._configured(failures)
        if whole_node is not None:
            self._count = _Count((Job(whole_node),), whole_node, self._clock.monotonic())
        else:
            jobs = merge(self._claims(failures))
            if len(jobs) > MOST_JOBS:
                failures.append(ReadFailure("jobs", f"{len(jobs)}; {MOST_JOBS} are told of"))
            self._count = _Count(jobs[:MOST_JOBS], None, self._clock.monotonic())
        yield from failures

    def _fresh(self) -> _Count:
        count = self._count
        return count if self._clock.monotonic() - count.at < _STALE_SECONDS else _Count()

    def _configured(self, failures: list[ReadFailure]) -> str | None:
        """The job of the whole node, None if nobody says that it is one's."""
        named = self._settings().job
        if named.id is not None or named.id_file is None:
            return named.id
        try:
            return read_id(Path(named.id_file))
        except SourceError as exc:
            failures.append(ReadFailure(named.id_file, str(exc)))
            return None

    def _claims(self, failures: list[ReadFailure]) -> Iterator[Claim]:
        """Yield what all sources say, the most trusted first."""
        groups = self._tree.read()
        yield from self._mapped(groups, failures)
        self._told = {job: self._told.get(job, ()) for job in groups}
        for job, group in groups.items():
            if not self._told[job]:
                self._told[job] = tuple(self._told_by_processes(job, group))
            yield Claim(job)
            yield from self._told[job]
        yield from self._on_gpus()

    def _mapped(self, groups: Mapping[str, Path], failures: list[ReadFailure]) -> Iterator[Claim]:
        self._has_groups |= bool(groups)
        self._open_maps(self._settings().job)
        for directory in self._maps:
            for claim in directory.read():
                if isinstance(claim, SourceError):
                    failures.append(ReadFailure(str(directory.directory), str(claim)))
                elif claim.job_id in groups or self._may_live(claim):
                    yield claim

    def _open_maps(self, named: JobSettings) -> None:
        if named == self._maps_of:
            return
        self._maps_of = named
        directories = (
            (named.slurm, lambda path: job_files(path, self._procfs)),
            (named.gpu_map_directory, gpu_files),
        )
        self._maps = [make(Path(path)) for path, make in directories if path]

    def _may_live(self, claim: Claim) -> bool:
        """Whether a job without a control group may be there: its epilog may not have run."""
        age = self._clock.wall() - (claim.written_at or 0.0)
        # Of a job that has a name of its own, Slurm's control groups say nothing.
        is_slurms = self._has_groups and claim.job_id.isdecimal()
        return age < (_STARTING_SECONDS if is_slurms else _LONGEST_SECONDS)

    def _told_by_processes(self, job: str, group: Path) -> Iterator[Claim]:
        """Yield what the first process of a job's user tells; slurmstepd is root's."""
        for pid in processes_of(group):
            uid = owner_of(self._procfs, pid)
            if uid:
                yield Claim(job, user=self._names(uid), uid=uid)
                yield from self._told_by_environment(job, pid)
                return

    def _on_gpus(self) -> Iterator[Claim]:
        reports = (gpu.report for gpu in self._gpus().gpus if gpu.report is not None)
        held = {(report.number, pid) for report in reports for pid, _ in report.processes}
        jobs = self.identity.jobs_of({pid for _, pid in held})
        for number, pid in sorted(held):
            if pid in jobs:
                uid = None if is_pod(jobs[pid]) else owner_of(self._procfs, pid)
                name = "" if uid is None else self._names(uid)
                yield Claim(jobs[pid], user=name, uid=uid, gpus=frozenset({number}))
                yield from self._told_by_environment(jobs[pid], pid)

    def _told_by_environment(self, job: str, pid: int) -> Iterator[Claim]:
        told = environment_of(self._procfs, pid)
        if told is not None and told.job_id == job:
            yield told


def read_id(file: Path) -> str | None:
    """Return the job that a file holds in its first line, None if it is empty or not there.

    Raises
    ------
    SourceError
        It cannot be read, or what it holds cannot be a label's value.
    """
    held = read_small(file, follow=True)
    line = "" if held is None else held.text.partition("\n")[0].strip()
    try:
        return plain_name(line) if line else None
    except ValueError as exc:
        raise SourceError(f"cannot parse {file}: {exc}") from exc
