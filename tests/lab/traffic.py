"""The workload: steps of a data-parallel job that sends its gradients in a ring over every rail.

Run one process a node, inside the node's namespace. A step is a pause, which stands for compute on
the GPU, and then an all-reduce over all rails at once; the ring itself is the barrier. On its end,
after `--seconds` or SIGTERM to rank 0, every rank prints one line of JSON.
"""

from __future__ import annotations

import argparse
import json
import signal
import statistics
import sys
import time
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if not __package__:  # run as a file: its own folder is on the path, its package's is not
    sys.path[0] = str(Path(__file__).resolve().parents[1])

from lab.ring import PORT, Flag, RailReport, RingRail, connect

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from types import FrameType

# 38 ms on the wire at 200 Mbit/s; with four ranks a step takes about 0.4 s.
CHUNK_BYTES = 900_000
COMPUTE_SECONDS = 0.15
LONGEST_SECONDS = 60.0
# A pause looks this often whether the job should stop.
_PAUSE_SLICE_SECONDS = 0.1


@dataclass(frozen=True, slots=True)
class Pause:
    """The whole job rests, as for a checkpoint: from `at_seconds` after the start."""

    at_seconds: float
    for_seconds: float


@dataclass(frozen=True, slots=True)
class Plan:
    """What one rank is to do."""

    rank: int
    nodes: int
    rails: tuple[tuple[str, str], ...]
    chunk_bytes: int
    compute_seconds: float
    seconds: float
    pauses: tuple[Pause, ...]
    port: int


@dataclass(frozen=True, slots=True)
class Step:
    """One step, in seconds of CLOCK_MONOTONIC, which all namespaces share."""

    step: int
    start: float
    compute_end: float
    end: float


class Conductor:
    """Rank 0's decisions: when to rest and when to end. Other ranks hear them through the ring."""

    def __init__(self, plan: Plan) -> None:
        self._plan = plan
        self._start = time.monotonic()
        self._pauses_asked = 0
        self.stopped = False

    def stop(self, _number: int, _frame: FrameType | None) -> None:
        """End after this step (a signal handler)."""
        self.stopped = True

    def flag(self) -> Flag:
        """What to tell the others in this step."""
        if self._plan.rank != 0:
            return Flag.GO
        elapsed = time.monotonic() - self._start
        if self.stopped or elapsed >= self._plan.seconds:
            return Flag.LAST
        due = [pause for pause in self._plan.pauses if pause.at_seconds <= elapsed]
        if len(due) > self._pauses_asked:
            self._pauses_asked += 1
            return Flag.PAUSE
        return Flag.GO

    def rest(self, pause: Pause) -> None:
        """Let the pause pass, or the part of it before the end of the job."""
        end = time.monotonic() + pause.for_seconds
        while not self.stopped and (left := end - time.monotonic()) > 0:
            time.sleep(min(left, _PAUSE_SLICE_SECONDS))


def run(
    plan: Plan, conductor: Conductor, rails: Sequence[RingRail], note: Callable[[Step], None]
) -> list[Step]:
    """Run steps until rank 0 says that one is the last; return them all."""
    _all_reduce(rails, Flag.GO)  # ranks start apart: meet before the first step that counts
    pauses = iter(plan.pauses)
    steps: list[Step] = []
    while True:
        start = time.monotonic()
        flag = conductor.flag()
        time.sleep(plan.compute_seconds)
        compute_end = time.monotonic()
        flags = _all_reduce(rails, flag)
        steps.append(Step(len(steps), start, compute_end, time.monotonic()))
        note(steps[-1])
        if Flag.LAST in flags:
            return steps
        if Flag.PAUSE in flags:
            conductor.rest(next(pauses))


def _all_reduce(rails: Sequence[RingRail], flag: Flag) -> Flag:
    for rail in rails:
        rail.begin(flag)
    flags = Flag.GO
    for rail in rails:
        flags |= rail.finish()
    return flags


def summary(rank: int, steps: Sequence[Step], rails: Sequence[RailReport]) -> str:
    """The line of JSON that a rank prints; times in seconds."""
    durations = sorted(step.end - step.start for step in steps)
    report = {
        "rank": rank,
        "steps": len(steps),
        "step_seconds": {
            "mean": statistics.fmean(durations),
            "p50": durations[len(durations) // 2],
            "p95": durations[int(len(durations) * 0.95)],
            "max": durations[-1],
        },
        "communication_seconds": statistics.fmean(s.end - s.compute_end for s in steps),
        "cpu_seconds": time.process_time(),
        "rails": [asdict(rail) for rail in rails],
    }
    return json.dumps(report)


def parse(argv: Sequence[str]) -> tuple[Plan, Path | None]:
    """Read the command line into a plan and the file for its steps."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rank", type=int, required=True)
    parser.add_argument("--nodes", type=int, required=True, help="world size, at least 2")
    parser.add_argument(
        "--rail", nargs=2, action="append", required=True, metavar=("ADDRESS", "SUCCESSOR")
    )
    parser.add_argument("--chunk-bytes", type=int, default=CHUNK_BYTES)
    parser.add_argument("--compute", type=float, default=COMPUTE_SECONDS, metavar="S")
    parser.add_argument("--slow", type=float, default=0.0, metavar="S", help="added to compute")
    parser.add_argument("--seconds", type=float, default=LONGEST_SECONDS)
    parser.add_argument("--pause-at", type=float, action="append", default=[], metavar="S")
    parser.add_argument("--pause-for", type=float, action="append", default=[], metavar="S")
    parser.add_argument("--port", type=int, default=PORT, help="another for a second job")
    parser.add_argument("--steps-file", type=Path, help="one JSON line a step, as it ends")
    options = parser.parse_args(argv)
    if options.nodes < 2:
        parser.error(f"a ring needs at least 2 nodes, got {options.nodes}")
    if len(options.pause_at) != len(options.pause_for):
        parser.error("every --pause-at needs its --pause-for")
    pauses = [Pause(*pair) for pair in zip(options.pause_at, options.pause_for, strict=True)]
    plan = Plan(
        rank=options.rank,
        nodes=options.nodes,
        rails=tuple((address, successor) for address, successor in options.rail),
        chunk_bytes=options.chunk_bytes,
        compute_seconds=options.compute + options.slow,
        seconds=options.seconds,
        pauses=tuple(sorted(pauses, key=lambda pause: pause.at_seconds)),
        port=options.port,
    )
    return plan, options.steps_file


def main(argv: Sequence[str]) -> None:
    """Connect, run, report."""
    plan, steps_file = parse(argv)
    chunks = 2 * (plan.nodes - 1)
    rails = [
        RingRail(
            *connect(address, successor, plan.port), chunk_bytes=plan.chunk_bytes, chunks=chunks
        )
        for address, successor in plan.rails
    ]
    conductor = Conductor(plan)
    if plan.rank == 0:
        signal.signal(signal.SIGTERM, conductor.stop)
    with ExitStack() as stack:
        if steps_file:
            log = stack.enter_context(steps_file.open("w", buffering=1, encoding="ascii"))
            steps = run(plan, conductor, rails, lambda s: print(json.dumps(asdict(s)), file=log))
        else:
            steps = run(plan, conductor, rails, lambda _: None)
    print(summary(plan.rank, steps, [rail.close() for rail in rails]))  # noqa: T201  # its result


if __name__ == "__main__":
    main(sys.argv[1:])
