"""What else a sceptic would ask of section `links`: other splits, less to learn, fewer peers."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from evaluate import rail_trace
from evaluate.counting import table
from evaluate.figures import revision, share
from evaluate.folds import false_alarms, fold, with_faults
from evaluate.injection import Coupling, capped
from evaluate.rail_trace import MIDDLE
from evaluate.recordings import after, job_of, links_of, merged, only, swapped
from evaluate.trials import (
    HORIZON,
    Part,
    Severity,
    draw_cap,
    found_within,
    median_delay,
    others_named,
    ranked_first,
    run_cell,
)
from railwatch_analyzer.sources.recording import read_recording

if TYPE_CHECKING:
    from collections.abc import Sequence

    from evaluate.folds import Fold, Outcome
    from railwatch_analyzer.sources.recording import Recording

HALF = Severity(share=0.5)
_HEAD = ("", "found in 60 s", "in 180 s", "in 300 s", "median delay", "culprit first", "false")


def report() -> str:
    """Measure, and return the section; caps of half the peak, nobody waits."""
    path = rail_trace.trace()
    if path is None:
        return rail_trace.NO_TRACE
    count, seed = rail_trace.count(), rail_trace.seed()
    few = max(count // 3, 6)
    recording = read_recording(path)
    forward = fold(recording)
    backward = fold(swapped(recording, float(recording.times.min()) + MIDDLE), forward.pace)
    rows = [
        *_other_direction(backward, seed, count),
        *_other_jobs(forward, seed, few),
        *_less_to_learn(forward, seed, few),
        *_contaminated(forward, seed, few),
        *_small_groups(forward, seed, few),
        *_sparse(forward, seed, few),
    ]
    text = (
        f"Seed {seed}, revision {revision()}. "
        "Other splits, less to learn from, and fewer peers: caps at half of the peak that nobody "
        "waits for; *false* counts other links named, in all runs and without a fault."
    )
    return "\n\n".join([text, table(_HEAD, rows), _two_faults(forward, seed, few)])


def _row(name: str, judged: Fold, outcomes: Sequence[Outcome], since: float = MIDDLE) -> list[str]:
    alarms, _ = false_alarms(judged, since)
    return [
        f"{name}, n = {len(outcomes)}",
        found_within(outcomes, 60),
        found_within(outcomes, 180),
        found_within(outcomes, 300),
        median_delay(outcomes),
        ranked_first(outcomes),
        f"{others_named(outcomes)}; {len(alarms)}",
    ]


def _part(
    judged: Fold, seed: int, links: Sequence[int] | None = None, since: float = MIDDLE
) -> Part:
    begin, end = judged.frames[0].time, judged.frames[-1].time
    return Part(
        begin + since + 20.0, end - HORIZON - 10.0, seed, None if links is None else tuple(links)
    )


def _halves(name: str, judged: Fold, part: Part, count: int, since: float = MIDDLE) -> list[str]:
    return _row(name, judged, run_cell(judged, HALF, Coupling.NONE, part, count), since)


def _other_direction(backward: Fold, seed: int, count: int) -> list[list[str]]:
    part = _part(backward, seed)
    return [
        _row(
            f"second half learned, first judged, cap {severity}",
            backward,
            run_cell(backward, severity, Coupling.NONE, part, count),
        )
        for severity in (HALF, Severity(share=0.6))
    ]


def _other_jobs(forward: Fold, seed: int, count: int) -> list[list[str]]:
    """The job begins when the others were learned from: two minutes before its first fault."""
    begin = forward.frames[0].time
    rows = []
    for job in sorted(
        {job_of(forward.recording, link) for link in range(len(forward.recording.links))}
    ):
        late = fold(after(forward.recording, begin + MIDDLE - 120.0, job), forward.pace)
        part = _part(late, seed, links_of(late.recording, job))
        rows.append(_halves(f"job {job} left out of what is learned", late, part, count))
    return rows


def _less_to_learn(forward: Fold, seed: int, count: int) -> list[list[str]]:
    rows = []
    for minutes in (1, 2, 5):
        begin = forward.frames[0].time + MIDDLE - 60.0 * minutes
        short = fold(after(forward.recording, begin), forward.pace)
        part = _part(short, seed, since=60.0 * minutes)
        # Faults soon after, or there would be more to learn from.
        part = replace(part, until=part.since + 60.0)
        rows.append(_halves(f"{minutes} min to learn from", short, part, count, 60.0 * minutes))
    return rows


def _contaminated(forward: Fold, seed: int, count: int) -> list[list[str]]:
    """Some NICs are slow from the beginning and learned from; another one becomes slow."""
    recording = forward.recording
    rows = []
    for percent in (1, 5):
        draw = np.random.default_rng([seed, percent])
        size = max(percent * len(recording.links) // 100, 1)
        bad = draw.choice(len(recording.links), size=size, replace=False).tolist()
        begin, end = float(recording.times.min()), float(recording.times.max())
        part = Part(begin + 1.0, begin + 1.0001, seed)
        caps = [
            replace(
                draw_cap(
                    forward, Severity(share=0.6), Coupling.NONE, replace(part, links=(link,)), n
                ),
                onset=begin + 1.0,
            )
            for n, link in enumerate(bad)
        ]
        dirty = fold(merged(recording, capped(recording, caps, end + 1.0)), forward.pace)
        good = [link for link in range(len(recording.links)) if link not in bad]
        named, _ = false_alarms(dirty, 0.0)
        told = len(named & {recording.links[link] for link in bad})
        name = f"{percent} % of NICs at 0.6 from the start ({told} of {len(bad)} of them named)"
        rows.append(_halves(name, dirty, _part(dirty, seed, good), count))
    return rows


def _small_groups(forward: Fold, seed: int, count: int) -> list[list[str]]:
    rows = []
    for size in (4, 5, 6):
        draw = np.random.default_rng([seed, size])
        few = fold(_few_nodes(forward.recording, draw, size), forward.pace)
        rows.append(_halves(f"groups of {size}", few, _part(few, seed), count))
    return rows


def _few_nodes(recording: Recording, draw: np.random.Generator, size: int) -> Recording:
    """So many random nodes of each job."""
    chosen: list[int] = []
    for job in sorted({job_of(recording, link) for link in range(len(recording.links))}):
        links = links_of(recording, job)
        nodes = sorted({recording.links[link].node for link in links})
        kept = set(draw.choice(nodes, size=size, replace=False).tolist())
        chosen += [link for link in links if recording.links[link].node in kept]
    return only(recording, chosen)


def _sparse(forward: Fold, seed: int, count: int) -> list[list[str]]:
    rows = []
    for seconds in (5.0, 15.0):
        sparse = fold(forward.recording, spacing=seconds)
        name = f"bytes read every {seconds:g} s, windows of {sparse.pace.window_seconds:g} s"
        rows.append(_halves(name, sparse, _part(sparse, seed), count))
    return rows


def _two_faults(forward: Fold, seed: int, count: int) -> str:
    """Two NICs of one job and rail become slow within half a minute."""
    found, both = 0, 0
    others = []
    for number in range(count):
        part = _part(forward, seed + 1)
        one = draw_cap(forward, HALF, Coupling.NONE, part, number)
        rail = forward.recording.links[one.link].rail
        peers = [
            link
            for link in links_of(forward.recording, job_of(forward.recording, one.link))
            if link != one.link and forward.recording.links[link].rail == rail
        ]
        near = Part(one.onset, one.onset + 30.0, seed + 2, tuple(peers))
        other = draw_cap(forward, HALF, Coupling.NONE, near, number)
        outcomes = with_faults(forward, [one, other], HORIZON)
        found += sum(np.isfinite(o.delay) for o in outcomes)
        both += all(np.isfinite(o.delay) for o in outcomes)
        culprits = {o.culprit for o in outcomes}
        others.append(len(set(outcomes[0].named) - culprits))
    return (
        f"Two caps of one job and rail within 30 s, n = {count}: {share(found, 2 * count)} of the "
        f"NICs named in 300 s, both in {share(both, count)} of the runs; others named in "
        f"{sum(n > 0 for n in others)} runs."
    )
