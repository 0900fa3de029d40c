# SPDX-License-Identifier: Apache-2.0
"""Who is named on a real pipeline: nobody as it is, and the rank that was made slow."""

from __future__ import annotations

from typing import TYPE_CHECKING

from evaluate.counting import share, table
from evaluate.jobs.pipeline import slowed
from evaluate.jobs.telling import frames_of, records_of, tell
from evaluate.jobs.traces import timeline_steps

if TYPE_CHECKING:
    import pandas as pd

_FACTORS = (1.05, 1.10, 1.20, 1.35, 1.60, 2.35)


def report(operations: pd.DataFrame) -> str:
    """Return what is said of the trace as it is, and with each rank slowed."""
    steps = timeline_steps(operations)
    ranks = sorted(steps["rank"].unique())
    count = steps["step"].nunique()
    heard = tell(frames_of(records_of(steps)))
    kinds = ", ".join(sorted({line.kind.value for line in heard.lines})) or "nothing"
    said = heard.firing("straggler")
    rows = []
    for since in (0, count // 2):
        for factor in _FACTORS:
            named = [_named(steps, operations, rank, factor, since) for rank in ranks]
            right = sum(who == {f"node{rank}"} for who, rank in zip(named, ranks, strict=True))
            wrong = sum(bool(who - {f"node{r}"}) for who, r in zip(named, ranks, strict=True))
            when = "the beginning" if since == 0 else f"step {since} of {count}"
            size = len(ranks)
            rows.append([when, f"{factor:.2f}", share(right, size), share(wrong, size)])
    head = ("slow since", "factor of compute", "named, and no other", "another named")
    return (
        f"Pipeline of {len(ranks)} ranks whose last stage computes 1.6 times as long as the "
        f"others, {count} recorded steps: {len(said)} stragglers as it is (said: {kinds}). With "
        f"the compute of each rank in turn made longer, the others waiting by the dependencies of "
        f"the pipeline:\n\n{table(head, rows)}"
    )


def _named(
    steps: pd.DataFrame, operations: pd.DataFrame, rank: int, factor: float, since: int
) -> set[str]:
    table_of = slowed(steps, operations, rank=rank, factor=factor, since=since)
    return {line.node for line in tell(frames_of(records_of(table_of))).firing("straggler")}
