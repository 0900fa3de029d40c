# SPDX-License-Identifier: Apache-2.0
"""Who is compared with whom: peer groups, and the median of a link's peers without itself."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from railwatch_analyzer.frame import Link

# With fewer links than this in a group the median of the others is an accident.
LEAST_GROUP = 4


def group_names(
    links: tuple[Link, ...], job_id: tuple[str, ...], speed: NDArray[np.float64]
) -> tuple[str, ...]:
    """Return the name of each link's peer group; *speed* in bytes per second, NaN if unknown.

    Links of one job and rail send the same bytes at the same time. Where the job is unknown, the
    links of one rail and speed are the nearest thing.
    """
    return tuple(
        f"job={job} rail={link.rail}" if job else f"rail={link.rail} speed={rate:g}"
        for link, job, rate in zip(links, job_id, speed.tolist(), strict=True)
    )


def group_numbers(names: tuple[str, ...]) -> NDArray[np.int64]:
    """Return a number for each row, equal where the names are equal."""
    return np.unique(np.asarray(names, dtype=object), return_inverse=True)[1].astype(np.int64)


def peer_medians(
    values: NDArray[np.float64], groups: NDArray[np.int64]
) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Return, for each cell, the median of the same column over the row's peers, and their number.

    Parameters
    ----------
    values
        Shape (rows, columns); NaN is unknown and counts for nobody.
    groups
        Shape (rows,).

    Returns
    -------
    medians, counts
        Shape (rows, columns) each; the row itself is left out, so that one bad link in a small
        group does not move its own yardstick. NaN and 0 where no peer is known.
    """
    medians = np.full(values.shape, np.nan)
    counts = np.zeros(values.shape, dtype=np.int64)
    for number in range(values.shape[1]):
        medians[:, number], counts[:, number] = _column_medians(values[:, number], groups)
    return medians, counts


def group_medians(values: NDArray[np.float64], groups: NDArray[np.int64]) -> NDArray[np.float64]:
    """Return for each row the median of *values*, shape (rows,), over its group, itself included.

    NaN counts for nobody; NaN where a group has no value.
    """
    order = np.lexsort((values, groups))
    ordered, ordered_groups = values[order], groups[order]
    starts = np.searchsorted(ordered_groups, ordered_groups, side="left")
    ends = np.searchsorted(ordered_groups, ordered_groups, side="right")
    known_before = np.concatenate([[0], np.cumsum(np.isfinite(ordered))])
    known = known_before[ends] - known_before[starts]
    last = np.maximum(known - 1, 0)
    middle = (ordered[starts + last // 2] + ordered[starts + (last + 1) // 2]) / 2
    out = np.empty(len(values))
    out[order] = np.where(known > 0, middle, np.nan)
    return out


def _column_medians(
    values: NDArray[np.float64], groups: NDArray[np.int64]
) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    rows = np.arange(len(values))
    # Unknown cells sort behind the known ones of their group and are not counted.
    order = np.lexsort((values, groups))
    ordered, ordered_groups = values[order], groups[order]
    starts = np.searchsorted(ordered_groups, ordered_groups, side="left")
    ends = np.searchsorted(ordered_groups, ordered_groups, side="right")
    known_before = np.concatenate([[0], np.cumsum(np.isfinite(ordered))])
    known = known_before[ends] - known_before[starts]
    own_known = np.isfinite(ordered)
    others = known - own_known
    rank = np.where(own_known, rows - starts, known)
    low = _skip(starts, (others - 1) // 2, rank)
    high = _skip(starts, others // 2, rank)
    safe = others > 0
    middle = np.full(len(values), np.nan)
    middle[safe] = (ordered[low[safe]] + ordered[high[safe]]) / 2
    medians, counts = np.empty(len(values)), np.empty(len(values), dtype=np.int64)
    medians[order], counts[order] = middle, others
    return medians, counts


def _skip(
    starts: NDArray[np.int64], place: NDArray[np.int64], rank: NDArray[np.int64]
) -> NDArray[np.int64]:
    """Position of the *place*-th other: the row's own rank is stepped over."""
    position = starts + place + (place >= rank)
    return np.asarray(np.minimum(position, len(starts) - 1))
