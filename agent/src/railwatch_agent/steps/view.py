# SPDX-License-Identifier: Apache-2.0
"""What is known of a job's steps: totals that never fall, and what holds now."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from railwatch.catalogue.step import Unresolved

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from railwatch_agent.steps.split import Split


@dataclass(frozen=True, slots=True)
class Totals:
    """What all steps so far add up to, in seconds and bytes; the parts of those that were split."""

    steps: int = 0
    seconds: float = 0.0
    transmit_bytes: float = 0.0
    split_steps: int = 0
    compute: float = 0.0
    communication: float = 0.0
    exposed: float = 0.0
    stalled: float = 0.0
    idle: float = 0.0

    def with_steps(self, count: int, seconds: float, transmit_bytes: float) -> Totals:
        """Return them with so many more steps."""
        return replace(
            self,
            steps=self.steps + count,
            seconds=self.seconds + seconds,
            transmit_bytes=self.transmit_bytes + transmit_bytes,
        )

    def with_parts(self, parts: Split, cell_seconds: float) -> Totals:
        """Return them with the parts of those steps of which all are known."""
        known = np.isfinite(parts.compute + parts.exposed + parts.idle)

        def seconds(cells: NDArray[np.float64]) -> float:
            return float(cells[known].sum()) * cell_seconds

        return replace(
            self,
            split_steps=self.split_steps + int(np.count_nonzero(known)),
            compute=self.compute + seconds(parts.compute),
            communication=self.communication + seconds(parts.communication),
            exposed=self.exposed + seconds(parts.exposed),
            stalled=self.stalled + seconds(parts.stalled),
            idle=self.idle + seconds(parts.idle),
        )


@dataclass(frozen=True, slots=True)
class View:
    """What is known of a job's steps now.

    `reason` says why nothing is known of them or, where there is a period, why they are not split.
    """

    totals: Totals = Totals()
    period_seconds: float | None = None
    confidence: float = 0.0
    reason: Unresolved | None = Unresolved.WARM_UP
    lag_seconds: float | None = None
    moved_at: float = -math.inf

    @property
    def is_split(self) -> bool:
        """Whether compute and communication are told apart now."""
        return self.period_seconds is not None and self.reason is None

    @property
    def withholds_split(self) -> bool:
        """Whether steps are counted now whose parts nobody knows."""
        return self.period_seconds is not None and self.reason is not None
