"""A close look at one rail: bounded, apart from the tape, and for those who have the token."""

import http.client
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from agent.fakes import FakeClock, rail
from agent.program import PATIENCE_SECONDS, Program, run_command
from agent.trees import Tree, two_rails
from railwatch_agent.inventory import Rail
from railwatch_agent.microscope import LONGEST_SECONDS, BusyError, Microscope
from railwatch_agent.rail_bytes import byte_counters
from railwatch_agent.stations import RailStation
from railwatch_agent.tape import Tape

_RAILS = (rail(0, "rail0"), rail(1, "rail1", ifindex=None))


class _Bench:
    """A microscope whose clock a test moves; its thread sees the same clock and reads at once."""

    def __init__(self, root: Path) -> None:
        self.tree = two_rails(root)
        self.clock = FakeClock()
        self.microscope = Microscope(
            rails=lambda: _RAILS,
            station=self._station,
            line_rate=lambda _: 12.5e9,
            clock=self.clock,
        )

    def _station(self, of: Rail, tape: Tape) -> RailStation:
        return RailStation(
            of,
            counters=lambda on_jump: byte_counters(of, self.tree.sysfs, on_jump=on_jump),
            track=tape.track(of.number),
            on_error=lambda: None,
            monotonic=self.clock.monotonic,
        )

    def pass_by(self, seconds: float) -> None:
        """Let time pass, with the supervision of each second."""
        self.clock.advance(seconds)
        self.microscope.supervise()
        look = self.microscope._look
        if look is not None and not self.microscope.is_looking:
            look.crew._thread.join(PATIENCE_SECONDS)


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[_Bench]:
    made = _Bench(tmp_path)
    yield made
    made.microscope.stop()


def test_nothing_was_seen_before_the_first_look(bench: _Bench) -> None:
    assert bench.microscope.seen() is None
    assert bench.microscope.is_looking is False


@pytest.mark.parametrize("seconds", [0.0, -1.0, LONGEST_SECONDS + 1, float("nan"), float("inf")])
def test_a_look_is_bounded(bench: _Bench, seconds: float) -> None:
    with pytest.raises(ValueError, match="at most 60"):
        bench.microscope.look(0, seconds)


@pytest.mark.parametrize("number", [1, 2])
def test_only_a_rail_that_is_there_can_be_looked_at(bench: _Bench, number: int) -> None:
    with pytest.raises(LookupError, match=f"no rail {number} is present"):
        bench.microscope.look(number, 10.0)


def test_one_look_at_a_time_and_a_rest_as_long_after_it(bench: _Bench) -> None:
    bench.microscope.look(0, 10.0)
    with pytest.raises(BusyError) as during:
        bench.microscope.look(0, 10.0)
    bench.pass_by(15.0)
    with pytest.raises(BusyError) as after:
        bench.microscope.look(0, 10.0)
    bench.pass_by(5.0)
    bench.microscope.look(0, 10.0)

    assert 0 < during.value.wait_seconds <= 20.0
    assert 0 < after.value.wait_seconds <= 5.0
    assert bench.microscope.is_looking


def test_what_was_seen_is_kept_until_the_next_look(bench: _Bench) -> None:
    bench.microscope.look(0, 10.0)
    bench.pass_by(20.0)
    seen = bench.microscope.seen()

    assert seen is not None
    assert (seen["rail"], seen["device"], seen["is_over"]) == ("0", "rail0", True)


class _Client:
    """Asks a real agent with a microscope."""

    def __init__(self, program: Program) -> None:
        self._address = program.address

    def ask(self, method: str, path: str, **headers: str) -> tuple[int, Any, dict[str, str]]:
        """Return status, JSON or text, and headers of an answer."""
        connection = http.client.HTTPConnection(self._address, timeout=PATIENCE_SECONDS)
        connection.request(method, path, headers=headers)
        response = connection.getresponse()
        body = response.read()
        connection.close()
        is_json = response.headers.get_content_type() == "application/json"
        return response.status, json.loads(body) if is_json else body, dict(response.headers)


_PATH = "/api/v1/microscope"
_TOKEN = {"Authorization": "Bearer s3cret"}


@pytest.fixture
def program(tmp_path: Path) -> Iterator[tuple[Program, Tree]]:
    tree = two_rails(tmp_path / "node")
    token = tmp_path / "token"
    token.write_text("s3cret\n")
    with Program(tmp_path, tree, toml=f'[microscope]\ntoken_file = "{token}"\n') as running:
        yield running, tree


def test_a_rail_is_read_two_hundred_times_a_second_and_the_others_as_ever(
    program: tuple[Program, Tree],
) -> None:
    running, tree = program
    client = _Client(running)
    nothing, _, _ = client.ask("GET", _PATH, **_TOKEN)
    begun, said, _ = client.ask("POST", f"{_PATH}?rail=0&seconds=2", **_TOKEN)
    busy, _, headers = client.ask("POST", f"{_PATH}?rail=1", **_TOKEN)
    running.wait_for_value(1, "railwatch_agent_microscope_active")
    tree.count("rail0", rx_bytes=10**9)
    running.wait_for_value(0, "railwatch_agent_microscope_active")
    _, seen, _ = client.ask("GET", _PATH, **_TOKEN)

    assert (nothing, begun, busy) == (404, 202, 429)
    assert said == {"rail": "0", "seconds": 2.0}
    assert 1 <= int(headers["Retry-After"]) <= 4
    assert (seen["rail"], seen["is_over"], seen["interval_seconds"]) == ("0", True, 0.005)
    # Of 400; a busy machine misses some, and never makes up for them.
    assert 100 < len(seen["times"]) <= 401
    assert seen["times"] == sorted(seen["times"])
    assert 0 <= seen["times"][0] < seen["times"][-1] <= 2.1
    assert seen["receive_bytes"][-1] - seen["receive_bytes"][0] == 10**9
    assert seen["rates"]["receive"]["max_bytes_per_second"] > 10**9
    assert seen["rates"]["transmit"]["max_bytes_per_second"] == 0
    # The tape has its own samples of that time, at its own rate.
    assert running.value("railwatch_rail_receive_bytes_total", rail="0") == 10**9


@pytest.mark.parametrize(
    ("query", "status"),
    [
        pytest.param("rail=0&seconds=61", 400, id="too long"),
        pytest.param("rail=0&seconds=nan", 400, id="no number"),
        pytest.param("rail=x", 400, id="no rail"),
        pytest.param("", 400, id="nothing"),
        pytest.param("rail=7", 404, id="no such rail"),
    ],
)
def test_what_makes_no_sense_is_refused(
    program: tuple[Program, Tree], query: str, status: int
) -> None:
    answer, said, _ = _Client(program[0]).ask("POST", f"{_PATH}?{query}", **_TOKEN)

    assert answer == status
    assert said["error"]


@pytest.mark.parametrize("authorization", ["", "Bearer", "Bearer wrong", "Basic s3cret", "s3cret"])
def test_nobody_looks_without_the_token(program: tuple[Program, Tree], authorization: str) -> None:
    client = _Client(program[0])
    for method in ("GET", "POST"):
        status, _, headers = client.ask(method, f"{_PATH}?rail=0", Authorization=authorization)
        assert status == 401
        assert headers["WWW-Authenticate"] == "Bearer"
    assert program[0].value("railwatch_agent_microscope_active") == 0


def test_there_is_no_microscope_without_a_key(tmp_path: Path) -> None:
    with Program(tmp_path, two_rails(tmp_path / "node")) as running:
        status, _, _ = _Client(running).ask("POST", f"{_PATH}?rail=0", **_TOKEN)

    assert status == 404


def test_a_token_that_cannot_be_read_is_one_line(tmp_path: Path) -> None:
    done = run_command("run", "--microscope.token_file", str(tmp_path / "none"))

    assert done.returncode == 1
    assert done.stderr.splitlines()[-1] == (
        f"railwatch-agent: [microscope] token_file: cannot read {tmp_path}/none: "
        "No such file or directory"
    )
