# SPDX-License-Identifier: Apache-2.0
"""Real traces as STEPS.parquet: a training log of step times, a timeline of operations.

    python -m evaluate.jobs.traces llama2 LOG.csv STEPS.parquet
    python -m evaluate.jobs.traces timeline OPERATIONS.parquet STEPS.parquet

The log (Zhejiang Lab LLM Trace Program) has a time for the end of each step and nothing else. The
timeline (ByteDance Seed, StragglerAnalysis) has a row for each operation of each rank; its clock
begins anew with every step, so steps are laid one after another. What a rank computes is `compute`;
all that it sends, receives and reduces, waiting for others included, is `communication`; what of
this no compute hides is `exposed`.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

COMPUTE = frozenset(("forward-compute", "backward-compute", "optimizer"))
_NEITHER = frozenset(("gc",))


def llama2_steps(log: pd.DataFrame) -> pd.DataFrame:
    """Return the steps of a log with columns `iter` and `log_ts`; the first has no begin."""
    log = log.sort_values("iter")
    return pd.DataFrame(
        {
            "instance": "llama2",
            "rank": 0,
            "job_id": "llama2",
            "step": log["iter"].to_numpy()[1:],
            "start": log["log_ts"].to_numpy()[:-1],
            "end": log["log_ts"].to_numpy()[1:],
            "compute_seconds": np.nan,
            "communication_seconds": np.nan,
            "exposed_communication_seconds": np.nan,
        }
    )


def timeline_steps(operations: pd.DataFrame, job_id: str = "timeline") -> pd.DataFrame:
    """Return the steps of a timeline with a row for each operation of each rank."""
    rows = []
    for (step, rank), mine in operations.groupby(["step", "rank"], sort=True):
        kinds = mine["optype"].astype(str)
        begins = mine["start_ts"].to_numpy(dtype=np.float64)
        ends = begins + mine["duration"].to_numpy(dtype=np.float64)
        computes = kinds.isin(COMPUTE).to_numpy()
        talks = ~computes & ~kinds.isin(_NEITHER).to_numpy()
        compute = covered(zip(begins[computes], ends[computes], strict=True))
        talking = covered(zip(begins[talks], ends[talks], strict=True))
        both = computes | talks
        either = covered(zip(begins[both], ends[both], strict=True))
        rows.append((step, rank, begins.min(), ends.max(), compute, talking, either - compute))
    split = ["compute_seconds", "communication_seconds", "exposed_communication_seconds"]
    steps = pd.DataFrame(rows, columns=["step", "rank", "start", "end", *split])
    return _one_after_another(steps).assign(
        instance=[f"node{rank}" for rank in steps["rank"]], job_id=job_id
    )


def covered(spans: Iterable[tuple[float, float]]) -> float:
    """Return how long at least one of *spans* lasts."""
    total, reached = 0.0, -np.inf
    for begin, end in sorted(spans):
        total += max(end - max(begin, reached), 0.0)
        reached = max(reached, end)
    return total


def _one_after_another(steps: pd.DataFrame) -> pd.DataFrame:
    extent = steps.groupby("step").agg(start=("start", "min"), end=("end", "max"))
    lengths = (extent["end"] - extent["start"]).cumsum().shift(1, fill_value=0.0)
    moved = (lengths - extent["start"]).reindex(steps["step"]).to_numpy()
    return steps.assign(start=steps["start"] + moved, end=steps["end"] + moved)


def main(arguments: list[str]) -> int:
    """Convert a file."""
    readers: Mapping[str, tuple[Callable[[Path], pd.DataFrame], Callable[..., pd.DataFrame]]] = {
        "llama2": (pd.read_csv, llama2_steps),
        "timeline": (pd.read_parquet, timeline_steps),
    }
    if len(arguments) != 3 or arguments[0] not in readers:
        sys.stderr.write(f"{__doc__}\n")
        return 2
    read, convert = readers[arguments[0]]
    convert(read(Path(arguments[1]))).to_parquet(arguments[2])
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
