# SPDX-License-Identifier: Apache-2.0
"""All that the analyzer knows between rounds; a value, so that a round is a pure fold over it."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from enum import IntEnum
from typing import TYPE_CHECKING

import numpy as np

from railwatch_analyzer.baseline import Baseline, no_past
from railwatch_analyzer.detectors.cusum import STREAMS, Sums, no_sums
from railwatch_analyzer.detectors.run_length import ASSUMED
from railwatch_analyzer.features import FEATURES
from railwatch_analyzer.history import Collecting, nothing_collected
from railwatch_analyzer.jobs.state import Jobs
from railwatch_analyzer.rows import moved, moved_array, places
from railwatch_analyzer.verdicts import HOLD_SECONDS, Status, no_status

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from railwatch_analyzer.detectors.shortfall import ShortfallDetector
    from railwatch_analyzer.detectors.state import Ruling
    from railwatch_analyzer.findings import Accusation, Finding, Key
    from railwatch_analyzer.frame import Link

# A link that was not seen for a day is no longer part of the fleet.
FORGET_SECONDS = 86_400.0


class Silence(IntEnum):
    """Why the last window said nothing of a link."""

    NONE = 0
    NO_DATA = 1
    IDLE = 2
    OTHER_WORK = 3
    LEARNING = 4


@dataclass(frozen=True, slots=True)
class Picture:
    """What the last judged window of each link looked like; kept while it says nothing new.

    Attributes
    ----------
    observed, expected
        Shape (links, features), bytes/s, ratio or events/s; NaN is unknown.
    deviation, badness
        Shape (links, features): on the scale of comparison, and in spreads.
    silence
        Shape (links,), a `Silence` each, of the very last window.
    """

    observed: NDArray[np.float64]
    expected: NDArray[np.float64]
    deviation: NDArray[np.float64]
    badness: NDArray[np.float64]
    silence: NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Roster:
    """Facts of each link that outlive a scrape without it.

    Attributes
    ----------
    seen_at
        Shape (links,), Unix seconds.
    speed
        Shape (links,), bytes per second as last known.
    downed
        Shape (links,), the `link_downed` counter as last known.
    peered
        Shape (links,), whether the peer group is large enough to compare with.
    """

    seen_at: NDArray[np.float64]
    speed: NDArray[np.float64]
    downed: NDArray[np.float64]
    peered: NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class State:
    """The analyzer between two rounds; rows of every part are those of `links`.

    Attributes
    ----------
    groups, job_id
        Name of the peer group and the job of each link as last known.
    recent
        Residuals of the last windows, newest last; shape (links, features), NaN where a link was
        not healthy.
    detector
        None until trained.
    healthy
        What healthy links added to their sums in the last windows, newest last; shape
        (links, streams), NaN where a link was not healthy.
    limits
        Shape (horizons,): sums that alarm.
    ruled
        Links that a state rule holds something against, and what.
    flaps
        When links went down lately.
    down_at
        When links were last seen down; only those that lately were.
    accused
        What the strongest window of a standing alarm holds against a link.
    standing
        Findings about links that fire.
    jobs
        What is known of the jobs.
    """

    links: tuple[Link, ...]
    groups: tuple[str, ...]
    job_id: tuple[str, ...]
    roster: Roster
    collecting: Collecting
    baseline: Baseline
    status: Status
    picture: Picture
    sums: Sums
    recent: tuple[NDArray[np.float32], ...] = ()
    windows: int = 0
    detector: ShortfallDetector | None = None
    healthy: tuple[NDArray[np.float16], ...] = ()
    limits: NDArray[np.float64] = field(default_factory=ASSUMED.copy)
    time: float = 0.0
    ruled: Mapping[Link, Ruling] = field(default_factory=dict)
    flaps: Mapping[Link, tuple[float, ...]] = field(default_factory=dict)
    down_at: Mapping[Link, float] = field(default_factory=dict)
    accused: Mapping[Link, Accusation] = field(default_factory=dict)
    standing: Mapping[Key, Finding] = field(default_factory=dict)
    jobs: Jobs = field(default_factory=Jobs)


def _no_picture(links: int) -> Picture:
    cells = np.full((links, len(FEATURES)), np.nan)
    zeros = np.zeros((links, len(FEATURES)))
    return Picture(cells, cells, zeros, zeros, np.full(links, int(Silence.NO_DATA)))


def _no_roster(links: int) -> Roster:
    unknown = np.full(links, np.nan)
    return Roster(unknown, unknown, unknown, np.zeros(links, dtype=bool))


def empty_state(links: tuple[Link, ...] = ()) -> State:
    """Return the state of an analyzer that has seen nothing of *links*."""
    size = len(links)
    return State(
        links=links,
        groups=("",) * size,
        job_id=("",) * size,
        roster=_no_roster(size),
        collecting=nothing_collected(size),
        baseline=no_past(size),
        status=no_status(size),
        picture=_no_picture(size),
        sums=no_sums(size),
    )


def with_links(state: State, seen: tuple[Link, ...], now: float) -> State:
    """Return *state* with rows for the links of *seen*, without those unseen for a day."""
    if seen == state.links:
        return state
    kept = (now - state.roster.seen_at <= FORGET_SECONDS).tolist()
    remembered = {link for link, keep in zip(state.links, kept, strict=True) if keep}
    links = tuple(sorted(remembered.union(seen)))
    if links == state.links:
        return state
    rows = places(links, state.links)
    empty = empty_state(links)
    nothing = np.full((len(links), len(FEATURES)), np.nan, dtype=np.float32)
    unsaid = np.full((len(links), STREAMS), np.nan, dtype=np.float16)
    return replace(
        state,
        links=links,
        groups=tuple(state.groups[row] if row >= 0 else "" for row in rows),
        job_id=tuple(state.job_id[row] if row >= 0 else "" for row in rows),
        roster=moved(state.roster, empty.roster, rows),
        collecting=moved(state.collecting, empty.collecting, rows),
        baseline=moved(state.baseline, empty.baseline, rows),
        status=moved(state.status, empty.status, rows),
        picture=moved(state.picture, empty.picture, rows),
        sums=moved(state.sums, empty.sums, rows),
        recent=tuple(moved_array(window, nothing, rows) for window in state.recent),
        healthy=tuple(moved_array(window, unsaid, rows) for window in state.healthy),
    )


def present(state: State, now: float) -> NDArray[np.bool_]:
    """Which links were seen recently enough to count; shape (links,)."""
    return np.asarray(now - state.roster.seen_at <= HOLD_SECONDS)
