"""Where the real rail trace is, and how much is drawn from which seed: by the environment."""

from __future__ import annotations

import os
from pathlib import Path

# Kept for what is committed; whoever changes a detector looks at other seeds.
_FINAL_SEED = 2026
_COUNT = 60
NO_TRACE = "Not measured: `RAILWATCH_TRACES` names no folder with the rail trace."
# Calibration and test part: the trace's halves, seconds.
MIDDLE = 780.0


def trace() -> Path | None:
    """Return the trace, None where there is none."""
    folder = os.environ.get("RAILWATCH_TRACES")
    return None if folder is None else Path(folder) / "rail_traffic_dev.parquet"


def seed() -> int:
    """Return the seed, RAILWATCH_EVALUATE_SEED."""
    return int(os.environ.get("RAILWATCH_EVALUATE_SEED", str(_FINAL_SEED)))


def count() -> int:
    """Return how many faults a row has, RAILWATCH_EVALUATE_COUNT."""
    return int(os.environ.get("RAILWATCH_EVALUATE_COUNT", str(_COUNT)))
