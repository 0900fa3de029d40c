"""A training job on a lab cluster: its ranks, the plans they are given, the truth they tell."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from support.conditions import wait_until
from training.truth import Mark, read_marks

if TYPE_CHECKING:
    from collections.abc import Mapping

    from lab.cluster import Cluster
    from training.plan import Plan

_TESTS = Path(__file__).parent.parent
# Four imports of torch on two busy cores.
_START_SECONDS = 90.0
_END_SECONDS = 30.0
# Ranks are in the same step, or in the next one.
_STEPS_AHEAD = 3
# The first steps are those in which DDP orders its buckets anew.
WARM_UP_STEPS = 3


class Ranks:
    """One rank a node of *cluster*, all on rail 0 or on the rails named; they outlive their plans.

    `stages` are the files of the stand-ins for NVML, by name of the node.
    """

    def __init__(
        self,
        cluster: Cluster,
        folder: Path,
        stages: Mapping[str, Path] | None = None,
        rails: str = "rail0",
    ) -> None:
        self._cluster = cluster
        self._folder = folder
        self._stages = stages or {}
        self._rails = rails
        self._processes: list[subprocess.Popen[Any]] = []
        self._said: list[list[str]] = []

    def __enter__(self) -> Self:
        self._folder.mkdir(parents=True, exist_ok=True)
        try:
            for rank in range(len(self._cluster.nodes)):
                self._start(rank)
            self._await("ready", _START_SECONDS)
        except BaseException:
            self._end()
            raise
        return self

    def __exit__(self, *exception: object) -> None:
        self._end()

    def begin(self, plan: Plan) -> Run:
        """Give all ranks a plan and return at once."""
        for process in self._processes:
            assert process.stdin is not None
            process.stdin.write(f"{plan.to_json()}\n")
            process.stdin.flush()
        return Run(self, plan, self._folder)

    def await_end(self, plan: Plan) -> None:
        """Wait until all ranks are through with a plan."""
        self._await(plan.job_id, _END_SECONDS)

    def check(self) -> None:
        """Raise what a rank that failed has printed."""
        for rank, process in enumerate(self._processes):
            if process.poll() is not None:
                log = self._log(rank).read_text(encoding="utf-8", errors="replace")
                raise AssertionError(f"rank {rank} ended with {process.returncode}: {log[-3000:]}")

    @property
    def size(self) -> int:
        """How many ranks there are."""
        return len(self._cluster.nodes)

    def _start(self, rank: int) -> None:
        node = self._cluster.nodes[rank]
        argv = [sys.executable, "-m", "training.rank", "--rank", str(rank)]
        argv += ["--world", str(self.size), "--store", str(self._folder / "store")]
        argv += ["--marks", str(self._folder)]
        if node.name in self._stages:
            argv += ["--stage", str(self._stages[node.name])]
        environment = {
            **os.environ,
            "PYTHONPATH": str(_TESTS),
            "GLOO_SOCKET_IFNAME": self._rails,
            "OMP_NUM_THREADS": "1",
        }
        with self._log(rank).open("wb") as errors:
            process = self._cluster.popen(
                node,
                argv,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=errors,
                text=True,
                env=environment,
            )
        self._processes.append(process)
        said: list[str] = []
        self._said.append(said)
        threading.Thread(target=_listen, args=(process, said), daemon=True).start()

    def _await(self, word: str, deadline_seconds: float) -> None:
        def all_said() -> bool:
            self.check()
            return all(said[-1:] == [word] for said in self._said)

        wait_until(all_said, deadline_seconds, f"all ranks say {word}")

    def _log(self, rank: int) -> Path:
        return self._folder / f"rank-{rank}.log"

    def _end(self) -> None:
        """End the ranks; the cluster closes their pipes."""
        for process in self._processes:
            process.kill()
        for process in self._processes:
            process.wait()


class Run:
    """One plan under way."""

    def __init__(self, ranks: Ranks, plan: Plan, folder: Path) -> None:
        self._ranks, self.plan, self._folder = ranks, plan, folder

    def marks(self, rank: int = 0) -> list[Mark]:
        """The steps of *rank* so far, without those in which the job warms up."""
        path = self._folder / f"{self.plan.job_id}-{rank}.jsonl"
        return read_marks(path)[WARM_UP_STEPS:]

    def await_steps(self, count: int, deadline_seconds: float) -> list[Mark]:
        """Wait until *count* steps are through since the beginning; return rank 0's."""

        def reached() -> bool:
            self._ranks.check()
            return len(self.marks()) >= count

        wait_until(reached, deadline_seconds, f"{count} steps", poll_seconds=0.2)
        return self.marks()

    def stop(self) -> list[list[Mark]]:
        """End after one of the next steps; return the steps of all ranks."""
        newest = self.marks()[-1].step
        last = self._folder / f"{self.plan.job_id}.last"
        # Written whole or not at all: ranks look after every step.
        draft = last.with_suffix(".draft")
        draft.write_text(str(newest + _STEPS_AHEAD), encoding="ascii")
        draft.rename(last)
        self._ranks.await_end(self.plan)
        return [self.marks(rank) for rank in range(self._ranks.size)]


def _listen(process: subprocess.Popen[Any], said: list[str]) -> None:
    assert process.stdout is not None
    said.extend(line.strip() for line in iter(process.stdout.readline, ""))
