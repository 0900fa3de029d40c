# SPDX-License-Identifier: Apache-2.0
"""What a slow rank does to a recorded pipeline: its operations again, in the order of dependencies.

A rank runs its forward and backward passes in the order that was recorded; a forward pass waits for
the stage before, a backward pass for the stage after, and reductions for everybody. Only durations
of compute are the trace's. How much later the last rank is done than in the same model without the
fault is added to the recorded length of the step.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

    import pandas as pd

_PASSES = ("forward-compute", "backward-compute")


@dataclass(frozen=True, slots=True)
class _Pass:
    """A forward or backward pass of one micro-batch on one rank."""

    rank: int
    replica: int
    stage: int
    backward: bool
    batch: int
    seconds: float


def slowed(
    steps: pd.DataFrame, operations: pd.DataFrame, *, rank: int, factor: float, since: int
) -> pd.DataFrame:
    """Return *steps* with the compute of *rank* taking *factor* times as long.

    *since* counts steps; *steps* are those of `traces.timeline_steps`.
    """
    numbers = sorted(steps["step"].unique())[since:]
    table = steps.copy()
    for step in numbers:
        passes = _passes(operations[operations["step"] == step])
        later = _done(passes, {rank: factor}) - _done(passes, {})
        here = table["step"] == step
        culprit = here & (table["rank"] == rank)
        more = (factor - 1) * table.loc[culprit, "compute_seconds"].iloc[0]
        # Everybody's step is longer; all but the culprit wait for it.
        table.loc[here, "end"] += later
        table.loc[here, "exposed_communication_seconds"] += later
        table.loc[here, "communication_seconds"] += later
        table.loc[culprit, "compute_seconds"] += more
        for name in ("exposed_communication_seconds", "communication_seconds"):
            table.loc[culprit, name] = max(table.loc[culprit, name].iloc[0] - more, 0.0)
        table.loc[table["step"] > step, ["start", "end"]] += later
    return table


def _passes(operations: pd.DataFrame) -> list[_Pass]:
    found = operations[operations["optype"].isin(_PASSES)].sort_values("start_ts")
    return [
        _Pass(
            rank=int(row["rank"]),
            replica=int(row["dp_rank"]),
            stage=int(row["stage"]),
            backward=row["optype"] == "backward-compute",
            batch=int(row["seq_id"]),
            seconds=float(row["duration"]),
        )
        for row in found.to_dict("records")
    ]


def _done(passes: list[_Pass], slower: Mapping[int, float]) -> float:
    """When the last rank has run its last pass."""
    last = max(one.stage for one in passes)
    done: dict[tuple[int, int, bool, int], float] = {}
    free: dict[int, float] = {}
    # In the order of begins every pass comes after those that it waited for.
    for one in passes:
        ready = free.get(one.rank, 0.0)
        if one.backward and one.stage < last:
            ready = max(ready, done.get((one.replica, one.stage + 1, True, one.batch), 0.0))
        if not one.backward and one.stage > 0:
            ready = max(ready, done.get((one.replica, one.stage - 1, False, one.batch), 0.0))
        end = ready + one.seconds * slower.get(one.rank, 1.0)
        free[one.rank] = end
        done[one.replica, one.stage, one.backward, one.batch] = end
    return max(free.values())
