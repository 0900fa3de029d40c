# SPDX-License-Identifier: Apache-2.0
"""The agent's own budget: while it costs more than it may, fast samples are taken less often.

Pure: how much processor time has been used goes in, by how much to slow down comes out.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Final

# Long enough that one scrape or one round of slow collectors is no reason.
PERIOD_SECONDS: Final = 30.0
# A rate that is doubled again may double the cost; that must have been bearable for so long.
_CALM_PERIODS: Final = 10
_MARGIN: Final = 0.9
_MOST: Final = 16


@dataclass(frozen=True, slots=True)
class Throttle:
    """How things stand: `factor` is how many times longer than configured the interval is.

    `budget_ratio` is the share of one core that may be used.
    """

    budget_ratio: float
    factor: int = 1
    began_at: float | None = None
    cpu_seconds: float = 0.0
    calm_periods: int = 0
    has_started: bool = False

    def after(self, now: float, cpu_seconds: float) -> Throttle:
        """Return how things stand when *cpu_seconds* have been used in all by *now*."""
        if self.began_at is None or cpu_seconds < self.cpu_seconds:
            return replace(self, began_at=now, cpu_seconds=cpu_seconds)
        if now - self.began_at < PERIOD_SECONDS:
            return self
        if not self.has_started:
            # Starting costs what a minute of work does, once.
            return replace(self, has_started=True, began_at=now, cpu_seconds=cpu_seconds)
        used = (cpu_seconds - self.cpu_seconds) / (now - self.began_at)
        factor, calm = self._judge(used)
        return replace(
            self, factor=factor, calm_periods=calm, began_at=now, cpu_seconds=cpu_seconds
        )

    def _judge(self, used: float) -> tuple[int, int]:
        if used > self.budget_ratio:
            return min(2 * self.factor, _MOST), 0
        if self.factor == 1 or 2 * used > _MARGIN * self.budget_ratio:
            return self.factor, 0
        if self.calm_periods + 1 < _CALM_PERIODS:
            return self.factor, self.calm_periods + 1
        return self.factor // 2, 0
