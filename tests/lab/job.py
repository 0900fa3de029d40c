"""A training job on a lab cluster: one workload process a node, and what they report."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import tempfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from lab import traffic
from lab.ring import PORT
from support.conditions import wait_until

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from types import TracebackType

    from lab.cluster import Cluster, Node

_START_DEADLINE_SECONDS = 15.0
_END_DEADLINE_SECONDS = 30.0


@dataclass(frozen=True, slots=True)
class RailResult:
    """What one rank moved over one rail."""

    sent_bytes: int
    received_bytes: int
    retransmitted_bytes: int
    retransmitted_segments: int


@dataclass(frozen=True, slots=True)
class RankResult:
    """What one rank says of its run; times in seconds."""

    rank: int
    steps: int
    step_seconds: Mapping[str, float]
    communication_seconds: float
    cpu_seconds: float
    rails: tuple[RailResult, ...]


@dataclass(frozen=True, slots=True)
class Workload:
    """What the job does: see `traffic`. `slow_seconds` adds compute to single ranks."""

    seconds: float = traffic.LONGEST_SECONDS
    chunk_bytes: int = traffic.CHUNK_BYTES
    compute_seconds: float = traffic.COMPUTE_SECONDS
    slow_seconds: Mapping[int, float] = field(default_factory=dict)
    pauses: Sequence[traffic.Pause] = ()
    port: int = PORT

    def options(self, rank: int) -> list[str]:
        """Its share of the command line of `rank`."""
        options = ["--seconds", str(self.seconds), "--chunk-bytes", str(self.chunk_bytes)]
        options += ["--compute", str(self.compute_seconds), "--port", str(self.port)]
        options += ["--slow", str(self.slow_seconds.get(rank, 0.0))]
        for pause in self.pauses:
            options += ["--pause-at", str(pause.at_seconds)]
            options += ["--pause-for", str(pause.for_seconds)]
        return options


class Job:
    """`workload` on `nodes`, by default all of the cluster's; entering it waits for the first step.

    `stop` ends it after the current step. A second job on the same nodes needs a port of its own.
    """

    def __init__(
        self,
        cluster: Cluster,
        workload: Workload | None = None,
        nodes: Sequence[Node] | None = None,
    ) -> None:
        self._cluster = cluster
        self._workload = workload or Workload()
        self._nodes = nodes or cluster.nodes
        self._folder = tempfile.TemporaryDirectory(prefix="lab-job-")
        self._processes: list[subprocess.Popen[Any]] = []

    def __enter__(self) -> Self:
        try:
            self._start()
        except BaseException:
            self._end()
            raise
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._end()

    def steps(self, rank: int = 0) -> list[traffic.Step]:
        """The steps that `rank` has finished so far."""
        path = self._steps_file(rank)
        text = path.read_text(encoding="ascii") if path.exists() else ""
        whole = text[: text.rfind("\n") + 1]
        return [traffic.Step(**json.loads(line)) for line in whole.splitlines()]

    def wait_for_steps(self, count: int, deadline_seconds: float) -> list[traffic.Step]:
        """Wait until `count` more steps are through; return those of rank 0 that were awaited."""
        before = len(self.steps())

        def reached() -> bool:
            self._assert_alive()
            return len(self.steps()) >= before + count

        wait_until(reached, deadline_seconds, f"{count} steps after step {before}")
        return self.steps()[before:]

    def stop(self) -> None:
        """Ask the job to end after its current step; `results` waits for it."""
        self._processes[0].send_signal(signal.SIGTERM)

    def results(self, deadline_seconds: float | None = None) -> list[RankResult]:
        """Wait for the end of the job; return what the ranks report, by rank."""
        deadline_seconds = deadline_seconds or self._workload.seconds + _END_DEADLINE_SECONDS
        outputs = [process.communicate(timeout=deadline_seconds) for process in self._processes]
        for process, (_, errors) in zip(self._processes, outputs, strict=True):
            assert process.returncode == 0, errors
        return [_result(output) for output, _ in outputs]

    def _start(self) -> None:
        for rank, node in enumerate(self._nodes):
            process = self._cluster.popen(
                node,
                [sys.executable, "-ES", traffic.__file__, *self._options(rank)],
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                text=True,
            )
            self._processes.append(process)
        self.wait_for_steps(1, _START_DEADLINE_SECONDS)

    def _options(self, rank: int) -> list[str]:
        node, successor = self._nodes[rank], self._nodes[(rank + 1) % len(self._nodes)]
        options = ["--rank", str(rank), "--nodes", str(len(self._nodes))]
        options += ["--steps-file", str(self._steps_file(rank)), *self._workload.options(rank)]
        for rail in range(self._cluster.rails):
            options += ["--rail", node.rail_address(rail), successor.rail_address(rail)]
        return options

    def _steps_file(self, rank: int) -> Path:
        return Path(self._folder.name) / f"steps-{rank}.jsonl"

    def _assert_alive(self) -> None:
        for rank, process in enumerate(self._processes):
            if process.poll() not in (None, 0):
                raise AssertionError(f"rank {rank} failed: {process.communicate()[1]}")

    def _end(self) -> None:
        for process in self._processes:
            if process.poll() is None:
                process.kill()
            process.wait()
        self._folder.cleanup()


def _result(line: str) -> RankResult:
    report = json.loads(line)
    rails = tuple(RailResult(**rail) for rail in report.pop("rails"))
    return RankResult(**report, rails=rails)
