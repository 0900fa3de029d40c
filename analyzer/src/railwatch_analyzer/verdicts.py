# SPDX-License-Identifier: Apache-2.0
"""From scores to verdicts with hysteresis: pure transitions over arrays with a row per link.

One strong window alarms at once, weak ones have to repeat; clearing takes a row of clear windows.
No window, no change: unknown is not normal.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import IntEnum
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

ALARM = 1.0
SUSPICION = 0.5
# A link alarms when the scores of its alarming windows add up to this: one window that is far
# out of the ordinary, or several that are just so. Odd single windows of real jobs reach 3.
NEEDED = 4.0
# Windows in a row below suspicion that end an alarm: half a minute at the default window.
CLEAR_WINDOWS = 6
# How long what was last known holds without news.
HOLD_SECONDS = 900.0
# How long a link that was judged normal counts as normal without news.
_FRESH_SECONDS = 60.0


class Verdict(IntEnum):
    """Values of `railwatch_link_verdict`."""

    UNKNOWN = 0
    NORMAL = 1
    SUSPECT = 2
    DEGRADED = 3
    DOWN = 4


@dataclass(frozen=True, slots=True)
class Status:
    """What hysteresis remembers, a row per link.

    Attributes
    ----------
    pressure
        Sum of the alarming scores of late, 0 to NEEDED.
    clear
        Windows in a row below suspicion.
    degraded
        Whether the anomaly detector's alarm stands.
    score
        Score of the last judged window; NaN if none.
    judged_at
        End of that window, Unix seconds; NaN if none.
    onset
        End of the window before the first that made the standing alarm; NaN without one.
    """

    pressure: NDArray[np.float64]
    clear: NDArray[np.int64]
    degraded: NDArray[np.bool_]
    score: NDArray[np.float64]
    judged_at: NDArray[np.float64]
    onset: NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Evidence:
    """What several windows add up to, a row per link.

    `score` is 1 where that alarms, `since` when it began (Unix seconds), `is_over` where windows
    of late speak for an end.
    """

    score: NDArray[np.float64]
    since: NDArray[np.float64]
    is_over: NDArray[np.bool_]


def no_evidence(links: int) -> Evidence:
    """Return the evidence of *links* links against which windows add up to nothing."""
    return Evidence(np.zeros(links), np.full(links, np.nan), np.ones(links, dtype=bool))


def no_status(links: int) -> Status:
    """Return the status of *links* links that were never judged."""
    unknown = np.full(links, np.nan)
    return Status(
        pressure=np.zeros(links),
        clear=np.zeros(links, dtype=np.int64),
        degraded=np.zeros(links, dtype=bool),
        score=unknown,
        judged_at=unknown,
        onset=unknown,
    )


def after_window(  # noqa: PLR0913 - each is a fact of the window of its own
    status: Status,
    score: NDArray[np.float64],
    end: float,
    *,
    may_alarm: NDArray[np.bool_],
    explained: NDArray[np.bool_],
    unsure: NDArray[np.bool_],
    evidence: Evidence | None = None,
) -> Status:
    """Return *status* after a window that ended at *end*.

    Parameters
    ----------
    score
        Shape (links,); NaN where the window says nothing of the link.
    may_alarm
        Shape (links,); a link without peers may become suspect and no more.
    explained
        Shape (links,): what the window holds against these is another link's fault. They stay
        suspect, and it clears them: a link that was blamed too early is let go.
    unsure
        Shape (links,): not all of the group were heard in this window, and who was not may be to
        blame. No single window is enough then.
    evidence
        What windows add up to; None is nothing.
    """
    evidence = no_evidence(len(score)) if evidence is None else evidence
    judged = np.isfinite(score)
    alarming = judged & (score >= ALARM)
    quiet = judged & ((score < SUSPICION) | explained)
    most = np.where(unsure, NEEDED / 2, NEEDED)
    pressure = status.pressure + np.where(alarming, np.minimum(score, most), 0.0) - quiet
    pressure = np.where(explained, 0.0, np.clip(pressure, 0.0, NEEDED))
    clear = np.where(quiet, status.clear + 1, np.where(judged, 0, status.clear))
    ends = status.degraded & (clear >= CLEAR_WINDOWS) & evidence.is_over
    stands = status.degraded & ~ends
    # What was summed up before an end says nothing after it.
    summed = judged & ~explained & ~ends & (evidence.score >= ALARM)
    degraded = stands | (may_alarm & ((alarming & (pressure >= NEEDED)) | summed))
    begins = alarming & (status.pressure == 0) & ~status.degraded
    onset = np.where(begins, status.judged_at, status.onset)
    onset = np.where(summed & ~stands & ~(onset <= evidence.since), evidence.since, onset)
    return Status(
        pressure=np.where(degraded | (clear < CLEAR_WINDOWS), pressure, 0.0),
        clear=clear,
        degraded=degraded,
        score=np.where(judged, np.fmax(score, evidence.score), status.score),
        judged_at=np.where(judged, end, status.judged_at),
        onset=np.where(degraded | (pressure > 0), onset, np.nan),
    )


def after_silence(status: Status, now: float) -> Status:
    """Return *status* at *now*: what was heard too long ago is dropped."""
    silent = ~(now - status.judged_at <= HOLD_SECONDS)
    return replace(
        status,
        degraded=status.degraded & ~silent,
        pressure=np.where(silent, 0.0, status.pressure),
    )


def verdicts(
    status: Status, *, now: float, down: NDArray[np.bool_], by_rule: NDArray[np.bool_]
) -> NDArray[np.int64]:
    """Return the `Verdict` of each link at *now*; *by_rule* are degraded whatever their score."""
    fresh = now - status.judged_at <= _FRESH_SECONDS
    suspect = fresh & ((status.score >= SUSPICION) | (status.pressure > 0))
    found = np.where(fresh, int(Verdict.NORMAL), int(Verdict.UNKNOWN))
    found = np.where(suspect, int(Verdict.SUSPECT), found)
    found = np.where(fresh & status.degraded, int(Verdict.DEGRADED), found)
    found = np.where(by_rule, int(Verdict.DEGRADED), found)
    return np.asarray(np.where(down, int(Verdict.DOWN), found), dtype=np.int64)
