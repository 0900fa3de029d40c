# SPDX-License-Identifier: Apache-2.0
"""The live picture as JSON: what `top` draws and `/api/v1/links` answers."""

from __future__ import annotations

from typing import Any

import numpy as np

from railwatch_analyzer.baseline import WARM_UP
from railwatch_analyzer.frame import POSITION
from railwatch_analyzer.peers import LEAST_GROUP
from railwatch_analyzer.round import verdicts_of
from railwatch_analyzer.state import Silence, State
from railwatch_analyzer.verdicts import Verdict

_TRANSMIT = POSITION["transmit_window_max_bytes_per_second"]
_RECEIVE = POSITION["receive_window_max_bytes_per_second"]


def links_view(state: State, window_seconds: float) -> list[dict[str, Any]]:
    """Return an object for each link: verdict, score, peaks of the last window, what is unknown.

    Unknown numbers are None. `note` says in words why a verdict is unknown or limited.
    """
    names = [Verdict(code).name.lower() for code in verdicts_of(state).tolist()]
    cells = state.collecting.cells
    return [
        {
            "node": link.node,
            "rail": link.rail,
            "device": link.device,
            "job_id": state.job_id[row],
            "verdict": names[row],
            "score": _number(state.status.score[row]),
            "transmit_max_bytes_per_second": _number(cells[row, _TRANSMIT]),
            "receive_max_bytes_per_second": _number(cells[row, _RECEIVE]),
            "speed_bytes_per_second": _number(state.roster.speed[row]),
            "learning_seconds": _to_learn(state, row) * window_seconds,
            "note": _note(state, row, window_seconds),
        }
        for row, link in enumerate(state.links)
    ]


def _number(value: float) -> float | None:
    return float(value) if np.isfinite(value) else None


def _to_learn(state: State, row: int) -> int:
    """Windows of traffic that a link is still to show before it is judged."""
    return max(WARM_UP - int(state.baseline.windows[row]), 0)


def _note(state: State, row: int, window_seconds: float) -> str:
    """Why a link is not judged, or not fully; empty if it is."""
    notes = []
    if state.roster.seen_at[row] != state.time:
        return "no data"
    if not state.roster.peered[row]:
        notes.append(f"no peers (fewer than {LEAST_GROUP} links to compare)")
    left = _to_learn(state, row)
    silence = Silence(int(state.picture.silence[row]))
    if left > 0:
        notes.append(f"learning, {left * window_seconds:.0f} s of traffic to go")
    if silence is Silence.IDLE:
        notes.append("idle")
    elif silence is Silence.OTHER_WORK:
        notes.append("does other work than its peers")
    elif silence is Silence.NO_DATA:
        notes.append("no window yet")
    return ", ".join(notes)
