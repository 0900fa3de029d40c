# SPDX-License-Identifier: Apache-2.0
"""Rounds in a thread of their own: a source that is replaced, one that hangs, and the end."""

from __future__ import annotations

import os
import signal
import socket
import sys
import threading
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from railwatch.clock import SystemClock
from railwatch.web import Request
from railwatch_analyzer.rounds import Rounds
from railwatch_analyzer.service import Analyzer
from railwatch_analyzer.sources.errors import SourceError
from railwatch_analyzer.state import empty_state
from support.conditions import wait_until
from support.process import Process, free_address

if TYPE_CHECKING:
    from railwatch_analyzer.frame import Frame

_PATIENCE_SECONDS = 30.0


@dataclass
class _Source:
    """Fails each time, once it is let."""

    go: threading.Event = field(default_factory=threading.Event)
    asked: int = 0
    is_closed: bool = False

    def fetch(self) -> Frame:
        self.asked += 1
        self.go.wait(_PATIENCE_SECONDS)
        raise SourceError("nobody answers")

    def close(self) -> None:
        self.is_closed = True


class _FastClock(SystemClock):
    """Time that `ahead` moves on, and in which nobody waits for long."""

    def __init__(self) -> None:
        self.ahead = 0.0

    def monotonic(self) -> float:
        return super().monotonic() + self.ahead

    def wait(self, event: threading.Event, seconds: float) -> bool:
        return event.wait(min(seconds, 0.01))


def test_a_source_that_is_adopted_is_asked_from_the_next_round_on() -> None:
    old, new = _Source(), _Source()
    old.go.set()
    new.go.set()
    analyzer = Analyzer(
        old, _FastClock(), interval_seconds=1.0, state=empty_state(), state_file=None
    )
    rounds = Rounds(analyzer)
    rounds.start()
    wait_until(rounds.is_ready, _PATIENCE_SECONDS, "a round")

    analyzer.adopt(_Source(), 1.0)
    analyzer.adopt(new, 1.0)
    wait_until(lambda: new.asked, _PATIENCE_SECONDS, "a round of the new source")

    assert old.is_closed
    assert not new.is_closed
    assert rounds.stop(_PATIENCE_SECONDS)
    analyzer.close()
    assert new.is_closed


def test_a_round_that_does_not_end_is_no_sign_of_health() -> None:
    source, clock = _Source(), _FastClock()
    analyzer = Analyzer(source, clock, interval_seconds=1.0, state=empty_state(), state_file=None)
    rounds = Rounds(analyzer)
    rounds.start()
    wait_until(lambda: source.asked, _PATIENCE_SECONDS, "the round to begin")
    healthy = analyzer.routes()["/-/healthy"]

    before = (rounds.is_healthy(), healthy(Request({})).status)
    clock.ahead = 3600.0
    hung = (rounds.is_healthy(), healthy(Request({})).status)
    stopped = rounds.stop(0.0)
    source.go.set()

    assert (before, hung, stopped) == ((True, 200), (False, 503), False)
    assert rounds.stop(_PATIENCE_SECONDS)
    assert rounds.is_healthy()


def test_rounds_that_have_ended_are_told() -> None:
    analyzer = Analyzer(
        _Source(), _FastClock(), interval_seconds=1.0, state=empty_state(), state_file=None
    )
    rounds = Rounds(analyzer)

    with pytest.raises(RuntimeError, match="has ended"):
        rounds.supervise()


@pytest.fixture
def program(tmp_path: Path) -> Process:
    """An analyzer whose only agent is not there."""
    config = tmp_path / "analyzer.toml"
    listen = free_address()
    config.write_text(
        f"[server]\nlisten = '{listen}'\n[paths]\nstate = '{tmp_path}'\n"
        "[cycle]\ninterval_seconds = 0.5\n[source]\ntargets = ['127.0.0.1:1']\n"
    )
    command = str(Path(sys.executable).with_name("railwatch-analyzer"))
    return Process([command, "run", "--config", str(config)], log=tmp_path / "log")


def test_an_analyzer_reads_its_settings_anew_and_ends_even_within_a_round(
    tmp_path: Path, program: Process
) -> None:
    config = tmp_path / "analyzer.toml"
    with socket.create_server(("127.0.0.1", 0)) as silent, program:
        silent.settimeout(_PATIENCE_SECONDS)
        program.wait_until(lambda: "agent missed" in program.log_tail(), _PATIENCE_SECONDS)
        address = f"127.0.0.1:{silent.getsockname()[1]}"

        text = config.read_text().replace("127.0.0.1:1'", f"{address}'").replace("0.5", "60.0")
        config.write_text(text.replace("[cycle]", "[cycles]"))
        os.kill(program.pid, signal.SIGHUP)
        program.wait_until(lambda: "stay as they were" in program.log_tail(), _PATIENCE_SECONDS)
        config.write_text(text)
        os.kill(program.pid, signal.SIGHUP)
        connection, _ = silent.accept()

        with connection:
            assert program.stop() == 0
        assert "read anew" in program.log_tail()
