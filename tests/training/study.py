"""Long statistics of real training: what is said of its steps, beside the truth.

    PYTHONPATH=tests python -m training.study [--runs 3] [--seconds 60] [CELL ...]

writes TRAINING.md. Four nodes with an instrument each; cells in an order drawn from the seed.
"""

from __future__ import annotations

import argparse
import random
import subprocess
import sys
import tempfile
from dataclasses import dataclass, replace
from itertools import chain
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING

from lab.deployment import node_of
from lab.study import ROOT
from support.interval import wilson
from training import cells
from training.laboratory import ENERGY, GPM, SLOW_POWER, Laboratory
from training.observation import Observation, watch
from training.reading import harmonics

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from training.plan import Plan

_SEED = 20261128
_INSTRUMENTS = (ENERGY, ENERGY, GPM, SLOW_POWER)
_LAG_SECONDS = 0.05
# What a period should be known to, as a share of it.
_CLOSE = 0.01
_PLANS = (
    cells.HIDDEN,
    cells.SLIGHT,
    cells.MIDDLING,
    cells.BOUND,
    cells.ACCUMULATED,
    cells.stretched(cells.HIDDEN, 3),
    cells.stretched(cells.SLIGHT, 3),
    cells.stretched(cells.SLIGHT, 5),
    cells.stretched(cells.MIDDLING, 6),
    cells.stretched(cells.BOUND, 2),
    cells.LONG,
    cells.stretched(cells.ACCUMULATED, 3),
)
_LAGGING = tuple(
    replace(plan, job_id=f"{plan.job_id}-lag", lag_seconds=_LAG_SECONDS) for plan in _PLANS[5:]
)
_BROADCASTING = replace(
    cells.stretched(cells.SLIGHT, 3), job_id="slight-3-broadcast", broadcasts=True
)
_FAULTS = (cells.stretched(cells.STRAGGLER, 2), cells.stretched(cells.LATE_INPUT, 2))
PLANS = (*_PLANS, *_LAGGING, _BROADCASTING, *_FAULTS)


@dataclass(frozen=True, slots=True)
class Share:
    """The exposed share at one node of one run: in truth, as marked, and as inferred or why not."""

    true: float
    marked: float | None
    inferred: float | None
    reason: str


def share(observation: Observation, node: int) -> Share:
    """Return what was said of the share at a node."""
    marked = observation.parts(node, "marker")
    inferred = observation.parts(node, "inferred")
    reasons = observation.of(node, "inferred")[-1].reasons
    return Share(
        true=observation.true_share(node),
        marked=marked.exposed_share if marked.split_seconds else None,
        inferred=inferred.exposed_share if inferred.split_seconds else None,
        reason=", ".join(reasons),
    )


def share_rows(plan: Plan, runs: Sequence[Observation]) -> Iterable[str]:
    """Yield a row of the table for each instrument."""
    for instrument in dict.fromkeys(_INSTRUMENTS):
        nodes = [i for i, mine in enumerate(_INSTRUMENTS) if mine is instrument]
        found = [share(run, node) for run in runs for node in nodes]
        split = [abs(s.inferred - s.true) for s in found if s.inferred is not None]
        withheld = [s.reason or "unsaid" for s in found if s.inferred is None]
        marked = [abs(s.marked - s.true) for s in found if s.marked is not None]
        reasons = ", ".join(sorted(set(withheld)))
        yield (
            f"| {plan.job_id} | {median(run.true_period for run in runs):.2f} | "
            f"{100 * median(s.true for s in found):.1f} | {instrument.name} | "
            f"{1000 * plan.lag_seconds:.0f} | {_worst(marked)} | {_worst(split)} | {len(split)} | "
            f"{len(withheld)}{f' ({reasons})' if withheld else ''} |"
        )


def _worst(errors: Sequence[float]) -> str:
    """The median and the largest of errors, in points."""
    return f"{100 * median(errors):.1f}, {100 * max(errors):.1f}" if errors else "-"


def period_row(plan: Plan, runs: Sequence[Observation]) -> str:
    """Return the row of the table of periods."""
    nodes = range(len(_INSTRUMENTS))
    said = [p / run.true_period for run in runs for n in nodes for p in run.periods(n, "inferred")]
    looks = sum(len(run.looks) for run in runs) * len(_INSTRUMENTS)
    wrong = harmonics(said, 1.0)
    low, high = wilson(wrong, len(said)) if said else (0.0, 1.0)
    errors = [error for run in runs for n in nodes for error in run.period_errors(n, "inferred")]
    close = sum(error <= _CLOSE for error in errors)
    usual = f"{100 * median(errors):.2f}" if errors else "-"
    return (
        f"| {plan.job_id} | {median(run.true_period for run in runs):.2f} | {len(said)} of {looks} "
        f"| {usual} | {close} of {len(errors)} | {wrong} ({100 * low:.1f} to {100 * high:.1f} %) |"
    )


def job_row(plan: Plan, runs: Sequence[Observation], laboratory: Laboratory) -> str:
    """Return the row of the table of what the analyzer says."""
    verdicts = [verdict for run in runs for _, verdict in run.verdicts]
    until = [run.steps_until_bound() for run in runs]
    steps = sorted(count for count in until if count is not None)
    names = {node_of(node): node.name for node in laboratory.nodes}
    waited = {f"{names.get(node, node)} {kind}" for v in verdicts for node, kind in v.waited_for}
    causes = set(chain.from_iterable(verdict.causes for verdict in verdicts))
    accused = set(chain.from_iterable(verdict.accused for verdict in verdicts))
    true = median(run.true_share(node) for run in runs for node in range(len(_INSTRUMENTS)))
    return (
        f"| {plan.job_id} | {100 * true:.1f} | {len(steps)} of {len(runs)} | "
        f"{', '.join(map(str, steps)) or '-'} | {', '.join(sorted(causes)) or '-'} | "
        f"{', '.join(sorted(waited)) or '-'} | {', '.join(sorted(accused)) or '-'} |"
    )


def report(runs: dict[str, list[Observation]], laboratory: Laboratory, seconds: float) -> str:
    """Return the page."""
    describe = ["git", "describe", "--always", "--dirty"]
    done = subprocess.run(describe, cwd=ROOT, check=True, capture_output=True, text=True)
    plans = [plan for plan in PLANS if plan.job_id in runs]
    count = max(len(of) for of in runs.values())
    return "\n".join(
        [
            "# Training",
            "",
            "PyTorch DistributedDataParallel over gloo on four network namespaces, one rail of 200",
            "Mbit/s each: gradients, buckets, overlap and ring all-reduce are real, device time is",
            "slept and replayed into the stand-in for NVML, the truth is the communication hook's.",
            "An agent in every node, the analyzer scrapes the four each second. GPUs differ by",
            f"node: two with {ENERGY.name}, one with {GPM.name}, one with {SLOW_POWER.name}.",
            "",
            f"`make lab`, seed {_SEED}, revision {done.stdout.strip()}, {count} runs a job,",
            f"{seconds:g} s each, 2 cores for everything.",
            "",
            "## The exposed share",
            "",
            "Errors in points of a hundredth: median and worst over nodes and runs. The true share",
            "counts waiting for gradients of others; from outside that is stalled where no bytes",
            "move, so that the last two jobs differ. The last columns: how often a share was said,",
            "and how often not, with the reason.",
            "",
            "| job | step s | true % | instrument | lag ms | marked | inferred | said | withheld |",
            "|---|---|---|---|---|---|---|---|---|",
            *chain.from_iterable(share_rows(plan, runs[plan.job_id]) for plan in plans),
            "",
            "## The period, from bytes alone",
            "",
            "Looks of one second at each node, against the steps until then; where steps differ,",
            "both their mean and their median are their length. Looks share what they see, so that",
            "intervals (95 %, Wilson) are narrower than they should be.",
            "",
            "| job | step s | with a period | median error % | within 1 % | off by a quarter |",
            "|---|---|---|---|---|---|",
            *(period_row(plan, runs[plan.job_id]) for plan in plans),
            _all_periods(chain.from_iterable(runs.values())),
            "",
            "## What is said of the jobs",
            "",
            "Steps count from the job's first. Between 12 and 20 % nothing changes: what is there",
            "is neither called bound nor free.",
            "",
            "| job | true % | called bound | after steps | causes | waited for | links accused |",
            "|---|---|---|---|---|---|---|",
            *(job_row(plan, runs[plan.job_id], laboratory) for plan in plans),
            "",
        ]
    )


def _all_periods(runs: Iterable[Observation]) -> str:
    found = [
        (len(said), harmonics(said, run.true_period))
        for run in runs
        for said in (run.periods(n, "inferred") for n in range(len(_INSTRUMENTS)))
    ]
    looks, wrong = (sum(column) for column in zip(*found, strict=True))
    low, high = wilson(wrong, looks)
    return f"| all | | {looks} | | | {wrong} ({100 * low:.2f} to {100 * high:.2f} %) |"


def main() -> int:
    """Run the cells that are named, or all, and write TRAINING.md."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument("cells", nargs="*", help=", ".join(plan.job_id for plan in PLANS))
    options = parser.parse_args()
    chosen = [p for p in PLANS if not options.cells or p.job_id in options.cells] * options.runs
    random.Random(_SEED).shuffle(chosen)
    runs: dict[str, list[Observation]] = {}
    with tempfile.TemporaryDirectory() as folder, Laboratory(Path(folder), _INSTRUMENTS) as lab:
        for number, plan in enumerate(chosen):
            # A job's name is its own: what is known of one must not count for the next.
            its_own = replace(plan, job_id=f"{plan.job_id}-{number}")
            seen = watch(lab, its_own, lambda _: False, options.seconds)
            runs.setdefault(plan.job_id, []).append(seen)
            sys.stdout.write(f"{job_row(its_own, [seen], lab)}\n")
            sys.stdout.writelines(f"{row}\n" for row in share_rows(its_own, [seen]))
            sys.stdout.write(f"{period_row(its_own, [seen])}\n")
            sys.stdout.flush()
        page = report(runs, lab, options.seconds)
    (ROOT / "TRAINING.md").write_text(page, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
