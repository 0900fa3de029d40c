# SPDX-License-Identifier: Apache-2.0
"""Rows follow links: moves arrays with a row per link to another set of links."""

from __future__ import annotations

from dataclasses import fields, replace
from typing import TYPE_CHECKING, TypeVar

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from railwatch_analyzer.frame import Frame, Link

Rows = TypeVar("Rows")
Cell = TypeVar("Cell", bound=np.generic)


def places(wanted: tuple[Link, ...], present: tuple[Link, ...]) -> NDArray[np.int64]:
    """Return, for each wanted link, its row among those present, or -1."""
    where = {link: row for row, link in enumerate(present)}
    return np.array([where.get(link, -1) for link in wanted], dtype=np.int64)


def moved(old: Rows, empty: Rows, rows: NDArray[np.int64]) -> Rows:
    """Return the dataclass *old* with its array rows at *rows*, and those of *empty* where new.

    Fields that are not arrays are kept.
    """
    changes = {}
    for field in fields(old):  # type: ignore[arg-type]  # any dataclass of arrays
        before, fresh = getattr(old, field.name), getattr(empty, field.name)
        if isinstance(before, np.ndarray):
            changes[field.name] = moved_array(before, fresh, rows)
    return replace(old, **changes)  # type: ignore[type-var]  # as above


def moved_array(old: NDArray[Cell], empty: NDArray[Cell], rows: NDArray[np.int64]) -> NDArray[Cell]:
    """Return *old* at *rows* (first axis), and *empty* where a row is -1."""
    out = empty.copy()
    known = rows >= 0
    out[known] = old[rows[known]]
    return out


def aligned(frame: Frame, links: tuple[Link, ...]) -> Frame:
    """Return *frame* with a row for each of *links*; NaN and empty where it has none."""
    if frame.links == links:
        return frame
    rows = places(links, frame.links)
    unknown = np.full(len(links), np.nan)
    jobs = [frame.job_id[row] if row >= 0 else "" for row in rows]
    switches = [frame.switch[row] if row >= 0 else "" for row in rows]
    return replace(
        frame,
        links=links,
        values=moved_array(
            frame.values, np.full((len(links), frame.values.shape[1]), np.nan), rows
        ),
        sampled_at=moved_array(frame.sampled_at, unknown, rows),
        window_end=moved_array(frame.window_end, unknown, rows),
        job_id=tuple(jobs),
        switch=tuple(switches),
    )
