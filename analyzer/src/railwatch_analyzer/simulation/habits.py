# SPDX-License-Identifier: Apache-2.0
"""How a real cluster's counters are refreshed and polled, in numbers taken from a public trace.

Derived by `tests/evaluate/habits.py` from the development part of the Zhejiang Lab LLM Trace
Program (Zhejiang Lab, 2024, repository zhejianglab/Zhejiang-Lab-Cluster-Traces, CC BY 4.0): 26
minutes of 340 NICs on 20 leaf switches. The numbers are ours; the trace is no part of the product.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from railwatch_analyzer.simulation.model import Noise


@dataclass(frozen=True, slots=True)
class Habits:
    """How counters are read.

    Attributes
    ----------
    poll_quantiles
        Shares, and the seconds between two polls of a switch that so many stay below.
    refresh_seconds, refresh_jitter_seconds
        How often what is polled changes at all, and the standard deviation of when.
    sweep_seconds
        How long a switch takes to refresh all of its ports, one after the other.
    missed_share
        Share of its ports that a poll of a switch leaves out.
    offset_share, drift_share
        What the bursts of a NIC differ by from its peers' for good, and from minutes to minutes:
        standard deviations of log ratios.
    job_pauses_per_hour, job_pause_seconds
        How often a whole job stands still, and the shortest and longest of those times.
    """

    poll_quantiles: tuple[tuple[float, float], ...]
    refresh_seconds: float
    refresh_jitter_seconds: float
    sweep_seconds: float
    missed_share: float
    offset_share: float
    drift_share: float
    job_pauses_per_hour: float
    job_pause_seconds: tuple[float, float]


def with_habits(noise: Noise, habits: Habits) -> Noise:
    """Return *noise* with the offsets, drift and pauses of *habits*."""
    return replace(
        noise,
        nic_offset=habits.offset_share,
        nic_drift=habits.drift_share,
        pauses_per_hour=habits.job_pauses_per_hour,
        pause_seconds=habits.job_pause_seconds,
    )


# A perfect observer: polls every half a second sharp, of counters that are always fresh.
PERFECT = Habits(
    poll_quantiles=((0.0, 0.5), (1.0, 0.5)),
    refresh_seconds=0.0,
    refresh_jitter_seconds=0.0,
    sweep_seconds=0.0,
    missed_share=0.0,
    offset_share=0.0,
    drift_share=0.0,
    job_pauses_per_hour=0.0,
    job_pause_seconds=(0.0, 0.0),
)

ZHEJIANG = Habits(
    poll_quantiles=(
        (0, 0.472),
        (0.05, 0.500),
        (0.25, 0.506),
        (0.5, 0.571),
        (0.75, 0.664),
        (0.9, 0.810),
        (0.95, 1.016),
        (0.99, 1.843),
        (0.999, 3.794),
        (1, 5.811),
    ),
    refresh_seconds=1.029,
    refresh_jitter_seconds=0.110,
    sweep_seconds=0.329,
    missed_share=0.0035,
    offset_share=0.028,
    drift_share=0.000,
    job_pauses_per_hour=0.79,
    job_pause_seconds=(10, 10),
)
