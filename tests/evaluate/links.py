"""Section `links`: caps put into the real rail trace, judged by the running product's own fold."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from evaluate import rail_trace
from evaluate.counting import table
from evaluate.figures import revision
from evaluate.folds import Fold, false_alarms, fold
from evaluate.injection import Coupling
from evaluate.link_plots import plot_survival
from evaluate.rail_trace import MIDDLE
from evaluate.recordings import swapped
from evaluate.trials import (
    HORIZON,
    Part,
    Severity,
    found_within,
    median_delay,
    others_named,
    ranked_first,
    run_cell,
)
from railwatch_analyzer.sources.recording import read_recording

if TYPE_CHECKING:
    from evaluate.folds import Outcome

_SEVERITIES = (
    Severity(share=0.25),
    Severity(share=0.5),
    Severity(share=0.6),
    Severity(share=0.75),
    Severity(gigabits=100),
    Severity(gigabits=50),
)
Cells = dict[tuple[Coupling, Severity], list["Outcome"]]


def report() -> str:
    """Measure, draw the plots, and return the section."""
    path = rail_trace.trace()
    if path is None:
        return rail_trace.NO_TRACE
    count, seed = rail_trace.count(), rail_trace.seed()
    recording = read_recording(path)
    forward = fold(recording)
    part = test_part(forward, seed)
    cells = {
        (coupling, severity): run_cell(forward, severity, coupling, part, count)
        for coupling in Coupling
        for severity in _SEVERITIES
        if has_room(severity, coupling)
    }
    backward = fold(swapped(recording, float(recording.times.min()) + MIDDLE), forward.pace)
    plot_survival(cells)
    return "\n\n".join(
        [
            _introduction(forward, count, seed),
            _main_table(cells),
            _alarms(forward, backward),
            "![Share of faults found by delay](docs/plots/links_delay.svg)",
        ]
    )


def test_part(fold: Fold, seed: int) -> Part:
    """Return where faults may begin: in the second half, with the horizon before its end."""
    begin, end = fold.frames[0].time, fold.frames[-1].time
    return Part(begin + MIDDLE + 20.0, end - HORIZON - 10.0, seed)


def has_room(severity: Severity, coupling: Coupling) -> bool:
    """Whether NICs exist whose mean demand is below the cap, or whose job waits for them."""
    return coupling is not Coupling.NONE or severity.share != 0.25


def _introduction(fold: Fold, count: int, seed: int) -> str:
    return (
        f"Rail trace of {len(fold.recording.links)} NICs, {len(fold.frames)} windows of "
        f"{fold.pace.window_seconds:g} s; learned from the first {MIDDLE / 60:.0f} minutes, "
        f"faults in the rest. {count} random NICs and onsets a row, transmit, receive and both in "
        f"turn, seed {seed}, revision {revision()}. A cap is a token bucket with 1-3 % of rate "
        "noise; without coupling it leaves room for the mean demand. Shares are of "
        "the 99th percentile of the NIC's own rates. Intervals are Wilson's, 95 %. The trace's own "
        "samples are half a second apart: what is between two is taken to flow evenly, so that a "
        "job that is slowed down has flatter bursts at all its NICs."
    )


def _main_table(cells: Cells) -> str:
    rows = [
        [
            coupling.value,
            str(severity),
            found_within(outcomes, 60),
            found_within(outcomes, 180),
            found_within(outcomes, 300),
            median_delay(outcomes),
            ranked_first(outcomes),
            ranked_first(outcomes, 3),
            others_named(outcomes),
        ]
        for (coupling, severity), outcomes in cells.items()
    ]
    head = (
        "the job waits",
        "cap",
        "found in 60 s",
        "in 180 s",
        "in 300 s",
        "median delay",
        "culprit first of candidates",
        "among three",
        "runs in which others had a finding",
    )
    return table(head, rows)


def _alarms(forward: Fold, backward: Fold) -> str:
    lines = ["Without a fault:", ""]
    total = 0.0
    everybody: set[object] = set()
    for name, judged in (("first half learned, second judged", forward), ("the reverse", backward)):
        named, days = false_alarms(judged, MIDDLE)
        total += days
        everybody |= named
        highest = float(np.nanmax(judged.scores[judged.since(judged.frames[0].time + MIDDLE) :]))
        lines.append(
            f"- {name}: {len(named)} links named in {days:.1f} days of links; highest score of any "
            f"window {highest:.2f}."
        )
    if not everybody:
        lines.append(
            f"- What the data support: at most {3 / total:.1f} false alarms a day of a link (95 %, "
            "rule of three). The limits aim at one in thousands of days; no half hour shows that."
        )
    return "\n".join(lines)
