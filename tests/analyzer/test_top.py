# SPDX-License-Identifier: Apache-2.0
import os
import signal
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler

import orjson
import pytest

from analyzer.pictures import fleet, link, status
from railwatch.settings import ConfigError
from railwatch_analyzer.terminal.picture import Picture, PictureError, picture_of
from railwatch_analyzer.terminal.screen import stopping
from railwatch_analyzer.top import LineView, top, watch
from support.loopback import Loopback, answer_with


class _Clock:
    """Time that passes only by waiting; sets *stop* after so many waits."""

    def __init__(self, stop_after: int | None = None) -> None:
        self.now = 0.0
        self.waits: list[float] = []
        self._stop_after = stop_after

    def monotonic(self) -> float:
        return self.now

    def wall(self) -> float:
        raise AssertionError("top needs no wall time")

    def wait(self, event: threading.Event, seconds: float) -> bool:
        self.now += seconds
        self.waits.append(seconds)
        if len(self.waits) == self._stop_after:
            event.set()
        return event.is_set()


class _View:
    """Keeps what it is shown."""

    def __init__(self) -> None:
        self.shown: list[Picture | str] = []

    def show(self, picture: Picture) -> None:
        self.shown.append(picture)

    def lament(self, trouble: str) -> None:
        self.shown.append(trouble)


def _analyzer(request: BaseHTTPRequestHandler) -> None:
    """Answer as an analyzer that knows a fleet and no findings."""
    answers = {
        "/api/v1/links": status(fleet()),
        "/api/v1/findings": [],
        "/api/v1/jobs": {"jobs": []},
    }
    answer_with(orjson.dumps(answers[request.path]))(request)


def _looks(*outcomes: Picture | str) -> Callable[[], Picture]:
    """Return a look that has these outcomes, the last for ever; a text is a trouble."""
    left = list(outcomes)

    def look() -> Picture:
        outcome = left.pop(0) if len(left) > 1 else left[0]
        if isinstance(outcome, str):
            raise PictureError(outcome)
        return outcome

    return look


def test_a_running_analyzer_is_one_line_without_control_characters(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """FORCE_COLOR makes libraries take anything for a terminal."""
    monkeypatch.setenv("FORCE_COLOR", "1")
    with Loopback(_analyzer) as server:
        code = top(server.url, seconds=0.0)

    out = capsys.readouterr().out
    assert code == 0
    assert out == "14:03:25  12 nodes seen  24 normal  trained\n"
    assert sorted(server.paths) == ["/api/v1/findings", "/api/v1/jobs", "/api/v1/links"]


def test_an_address_where_nobody_listens_is_said_and_is_a_failure_in_the_end(
    capsys: pytest.CaptureFixture[str],
) -> None:
    with Loopback(_analyzer) as server:
        address = server.address
    code = top(f"http://user:secret@{address}", seconds=0.0)

    out = capsys.readouterr().out
    assert code == 1
    assert out.startswith(f"cannot reach http://{address}: ")
    assert out.endswith("; trying again\n")


@pytest.mark.parametrize(
    ("status_code", "body", "said"),
    [
        (401, b"", "status 401"),
        (200, b"<html>", "no railwatch analyzer answers"),
        (200, b"[]", "no railwatch analyzer answers"),
    ],
)
def test_a_server_that_is_no_analyzer_is_said(
    capsys: pytest.CaptureFixture[str], status_code: int, body: bytes, said: str
) -> None:
    with Loopback(answer_with(body, status_code)) as server:
        code = top(server.url, seconds=0.0)

    assert code == 1
    assert said in capsys.readouterr().out


@pytest.mark.parametrize("url", ["", "127.0.0.1:9811", "ftp://host", "http://", "x\n"])
def test_what_is_no_address_is_refused(url: str) -> None:
    with pytest.raises(ConfigError, match="--url"):
        top(url, seconds=0.0)


@pytest.mark.parametrize("seconds", [-1.0, float("nan")])
def test_what_is_no_time_is_refused(seconds: float) -> None:
    with pytest.raises(ConfigError, match="--seconds"):
        top("http://127.0.0.1:1", seconds=seconds)


def test_it_keeps_trying_until_the_analyzer_is_there() -> None:
    picture, view = picture_of(status(fleet()), []), _View()

    code = watch(_looks("away", "away", picture), view, _Clock(), threading.Event(), seconds=2.5)

    assert code == 0
    assert view.shown == ["away", "away", picture]


def test_a_signal_ends_it_with_success_even_if_nothing_ever_answered() -> None:
    view, clock = _View(), _Clock(stop_after=3)

    code = watch(_looks("away"), view, clock, threading.Event(), seconds=float("inf"))

    assert code == 0
    assert view.shown == ["away"] * 3


def test_an_analyzer_that_is_slow_to_answer_is_asked_less_often() -> None:
    clock, picture = _Clock(stop_after=1), picture_of(status(fleet()), [])

    def look() -> Picture:
        clock.now += 0.5
        return picture

    watch(look, _View(), clock, threading.Event(), seconds=float("inf"))

    assert clock.waits == [5.0]


def test_a_round_is_written_once_and_a_trouble_once(capsys: pytest.CaptureFixture[str]) -> None:
    view = LineView()
    one, other = (picture_of(status([link()], time=seconds), []) for seconds in (5.0, 10.0))

    for picture in (one, one, other):
        view.show(picture)
    view.lament("away")
    view.lament("away")
    view.show(other)

    seen = capsys.readouterr().out.splitlines()
    assert [text.split("  ")[0] for text in seen] == ["00:00:05", "00:00:10", "away", "00:00:10"]


@pytest.fixture
def _handlers() -> Iterator[None]:
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    yield
    assert {number: signal.getsignal(number) for number in before} == before


@pytest.mark.usefixtures("_handlers")
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_signals_stop_it_and_are_given_back(number: signal.Signals) -> None:
    with stopping() as stop:
        assert not stop.is_set()
        os.kill(os.getpid(), number)

        assert stop.wait(10.0)
