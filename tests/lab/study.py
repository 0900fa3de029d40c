"""Long lab.study: what is found, how fast, and how often in vain. Writes LAB.md.

    PYTHONPATH=tests python -m lab.study [--runs 10] [--quiet-minutes 5]

One cluster and one deployment with default settings for all runs of a cell; a fault begins at a
random moment of the analyzer's and the agents' cycles, drawn from the seed.
"""

from __future__ import annotations

import argparse
import random
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from lab import faults
from lab.cluster import Cluster, Node
from lab.deployment import Deployment, node_of
from lab.job import Job, Workload
from lab.traffic import Pause
from support.conditions import DeadlineError, wait_until
from support.interval import wilson

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from contextlib import AbstractContextManager

    from support.webhook import DeliveredAlert

    Inject = Callable[[Cluster, Node, int], AbstractContextManager[None]]

ROOT = Path(__file__).parent.parent.parent
_SEED = 20261122
_PATIENCE_SECONDS = 60.0
_RESOLVE_SECONDS = 150.0


@dataclass(frozen=True)
class Cell:
    """One kind of fault and the alert that it should raise."""

    name: str
    alert: str
    limit_seconds: float
    inject: Inject


@dataclass(frozen=True)
class Run:
    """One fault: seconds until its alert, None if none came, and what else was accused."""

    seconds: float | None
    wrong: tuple[str, ...]


CELLS = (
    Cell(
        "transmit cap to 1/4",
        "RailwatchLinkDegraded",
        20.0,
        lambda c, n, r: faults.cap_transmit(c, n, r, 0.25),
    ),
    Cell(
        "transmit cap to 1/2",
        "RailwatchLinkDegraded",
        20.0,
        lambda c, n, r: faults.cap_transmit(c, n, r, 0.5),
    ),
    Cell(
        "receive cap to 1/4",
        "RailwatchLinkDegraded",
        20.0,
        lambda c, n, r: faults.cap_receive(c, n, r, 0.25),
    ),
    Cell("link down", "RailwatchLinkDown", 10.0, faults.link_down),
)


class Laboratory:
    """A cluster with a job and everything installed."""

    def __init__(
        self, cluster: Cluster, deployment: Deployment, random_state: random.Random
    ) -> None:
        self._cluster = cluster
        self._deployment = deployment
        self._random = random_state

    def _alerts(self) -> list[DeliveredAlert]:
        return self._deployment.stack.delivered.alerts()

    def run(self, cell: Cell) -> Run:
        """Inject one fault of *cell* and wait for its alert and for everything to resolve."""
        node = self._random.choice(self._cluster.nodes)
        rail = self._random.randrange(self._cluster.rails)
        time.sleep(self._random.uniform(0.0, 5.0))
        known = len(self._alerts())
        place = (cell.alert, node_of(node), str(rail))

        def named() -> bool:
            return place in self._accused(known)

        began, seconds = time.time(), None
        with cell.inject(self._cluster, node, rail):
            try:
                wait_until(named, _PATIENCE_SECONDS, cell.name)
            except DeadlineError:
                pass
            else:
                seconds = self._accused(known)[place] - began
        wait_until(self._is_quiet, _RESOLVE_SECONDS, "everything resolved", poll_seconds=0.5)
        others = set(self._accused(known)) - {place}
        return Run(seconds, tuple(" ".join(other) for other in sorted(others)))

    def _accused(self, known: int) -> dict[tuple[str, str, str], float]:
        """Places accused since the first *known* alerts, and when the webhook heard first.

        A group that changes repeats the ends of earlier alerts: those accuse nobody.
        """
        found: dict[tuple[str, str, str], float] = {}
        for alert in self._alerts()[known:]:
            if alert.status == "firing":
                found.setdefault(_place(alert), alert.received_seconds)
        return found

    def _is_quiet(self) -> bool:
        newest = {_place(alert): alert.status for alert in self._alerts()}
        links = self._deployment.analyzer.links()["links"]
        return "firing" not in newest.values() and all(
            link["verdict"] == "normal" for link in links
        )


def _place(alert: DeliveredAlert) -> tuple[str, str, str]:
    labels = alert.labels
    return (alert.name, labels.get("node", ""), labels.get("rail", ""))


def _row(cell: Cell, runs: Sequence[Run]) -> str:
    delays = sorted(run.seconds for run in runs if run.seconds is not None)
    in_time = sum(delay <= cell.limit_seconds for delay in delays)
    low, high = wilson(in_time, len(runs))
    wrong = sum(len(run.wrong) for run in runs)
    middle = f"{delays[len(delays) // 2]:.1f}" if delays else "-"
    worst = f"{delays[-1]:.1f}" if delays else "-"
    return (
        f"| {cell.name} | `{cell.alert}` | {in_time} of {len(runs)} within "
        f"{cell.limit_seconds:g} s ({low:.0%} to {high:.0%}) | {middle} | {worst} | {wrong} |"
    )


def _report(rows: Sequence[str], quiet: str, wrongs: Sequence[str]) -> str:
    revision = subprocess.run(
        ["git", "describe", "--always", "--dirty"],
        cwd=ROOT,
        check=True,
        capture_output=True,
        text=True,
    ).stdout.strip()
    return "\n".join(
        [
            "# Lab",
            "",
            "Four network namespaces with two rails of 200 Mbit/s each, real TCP traffic in a ring",
            "in lockstep, an agent in every node with default settings (20 ms, 5 s windows), the",
            "real Prometheus and Alertmanager at 1 s (`group_wait: 1s`), the analyzer reading that",
            "Prometheus every second. Node, rail and moment of each fault are drawn from the seed.",
            "Seconds run from the fault to the webhook; wrong accusations are alerts of any other",
            "place or kind. Shares with 95 % Wilson intervals.",
            "",
            f"`make lab`, seed {_SEED}, revision {revision}, 2 cores for everything.",
            "",
            "| fault | alert | found | median s | worst s | wrong accusations |",
            "|---|---|---|---|---|---|",
            *rows,
            "",
            quiet,
            *wrongs,
            "",
        ]
    )


def _quiet(laboratory: Deployment, job: Job, minutes: float) -> str:
    known = len(laboratory.stack.delivered.alerts())
    steps = len(job.steps())
    end = time.monotonic() + 60.0 * minutes
    while time.monotonic() < end:
        time.sleep(1.0)
    alerts = laboratory.stack.delivered.alerts()[known:]
    return (
        f"Null run: {minutes:g} minutes, {len(job.steps()) - steps} steps, pauses of 8 s every "
        f"two minutes: {len(alerts)} notifications."
    )


def main() -> int:
    """Run every cell and write LAB.md."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--runs", type=int, default=10)
    parser.add_argument("--quiet-minutes", type=float, default=5.0)
    options = parser.parse_args()
    pauses = [Pause(at_seconds=60.0 + 120.0 * k, for_seconds=8.0) for k in range(60)]
    rows, wrongs = [], []
    with (
        tempfile.TemporaryDirectory() as directory,
        Cluster() as cluster,
        Job(cluster, Workload(seconds=7200.0, pauses=pauses)) as job,
        Deployment(cluster, Path(directory)) as deployment,
    ):
        wait_until(deployment.analyzer.has_learned, 120.0, "every link judged", poll_seconds=1.0)
        quiet = _quiet(deployment, job, options.quiet_minutes)
        sys.stdout.write(f"{quiet}\n")
        laboratory = Laboratory(cluster, deployment, random.Random(_SEED))
        for cell in CELLS:
            runs = []
            for number in range(1, options.runs + 1):
                run = laboratory.run(cell)
                runs.append(run)
                sys.stdout.write(f"{cell.name} {number}: {run}\n")
                sys.stdout.flush()
            rows.append(_row(cell, runs))
            wrongs += [f"- {cell.name}: {name}" for run in runs for name in run.wrong]
    (ROOT / "LAB.md").write_text(_report(rows, quiet, wrongs), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
