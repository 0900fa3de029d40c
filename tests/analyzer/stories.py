"""Folds frames into a state, for tests that begin with a fleet that was learned."""

from __future__ import annotations

from typing import TYPE_CHECKING

from railwatch_analyzer.baseline import WARM_UP
from railwatch_analyzer.round import judge
from railwatch_analyzer.state import State, empty_state

if TYPE_CHECKING:
    from collections.abc import Iterable

    from analyzer.fleet import Fleet
    from railwatch_analyzer.findings import Finding
    from railwatch_analyzer.frame import Frame

WARM = WARM_UP + 6


def fold(state: State, frames: Iterable[Frame]) -> tuple[State, list[Finding]]:
    """Return the state after *frames* and all lines that were said."""
    lines: list[Finding] = []
    for frame in frames:
        state, more = judge(state, frame)
        lines += more
    return state, lines


def learned(fleet: Fleet) -> State:
    """Return the state after so many healthy windows of *fleet* that each link is judged."""
    state, lines = fold(empty_state(), fleet.windows(WARM))
    assert not lines
    return state
