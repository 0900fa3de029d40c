# SPDX-License-Identifier: Apache-2.0
"""What every live source of frames is, what it fetches, and when a sample is too old to count."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from railwatch_analyzer.frame import FETCHED, JOB_INFO, NEIGHBOR_INFO
from railwatch_analyzer.step_frame import STEP_FETCHED

if TYPE_CHECKING:
    from railwatch_analyzer.frame import Frame

# Families that fill the cells of a frame, name its rows, or count a job's steps.
FETCHED_NAMES = frozenset(
    (*(spec.name for spec in FETCHED), JOB_INFO, NEIGHBOR_INFO, *STEP_FETCHED)
)
# For so long a node that says nothing more counts as missed; then it is no longer expected.
EXPECTED_SECONDS = 900.0


class Source(Protocol):
    """Something that can be asked, once a cycle, for the newest state of the fleet."""

    def fetch(self) -> Frame:
        """Return what is known now.

        Raises
        ------
        SourceError
            If nothing is; the caller keeps what it knew.
        """
        ...

    def close(self) -> None:
        """Give the connections back."""
        ...


def stale_after_seconds(interval_seconds: float) -> float:
    """Age at which the newest sample of a series no longer says how things are.

    Two samples in a row may be lost; a slow network alone makes nothing missing.
    """
    return max(3.0 * interval_seconds, 15.0)
