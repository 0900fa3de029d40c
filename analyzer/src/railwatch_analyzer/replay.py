# SPDX-License-Identifier: Apache-2.0
"""The fold over a recorded trace: what an analyzer would have said at the time."""

from __future__ import annotations

import heapq
from typing import TYPE_CHECKING

from railwatch_analyzer.round import judge
from railwatch_analyzer.sources.steps import read_steps
from railwatch_analyzer.sources.trace import read_trace
from railwatch_analyzer.state import empty_state

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from railwatch_analyzer.findings import Finding
    from railwatch_analyzer.frame import Frame


def replay(rails: Path | None, steps: Path | None = None) -> Iterator[Finding]:
    """Return a line for each change of a finding; one at time t depends on no sample after t.

    Raises
    ------
    SourceError
        If a trace cannot be read.
    """
    # Read before the first line is asked for: the caller has written nothing yet.
    sources = [
        *([] if rails is None else [read_trace(rails)]),
        *([] if steps is None else [read_steps(steps)]),
    ]
    # Stable: where both have a frame of the same time, rails are heard first.
    return judged(heapq.merge(*sources, key=lambda frame: frame.time))


def judged(frames: Iterator[Frame]) -> Iterator[Finding]:
    """Yield what an analyzer that has seen nothing yet says of *frames*."""
    state = empty_state()
    for frame in frames:
        state, lines = judge(state, frame)
        yield from lines
