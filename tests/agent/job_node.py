"""A node with jobs: the control groups, processes and map files of a scenario, and its census."""

from collections.abc import Iterable, Mapping
from pathlib import Path

from agent.fakes import FakeClock, rail
from railwatch.catalogue.metric import MetricSpec, ReadFailure, Sample
from railwatch_agent.collectors.job import JobCollector
from railwatch_agent.gpus.keeper import NodeView
from railwatch_agent.gpus.ledger import GpuView
from railwatch_agent.inventory import Rail
from railwatch_agent.jobs.census import JobCensus
from railwatch_agent.settings import AgentSettings, JobSettings, PathSettings
from railwatch_agent.sources.nvml.quantities import State
from railwatch_agent.sources.nvml.reports import GpuReport

# Users of whom no machine has a name.
ALICE, BOB = 4_000_000_001, 4_000_000_002


class JobNode:
    """A node below *root* with a GPU next to each of *rails* rails; its collector is real."""

    def __init__(self, root: Path, *, rails: int = 4, **job: str) -> None:
        self.procfs, self.maps = root / "proc", root / "maps"
        self.groups = root / "sys" / "fs" / "cgroup"
        self.procfs.mkdir(parents=True)
        self.groups.mkdir(parents=True)
        self.rails = tuple(
            rail(n, f"rail{n}", device=f"mlx5_{n}", gpu=n, near_gpus=(n,)) for n in range(rails)
        )
        self.held: dict[int, list[int]] = {n: [] for n in range(rails)}
        self.clock = FakeClock(wall=root.stat().st_mtime)
        self.settings = AgentSettings(
            paths=PathSettings(procfs=str(self.procfs), sysfs=str(root / "sys")),
            job=JobSettings(**{"slurm": str(self.maps), **job}),
        )
        self.census = JobCensus(
            lambda: self.settings, rails=lambda: self.rails, gpus=self._view, clock=self.clock
        )
        self._collector = JobCollector(self.census, lambda: self.rails)

    def run(
        self, pid: int, cgroup: str = "/", *, uid: int = ALICE, environ: Mapping[str, str] = {}
    ) -> None:
        """Have a process; in the control group *cgroup*, if there is one."""
        folder = self.procfs / str(pid)
        folder.mkdir()
        (folder / "cgroup").write_text(f"0::{cgroup}\n")
        (folder / "status").write_text(f"Name:\tx\nUid:\t{uid}\t{uid}\t{uid}\t{uid}\n")
        text = "\0".join(f"{name}={value}" for name, value in environ.items())
        (folder / "environ").write_text(text)

    def group(self, path: str, pids: Iterable[int] = ()) -> None:
        """Have a control group with processes."""
        folder = self.groups / path
        folder.mkdir(parents=True)
        (folder / "cgroup.procs").write_text("".join(f"{pid}\n" for pid in pids))

    def write_map(self, name: str, text: str) -> None:
        """Have a file of the prolog's."""
        self.maps.mkdir(exist_ok=True)
        (self.maps / name).write_text(text)

    def readings(self) -> list[Sample | ReadFailure]:
        """Return what one round of the collector says."""
        return list(self._collector.collect())

    def series(self, spec: MetricSpec) -> list[tuple[str, ...]]:
        """Return the labels of a family after one round."""
        return [s.labels for s in self.readings() if isinstance(s, Sample) and s.spec is spec]

    def failures(self) -> list[str]:
        """Return the reasons of what fails in one round."""
        return [f.reason for f in self.readings() if isinstance(f, ReadFailure)]

    def _view(self) -> NodeView:
        return NodeView(True, "", tuple(_gpu(n, pids) for n, pids in self.held.items()))


def _gpu(number: int, pids: Iterable[int]) -> GpuView:
    report = GpuReport(
        number=number,
        address=f"0000:0{number}:00.0",
        uuid="",
        name="",
        time=0.0,
        is_lost=False,
        watches_xid=False,
        values={},
        failures={},
        denied=(),
        mig=(),
        processes=tuple((pid, 1) for pid in pids),
        signal=None,
        averaging_seconds=None,
        processor_seconds=0.0,
    )
    return GpuView(number, report.address, State.PRESENT, report, None, None)


def of_rails(rails: Iterable[Rail], job: str) -> list[tuple[str, ...]]:
    """Return the labels of the rails that are a job's."""
    return [(*rail.labels, job) for rail in rails]
