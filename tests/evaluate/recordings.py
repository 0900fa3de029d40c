"""Other recordings out of one: halves swapped, a job that is late, fewer nodes or samples."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from evaluate.injection import RECEIVE, TRANSMIT

if TYPE_CHECKING:
    from collections.abc import Iterable

    from numpy.typing import NDArray

    from railwatch_analyzer.sources.recording import Recording


def job_of(recording: Recording, link: int) -> str:
    """Return the job of a link, as its first sample has it."""
    return recording.job_id.names[recording.job_id.codes[recording.bounds[link]]]


def links_of(recording: Recording, job: str) -> list[int]:
    """Return the rows of the links of *job*."""
    return [row for row in range(len(recording.links)) if job_of(recording, row) == job]


def after(recording: Recording, since: float, job: str | None = None) -> Recording:
    """Return *recording* without the samples before *since* (of one *job* only)."""
    early = recording.times < since
    if job is not None:
        early &= recording.job_id.codes == recording.job_id.names.index(job)
    return _kept(recording, ~early)


def only(recording: Recording, links: Iterable[int]) -> Recording:
    """Return *recording* with these links alone."""
    wanted = np.zeros(len(recording.links), dtype=bool)
    wanted[list(links)] = True
    part = _kept(recording, np.repeat(wanted, np.diff(recording.bounds)))
    rows = np.flatnonzero(wanted)
    bounds = np.append(part.bounds[rows], part.bounds[-1])
    return replace(part, links=tuple(recording.links[row] for row in rows), bounds=bounds)


def thinned(recording: Recording, seconds: float) -> Recording:
    """Return *recording* as a scrape every so many *seconds* would have taken it."""
    slots = np.floor(recording.times / seconds)
    first = np.concatenate([[True], np.diff(slots) > 0])
    first[recording.bounds[:-1]] = True
    return _kept(recording, first)


def swapped(recording: Recording, middle: float) -> Recording:
    """Return *recording* with what came after *middle* first: the other direction of the split."""
    end = float(recording.times.max())
    begin = float(recording.times.min())
    order, times = [], recording.times.copy()
    columns = {name: values.copy() for name, values in recording.columns.items()}
    for low, high in zip(recording.bounds[:-1], recording.bounds[1:], strict=True):
        cut = low + int(np.searchsorted(recording.times[low:high], middle))
        order.append(np.concatenate([np.arange(cut, high), np.arange(low, cut)]))
        times[low:cut] += end - begin
        for name in (TRANSMIT, RECEIVE):
            # Counters go on where the second half ended; what is between the halves is nothing.
            columns[name][low:cut] += columns[name][high - 1] - columns[name][low]
    rows = np.concatenate(order)
    return replace(
        recording,
        times=times[rows],
        columns={name: values[rows] for name, values in columns.items()},
        job_id=replace(recording.job_id, codes=recording.job_id.codes[rows]),
        switch=replace(recording.switch, codes=recording.switch.codes[rows]),
    )


def merged(recording: Recording, changed: Recording) -> Recording:
    """Return *recording* with the counters of the links of *changed*, to its last sample."""
    columns = {name: values.copy() for name, values in recording.columns.items()}
    for number, link in enumerate(changed.links):
        row = recording.links.index(link)
        source = slice(*changed.bounds[number : number + 2])
        begin = int(
            np.searchsorted(
                recording.times[slice(*recording.bounds[row : row + 2])], changed.times[source][0]
            )
        )
        low = recording.bounds[row] + begin
        for name in (TRANSMIT, RECEIVE):
            new = changed.columns[name][source]
            columns[name][low : low + len(new)] = new
    return replace(recording, columns=columns)


def _kept(recording: Recording, rows: NDArray[np.bool_]) -> Recording:
    count = np.concatenate([[0], np.cumsum(rows)])
    return replace(
        recording,
        bounds=count[recording.bounds],
        times=recording.times[rows],
        columns={name: values[rows] for name, values in recording.columns.items()},
        job_id=replace(recording.job_id, codes=recording.job_id.codes[rows]),
        switch=replace(recording.switch, codes=recording.switch.codes[rows]),
    )
