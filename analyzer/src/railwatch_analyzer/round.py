# SPDX-License-Identifier: Apache-2.0
"""One round: `judge(state, frame)`, a pure fold from what was known to what is known now."""

from __future__ import annotations

from dataclasses import replace
from itertools import compress
from typing import TYPE_CHECKING

import numpy as np

from railwatch_analyzer.claims import claims_of
from railwatch_analyzer.detectors.state import DOWNED, FLAP_SECONDS, Rule, remember_flaps, rulings
from railwatch_analyzer.findings import Finding, follow
from railwatch_analyzer.history import collect
from railwatch_analyzer.jobs.fold import judge_jobs
from railwatch_analyzer.judgement import judge_window
from railwatch_analyzer.membership import meet
from railwatch_analyzer.peers import group_numbers
from railwatch_analyzer.rows import aligned
from railwatch_analyzer.state import State, present, with_links
from railwatch_analyzer.verdicts import after_silence, verdicts

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from railwatch_analyzer.frame import Frame


def judge(state: State, frame: Frame) -> tuple[State, list[Finding]]:
    """Return what is known after this round and what has changed; the inputs are left alone."""
    if not frame.links and frame.jobs.records:
        # A recorded step says nothing of links, not even that they are missing.
        return _with_jobs(state, frame)
    steps = frame
    state = with_links(state, frame.links, frame.time)
    frame = aligned(frame, state.links)
    state = _apply_rules(meet(state, frame), frame)
    collecting, windows = collect(state.collecting, frame)
    state = replace(state, collecting=collecting, time=frame.time)
    for window in windows:
        state = judge_window(state, window)
    state = replace(state, status=after_silence(state.status, frame.time))
    standing, lines = follow(state.standing, claims_of(state), frame.time)
    state, more = _with_jobs(replace(state, standing=standing), steps)
    return state, [*lines, *more]


def _with_jobs(state: State, frame: Frame) -> tuple[State, list[Finding]]:
    """Judge the jobs of *frame* by what is known of their links."""
    degraded = compress(state.links, state.status.degraded)
    bad = frozenset((*state.ruled, *degraded))
    jobs, lines = judge_jobs(state.jobs, frame, bad)
    return replace(state, jobs=jobs), lines


def verdicts_of(state: State) -> NDArray[np.int64]:
    """Return the `Verdict` of each link of *state*; shape (links,).

    A ruling of a link that is not in the newest frame is held, but it is no longer a verdict.
    """
    here = state.roster.seen_at == state.time
    ruled = np.zeros(len(state.links), dtype=bool)
    down = np.zeros(len(state.links), dtype=bool)
    for row, link in enumerate(state.links):
        ruling = state.ruled.get(link)
        if ruling is not None and here[row]:
            ruled[row] = True
            down[row] = ruling.rule is Rule.DOWN
    return verdicts(state.status, now=state.time, down=down, by_rule=ruled)


def _apply_rules(state: State, frame: Frame) -> State:
    flaps = remember_flaps(state.flaps, state.roster.downed, frame)
    rails = group_numbers(tuple(link.rail for link in frame.links))
    now = rulings(frame, rails, flaps)
    seen = frame.seen.tolist()
    recent = present(state, frame.time).tolist()
    held = {
        link: state.ruled[link]
        for link, here, known in zip(state.links, seen, recent, strict=True)
        if not here and known and link in state.ruled
    }
    down = {link: frame.time for link, said in now.items() if said.rule is Rule.DOWN}
    lately = {
        link: when for link, when in state.down_at.items() if frame.time - when <= FLAP_SECONDS
    }
    counted = np.isfinite(frame[DOWNED])
    downed = np.where(counted, frame[DOWNED], state.roster.downed)
    return replace(
        state,
        flaps=flaps,
        ruled={**held, **now},
        down_at={**lately, **down},
        roster=replace(state.roster, downed=downed),
    )
