"""Faults put into a recorded trace: a token bucket on one NIC, and a job that waits for it.

The application's progress is measured in work: the trace's own time. Without coupling work and time
are the same, and what the cap holds back is sent later. With barriers the whole job waits every few
seconds of work until the capped NIC has sent what it owes. In lockstep every small piece of work
takes as long as the capped NIC needs for it. Between two samples bytes are taken to flow evenly.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import StrEnum
from typing import TYPE_CHECKING

import numpy as np

from railwatch.rates import interval_rates

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from railwatch_analyzer.sources.recording import Recording

TRANSMIT, RECEIVE = "transmit_bytes_total", "receive_bytes_total"
# What a window that holds the onset may reach back, seconds.
_BEFORE = 200.0
# The fluid model's step, the bucket's depth and how often its rate wavers, seconds.
_STEP = 0.05
_DEPTH = 0.02
_WAVER = 0.5
_BARRIER = (2.0, 5.0)
_NOISE = (0.01, 0.03)


class Coupling(StrEnum):
    """How the rest of a job feels that one of its NICs is slow."""

    NONE = "none"
    BARRIER = "barrier"
    LOCKSTEP = "lockstep"


@dataclass(frozen=True, slots=True)
class Cap:
    """A NIC whose rate is held down from *onset* on.

    `rates` maps the capped counters to bytes per second; `link` is a row of the recording.
    """

    link: int
    rates: dict[str, float]
    coupling: Coupling
    onset: float
    seed: int


def observed_peak(recording: Recording, link: int, counter: str) -> float:
    """Return the 99th percentile of a NIC's own rates, bytes per second."""
    times, counts = _series(recording, link, counter)
    _, rates = interval_rates(times, counts)
    return float(np.nanquantile(rates, 0.99))


def mean_demand(recording: Recording, link: int, counter: str, since: float, until: float) -> float:
    """Return the mean rate of a NIC between two times, bytes per second."""
    times, counts = _series(recording, link, counter)
    low, high = np.interp([since, until], times, counts)
    return float(high - low) / (until - since)


def job_links(recording: Recording, link: int) -> list[int]:
    """Return the rows of all links of the job that *link* belongs to."""
    jobs = recording.job_id.codes[recording.bounds[:-1]]
    return np.flatnonzero(jobs == jobs[link]).tolist()


def capped(recording: Recording, caps: Sequence[Cap], until: float) -> Recording:
    """Return the links of *recording* that *caps* change, with the samples around the faults only.

    Several caps of one job have to be uncoupled; they change different links.
    """
    changed: dict[tuple[int, str], NDArray[np.float64]] = {}
    for cap in caps:
        alone = cap.coupling is Coupling.NONE
        for link in [cap.link] if alone else job_links(recording, cap.link):
            for counter in (TRANSMIT, RECEIVE):
                changed.setdefault((link, counter), _series(recording, link, counter)[1].copy())
        _apply(recording, cap, until, changed)
    links = sorted({link for link, _ in changed})
    since = min(cap.onset for cap in caps) - _BEFORE
    return _part(recording, links, changed, since, until)


def _apply(
    recording: Recording,
    cap: Cap,
    until: float,
    changed: dict[tuple[int, str], NDArray[np.float64]],
) -> None:
    owed = {name: _series(recording, cap.link, name) for name in cap.rates}
    flow = _flow(cap, owed, until)
    alone = cap.coupling is Coupling.NONE
    for link in [cap.link] if alone else job_links(recording, cap.link):
        for counter in (TRANSMIT, RECEIVE):
            times, counts = _series(recording, link, counter)
            during = times >= cap.onset
            if link == cap.link and counter in cap.rates:
                new = np.interp(times[during], flow.times, flow.sent[counter])
            else:
                new = np.interp(np.interp(times[during], flow.times, flow.work), times, counts)
            changed[link, counter][during] = new


@dataclass(frozen=True, slots=True)
class _Flow:
    """Work done and bytes sent by the capped NIC, at `times`."""

    times: NDArray[np.float64]
    work: NDArray[np.float64]
    sent: dict[str, NDArray[np.float64]]


def _flow(
    cap: Cap, owed: dict[str, tuple[NDArray[np.float64], NDArray[np.float64]]], until: float
) -> _Flow:
    draw = np.random.default_rng(cap.seed)
    steps = int((until - cap.onset) / _STEP) + 1
    times = cap.onset + _STEP * np.arange(steps + 1)
    sigma = draw.uniform(*_NOISE)
    every = round(_WAVER / _STEP)
    waver = np.repeat(1.0 + sigma * draw.standard_normal(steps // every + 1), every)[:steps]
    # What is owed by a piece of work, on a fine grid of work.
    debt = {name: np.interp(times, *series) for name, series in owed.items()}
    if cap.coupling is Coupling.LOCKSTEP:
        return _lockstep(cap, times, debt, waver)
    barriers = None
    if cap.coupling is Coupling.BARRIER:
        barriers = cap.onset + np.cumsum(draw.uniform(*_BARRIER, size=steps))
    return _bucket(cap, times, debt, waver, barriers)


def _bucket(
    cap: Cap,
    times: NDArray[np.float64],
    debt: dict[str, NDArray[np.float64]],
    waver: NDArray[np.float64],
    barriers: NDArray[np.float64] | None,
) -> _Flow:
    names = list(cap.rates)
    due = [debt[name].tolist() for name in names]
    rates = [cap.rates[name] for name in names]
    begun = times.tolist()
    gates = None if barriers is None else barriers.tolist()
    sent, places = [[series[0]] for series in due], [0]
    tokens, place, gate = [rate * _DEPTH for rate in rates], 0, 0
    for factor in waver.tolist():
        held = gates is not None and begun[place] >= gates[gate]
        if held and all(
            out[-1] >= series[place] - 1.0 for out, series in zip(sent, due, strict=True)
        ):
            held, gate = False, gate + 1
        place += not held
        places.append(place)
        for number, (out, series) in enumerate(zip(sent, due, strict=True)):
            allowed = tokens[number] + rates[number] * _STEP * factor
            moved = min(series[place] - out[-1], allowed)
            tokens[number] = min(allowed - moved, rates[number] * _DEPTH)
            out.append(out[-1] + moved)
    return _Flow(times, times[places], {n: np.array(s) for n, s in zip(names, sent, strict=True)})


def _lockstep(
    cap: Cap,
    times: NDArray[np.float64],
    debt: dict[str, NDArray[np.float64]],
    waver: NDArray[np.float64],
) -> _Flow:
    """Every step of work takes as long as the slowest capped direction needs for it."""
    slower = np.ones(len(times) - 1)
    for name, rate in cap.rates.items():
        slower = np.maximum(slower, np.diff(debt[name]) / (_STEP * rate * waver))
    taken = times[0] + np.concatenate([[0.0], np.cumsum(slower * _STEP)])
    work = np.interp(times, taken, times)
    return _Flow(times, work, {name: np.interp(work, times, debt[name]) for name in cap.rates})


def _series(
    recording: Recording, link: int, counter: str
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    low, high = recording.bounds[link : link + 2]
    return recording.times[low:high], recording.columns[counter][low:high]


def _part(
    recording: Recording,
    links: list[int],
    changed: dict[tuple[int, str], NDArray[np.float64]],
    since: float,
    until: float,
) -> Recording:
    spans = []
    for link in links:
        low, high = recording.bounds[link : link + 2]
        inside = np.searchsorted(recording.times[low:high], [since, until])
        spans.append((int(low), int(low + inside[0]), int(low + inside[1])))
    rows = np.concatenate([np.arange(begin, end) for _, begin, end in spans])
    columns = {
        name: np.concatenate(
            [
                changed[link, name][begin - low : end - low]
                for link, (low, begin, end) in zip(links, spans, strict=True)
            ]
        )
        for name in (TRANSMIT, RECEIVE)
    }
    return replace(
        recording,
        links=tuple(recording.links[link] for link in links),
        bounds=np.cumsum([0, *(end - begin for _, begin, end in spans)]),
        times=recording.times[rows],
        columns=columns,
        job_id=replace(recording.job_id, codes=recording.job_id.codes[rows]),
        switch=replace(recording.switch, codes=recording.switch.codes[rows]),
    )
