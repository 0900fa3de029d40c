# SPDX-License-Identifier: Apache-2.0
"""The job view: slowdowns, causes, stragglers, and what the detector adds."""

from __future__ import annotations

import os
from pathlib import Path

import pandas as pd

from evaluate.figures import revision
from evaluate.jobs import causes, gain, slowdowns, stragglers


def report() -> str:
    """Return the section of the page; without the real traces it says what is missing."""
    folder = os.environ.get("RAILWATCH_TRACES")
    real = "The real traces are not here: `RAILWATCH_TRACES` names no folder.\n"
    if folder is not None:
        log = pd.read_csv(Path(folder) / "llama2_7b_32gpu_steps_dev.csv")
        operations = pd.read_parquet(Path(folder) / "straggler_last_stage_dev.parquet")
        real = (
            f"### Slowdowns on a real log\n\n{slowdowns.on_the_log(log)}\n\n"
            f"### Stragglers on a real pipeline\n\n{stragglers.report(operations)}\n"
        )
    return (
        "## Jobs\n\n"
        f"At revision {revision()}. Shares have 95 % Wilson intervals.\n\n{real}\n"
        f"### Slowdowns of jobs that vary\n\n{slowdowns.on_simulated_jobs()}\n\n"
        f"### Why a job waits\n\n{causes.report()}\n\n"
        f"### What the detector adds\n\n{gain.report()}\n"
    )
