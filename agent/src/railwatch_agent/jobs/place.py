# SPDX-License-Identifier: Apache-2.0
"""Where on the node a job is: what step tracking has to know of it, and no more."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class JobPlace:
    """The rails and GPUs, by number, that are one job's alone.

    Of a node whose job nobody knows `job_id` is empty, and everything is its. Rails that jobs share
    are nobody's.
    """

    job_id: str
    rails: tuple[int, ...]
    gpus: tuple[int, ...]
