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
    from collections.abc import Sequence

    from lab.cluster import Cluster
    from training.plan import Plan

_TESTS = Path(__file__).parent.parent
# Four imports of torch on two busy cores.
_START_SECONDS = 90.0
_END_SECONDS = 30.0
# Ranks and agents sleep most of the time; when they wake they go before whatever else is running,
# as on nodes that have no more processes than processors.
FIRST = ("nice", "-n", "-10")
# Ranks are in the same step, or in the next one.
_STEPS_AHEAD = 3
# The first steps are those in which DDP orders its buckets anew.
WARM_UP_STEPS = 3


class Ranks:
    """One rank a node of *cluster*, on its *rails*; they outlive their plans.

    In the order of the nodes, `stages` are the files of the stand-ins for NVML, and `sockets` those
    that take step markers.
    """

    def __init__(
        self,
        cluster: Cluster,
        folder: Path,
        stages: Sequence[Path] = (),
        sockets: Sequence[Path] = (),
        rails: str = "rail0",
    ) -> None:
        self._cluster = cluster
        self._folder = folder
        self._stages = stages
        self._sockets = sockets
        self._rails = rails
        self._said: list[str] = []
        self._has_met = False
        self._process: subprocess.Popen[Any]

    def __enter__(self) -> Self:
        self._folder.mkdir(parents=True, exist_ok=True)
        self._start()
        return self

    def __exit__(self, *exception: object) -> None:
        # The kernel ends its children with it.
        self._process.kill()
        self._process.wait()

    @property
    def size(self) -> int:
        """How many ranks there are."""
        return len(self._cluster.nodes)

    def begin(self, plan: Plan) -> Run:
        """Give all ranks a plan, once they are ready, and return at once."""
        self.await_ready()
        self._said.clear()
        assert self._process.stdin is not None
        self._process.stdin.write(f"{plan.to_json()}\n")
        self._process.stdin.flush()
        return Run(self, plan, self._folder)

    def await_ready(self) -> None:
        """Wait until all ranks have met for the first time."""
        if not self._has_met:
            self.await_all("ready", _START_SECONDS)
            self._has_met = True

    def await_all(self, word: str, deadline_seconds: float) -> None:
        """Wait until all ranks have said so."""
        expected = {f"{rank} {word}" for rank in range(self.size)}

        def all_said() -> bool:
            self.check()
            return expected <= set(self._said)

        wait_until(all_said, deadline_seconds, f"all ranks say {word}")

    def check(self) -> None:
        """Raise what a rank that failed has printed."""
        if self._process.poll() is not None:
            log = self._log.read_text(encoding="utf-8", errors="replace")
            raise AssertionError(f"a rank ended: {log[-3000:]}")

    @property
    def _log(self) -> Path:
        return self._folder / "ranks.log"

    def _start(self) -> None:
        argv = [*FIRST, sys.executable, "-m", "training.ranks", "--marks", str(self._folder)]
        for node in self._cluster.nodes:
            argv += ["--namespace", node.namespace]
        for stage in self._stages:
            argv += ["--stage", str(stage)]
        for socket in self._sockets:
            argv += ["--socket", str(socket)]
        one_thread = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"), "1")
        environment = {
            **os.environ,
            **one_thread,
            "PYTHONPATH": str(_TESTS),
            "GLOO_SOCKET_IFNAME": self._rails,
        }
        with self._log.open("wb") as errors:
            self._process = self._cluster.popen(
                self._cluster.fabric,
                argv,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=errors,
                text=True,
                env=environment,
            )
        threading.Thread(target=self._listen, daemon=True).start()

    def _listen(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            self._said.append(line.strip())


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
        self._ranks.await_all(self.plan.job_id, _END_SECONDS)
        return [self.marks(rank) for rank in range(self._ranks.size)]
