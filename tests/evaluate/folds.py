"""The running product's own fold over a trace and over the same trace with faults in it.

`judge` is pure: the states of one fold over the healthy trace are kept, and a fault's fold begins
at the state before its onset: the product's path, without the same calibration again and again.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from evaluate.injection import capped
from evaluate.recordings import thinned
from railwatch_analyzer.findings import FindingState
from railwatch_analyzer.frame import Link
from railwatch_analyzer.round import judge
from railwatch_analyzer.sources.trace import Pace, recording_frames, trace_pace
from railwatch_analyzer.state import empty_state

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from evaluate.injection import Cap
    from railwatch_analyzer.findings import Finding
    from railwatch_analyzer.frame import Frame
    from railwatch_analyzer.sources.recording import Recording
    from railwatch_analyzer.state import State


@dataclass(frozen=True, slots=True)
class Fold:
    """A trace judged from its beginning.

    `states[k]` is what was known before `frames[k]`; `scores` has shape (frames, links) with the
    published score of each of `recording.links` after each frame. `spacing` is how seldom bytes
    were read, seconds; None is as the trace has it.
    """

    recording: Recording
    pace: Pace
    frames: tuple[Frame, ...]
    states: tuple[State, ...]
    lines: tuple[Finding, ...]
    scores: NDArray[np.float32]
    spacing: float | None = None

    def since(self, onset: float) -> int:
        """Number of the first frame that can show something of *onset*."""
        return int(np.searchsorted([frame.time for frame in self.frames], onset, side="right"))


@dataclass(frozen=True, slots=True)
class Outcome:
    """What the product said of one fault, seconds after its onset.

    `delay` is infinite for a miss. `named` are the links that had findings, in the order in which
    they were named; `ranking` the candidates of the first finding of the fault's job, best first,
    and `later` those of the last. `windows` are the frames with the fault in them, for other
    methods to judge.
    """

    cap: Cap
    culprit: Link
    delay: float
    named: tuple[Link, ...]
    ranking: tuple[Link, ...]
    later: tuple[Link, ...]
    first_line_after: float
    windows: tuple[Frame, ...]


HORIZONS = (30.0, 60.0, 180.0, 300.0)


def fold(recording: Recording, pace: Pace | None = None, spacing: float | None = None) -> Fold:
    """Judge *recording* as it is, or as read every *spacing* seconds only."""
    read = recording if spacing is None else thinned(recording, spacing)
    pace = trace_pace(read) if pace is None else pace
    frames = tuple(recording_frames(read, pace=pace))
    state, states, lines = empty_state(), [], []
    scores = np.full((len(frames), len(recording.links)), np.nan, dtype=np.float32)
    row_of = {link: row for row, link in enumerate(recording.links)}
    for number, frame in enumerate(frames):
        states.append(state)
        state, said = judge(state, frame)
        lines.extend(said)
        scores[number, [row_of[link] for link in state.links]] = state.status.score
    return Fold(recording, pace, frames, tuple(states), tuple(lines), scores, spacing)


def with_faults(
    fold: Fold, caps: Sequence[Cap], horizon: float, patience: float = np.inf
) -> list[Outcome]:
    """Return an outcome for each of *caps*, all of which are in the trace at once.

    The fold ends *patience* seconds after the last culprit was named.
    """
    until = min(cap.onset for cap in caps) + horizon
    begin, frames = overlaid_frames(fold, caps, horizon)
    state = fold.states[begin]
    culprits = [fold.recording.links[cap.link] for cap in caps]
    lines: list[Finding] = []
    seen: list[Frame] = []
    for frame in frames:
        if frame.time > until:
            break
        seen.append(frame)
        state, said = judge(state, frame)
        lines.extend(said)
        fired = {_link(f) for f in lines if f.state is FindingState.FIRING}
        if fired.issuperset(culprits):
            until = min(until, frame.time + patience)
    return [_outcome(fold, cap, lines, tuple(seen)) for cap in caps]


def overlaid_frames(
    fold: Fold, caps: Sequence[Cap], horizon: float
) -> tuple[int, tuple[Frame, ...]]:
    """Return the frames with *caps* in them, and the number of the first."""
    onset = min(cap.onset for cap in caps)
    until = onset + horizon
    changed = capped(fold.recording, caps, until + 60.0)
    if fold.spacing is not None:
        changed = thinned(changed, fold.spacing)
    overlay = {frame.time: frame for frame in recording_frames(changed, pace=fold.pace)}
    begin = fold.since(onset)
    return begin, tuple(
        _overlaid(frame, overlay.get(frame.time))
        for frame in fold.frames[begin:]
        if frame.time <= until
    )


def false_alarms(fold: Fold, since: float) -> tuple[set[Link], float]:
    """Return the links named after *since* seconds without a fault, and the days of links."""
    begin = fold.frames[0].time + since
    named = {_link(f) for f in fold.lines if f.state is FindingState.FIRING and f.time >= begin}
    days = len(fold.recording.links) * (fold.frames[-1].time - begin) / 86_400.0
    return named, days


def _outcome(fold: Fold, cap: Cap, lines: list[Finding], frames: tuple[Frame, ...]) -> Outcome:
    culprit = fold.recording.links[cap.link]
    job = fold.recording.job_id
    name = job.names[job.codes[fold.recording.bounds[cap.link]]]
    firing = [f for f in lines if f.state is FindingState.FIRING and f.job_id == name]
    own = [f.time - cap.onset for f in firing if _link(f) == culprit]
    return Outcome(
        cap=cap,
        culprit=culprit,
        delay=min(own, default=np.inf),
        named=tuple(dict.fromkeys(_link(f) for f in firing)),
        ranking=_ranked(firing[0]) if firing else (),
        later=_ranked(firing[-1]) if firing else (),
        first_line_after=firing[0].time - cap.onset if firing else np.inf,
        windows=frames,
    )


def _link(finding: Finding) -> Link:
    return Link(finding.node, finding.rail, finding.device)


def _ranked(finding: Finding) -> tuple[Link, ...]:
    return tuple(Link(c.node, c.rail, c.device) for c in finding.candidates)


def _overlaid(frame: Frame, changed: Frame | None) -> Frame:
    if changed is None:
        return frame
    row_of = {link: row for row, link in enumerate(frame.links)}
    values, ends = frame.values.copy(), frame.window_end.copy()
    for number, link in enumerate(changed.links):
        if link in row_of:
            values[row_of[link]] = changed.values[number]
            ends[row_of[link]] = changed.window_end[number]
    return replace(frame, values=values, window_end=ends)
