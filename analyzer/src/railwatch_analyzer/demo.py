# SPDX-License-Identifier: Apache-2.0
"""`railwatch-analyzer demo`: a simulated cluster, a fault, and what railwatch says of it.

Frames of the simulation go through the same `judge` as in the service. It sees the frames and
nothing else: what is injected is narrated apart, and compared only at the end.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from itertools import takewhile
from typing import TYPE_CHECKING

import orjson

from railwatch.clock import SystemClock
from railwatch.settings import ConfigError
from railwatch_analyzer.demonstration.narration import announcements
from railwatch_analyzer.demonstration.reckoning import reckon
from railwatch_analyzer.demonstration.scenario import Scenario, scenario
from railwatch_analyzer.demonstration.stage import LineStage, ScreenStage, Stage
from railwatch_analyzer.demonstration.summary import summary
from railwatch_analyzer.round import judge
from railwatch_analyzer.simulation.frames import frames
from railwatch_analyzer.state import empty_state
from railwatch_analyzer.terminal.picture import Picture, picture_of
from railwatch_analyzer.terminal.screen import hang_up, is_screen, stopping
from railwatch_analyzer.view import links_view

if TYPE_CHECKING:
    import threading
    from collections.abc import Iterator

    from railwatch.clock import Clock
    from railwatch_analyzer.findings import Finding
    from railwatch_analyzer.frame import Frame
    from railwatch_analyzer.state import State

# Midnight of some day, so that the time of day is the time since the simulation began.
EPOCH = 1_700_006_400.0


@dataclass(frozen=True, slots=True)
class Moment:
    """What railwatch knows after a round; *seconds* since the simulation began."""

    seconds: float
    picture: Picture
    lines: tuple[Finding, ...]


def demo(*, seed: int, speed: float) -> int:
    """Play what *seed* draws, *speed* times faster than real time.

    Returns 0 if railwatch named exactly the links that were injected, else 1.

    Raises
    ------
    ConfigError
        If *seed* or *speed* cannot be used.
    """
    if seed < 0:
        raise ConfigError(f"--seed: must not be negative, got {seed!r}")
    if not speed > 0:
        raise ConfigError(f"--speed: must be positive, got {speed!r}")
    plan = scenario(seed)
    stage: Stage = ScreenStage() if is_screen() else LineStage()
    with stopping() as stop:
        try:
            with stage:
                told = perform(plan, stage, SystemClock(), stop, speed=speed)
                reckoning = None if told is None else reckon(plan.faults, told)
                stage.leave(summary(reckoning, links=len(plan.simulation.topology.links)))
        except BrokenPipeError:
            hang_up()
            return 1
    return 0 if reckoning is not None and reckoning.exact else 1


def perform(
    plan: Scenario, stage: Stage, clock: Clock, stop: threading.Event, *, speed: float
) -> list[Finding] | None:
    """Show the whole of *plan* on *stage*; return all that was found, None if it was stopped.

    Times of the returned findings are seconds since the simulation began.
    """
    due = clock.monotonic()
    told: list[Finding] = []
    waiting = announcements(plan)
    before = 0.0
    for moment in play(plan):
        while waiting and waiting[0].seconds <= moment.seconds:
            stage.announce(waiting.pop(0))
        # A machine that is slower than the pace is not hurried afterwards.
        due = max(due + (moment.seconds - before) / speed, clock.monotonic())
        before = moment.seconds
        if clock.wait(stop, due - clock.monotonic()):
            return None
        stage.show(moment.picture, moment.lines)
        told += [_since_epoch(line) for line in moment.lines]
    return told


def play(plan: Scenario) -> Iterator[Moment]:
    """Yield what railwatch knows after each window of *plan*."""
    state = empty_state()
    ended: tuple[Finding, ...] = ()
    seen = frames(plan.simulation, start=EPOCH)
    shown = takewhile(lambda frame: frame.time <= EPOCH + plan.end, seen)
    for rounds, frame in enumerate(shown, start=1):
        state, lines = judge(state, frame)
        ended = (*(line for line in lines if line.state == "resolved"), *ended)
        yield Moment(frame.time - EPOCH, _picture(state, frame, rounds, ended), tuple(lines))


def _picture(state: State, frame: Frame, rounds: int, ended: tuple[Finding, ...]) -> Picture:
    """Return what a service would answer, by the same way through JSON."""
    status = {
        "time": state.time,
        "rounds": rounds,
        "complaint": "",
        "trained": state.detector is not None,
        "nodes_seen": len({link.node for link in frame.links}),
        "nodes_missed": len(frame.missed),
        "links": links_view(state, frame.window_seconds),
    }
    findings = [line.as_json() for line in (*state.standing.values(), *ended)]
    text = orjson.dumps([status, findings], option=orjson.OPT_SERIALIZE_NUMPY)
    return picture_of(*orjson.loads(text))


def _since_epoch(line: Finding) -> Finding:
    onset = line.onset - EPOCH if math.isfinite(line.onset) else line.onset
    return replace(line, time=line.time - EPOCH, onset=onset)
