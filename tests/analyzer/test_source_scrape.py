# SPDX-License-Identifier: Apache-2.0
"""Agents are scraped side by side, and a bad one costs nothing but itself."""

from __future__ import annotations

import gzip
import logging
import math
import threading
from contextlib import ExitStack, closing
from typing import TYPE_CHECKING

import pytest

from railwatch.clock import SystemClock
from railwatch_analyzer.frame import Link
from railwatch_analyzer.sources.http_client import Access
from railwatch_analyzer.sources.scrape import ScrapeSource, Target
from support.loopback import Loopback, answer_with, loopback_of, wait_for_the_end

if TYPE_CHECKING:
    from http.server import BaseHTTPRequestHandler

    from support.loopback import Answer

# The time-out of a target is 0.3 of this.
_CYCLE_SECONDS = 5.0

_AGENT = """\
# HELP railwatch_rail_up 1 if the rail can carry traffic.
# TYPE railwatch_rail_up gauge
railwatch_rail_up{rail="0",device="mlx5_0"} 1
railwatch_rail_transmit_bytes_total{rail="0",device="mlx5_0"} 1234567890123456
railwatch_rail_faults_total{rail="0",device="mlx5_0",kind="retransmit"} 3
railwatch_rail_job_info{rail="0",device="mlx5_0",job_id="job-a"} 1
railwatch_rail_neighbor_info{rail="0",device="mlx5_0",switch="leaf-1",switch_port="7"} 1
railwatch_agent_window_seconds 5
railwatch_agent_window_end_timestamp_seconds 1700000000
railwatch_gpu_power_watts{gpu="0"} 400
"""


class CountingClock(SystemClock):
    """A wall clock that is a second further each time it is read."""

    def __init__(self) -> None:
        self._seconds = 1_700_000_000.0

    def wall(self) -> float:
        """Unix seconds."""
        self._seconds += 1.0
        return self._seconds


def _source(
    *targets: Target, cycle: float = _CYCLE_SECONDS, most_bytes: int = 4 * 2**20
) -> ScrapeSource:
    return ScrapeSource(targets, CountingClock(), interval_seconds=cycle, most_bytes=most_bytes)


def _agent() -> Loopback:
    return Loopback(answer_with(_AGENT.encode()))


def _dripping_headers(request: BaseHTTPRequestHandler) -> None:
    """Send a byte of a header now and then, so that no single read ever waits long."""
    request.wfile.write(b"HTTP/1.1 200 OK\r\nX-Long: ")
    while not loopback_of(request).closing.wait(0.05):
        request.wfile.write(b"x")


def _endless(request: BaseHTTPRequestHandler) -> None:
    """Send comments for as long as somebody listens."""
    request.wfile.write(b"HTTP/1.1 200 OK\r\n\r\n")
    while not loopback_of(request).closing.is_set():
        request.wfile.write(b"# " + b"x" * 4000 + b"\n")


def _cut_short(request: BaseHTTPRequestHandler) -> None:
    request.wfile.write(b"HTTP/1.1 200 OK\r\nContent-Length: 9999\r\n\r\n" + _AGENT.encode())
    request.close_connection = True


def _many(line: str) -> bytes:
    return "".join(line % number for number in range(1000)).encode()


_GZIP = (("Content-Encoding", "gzip"),)
_BAD: dict[str, Answer] = {
    "mute": wait_for_the_end,
    "dripping": _dripping_headers,
    "endless": _endless,
    "cut short": _cut_short,
    "error": answer_with(_AGENT.encode(), status=503),
    "page": answer_with(b"<html><body>It works!</body></html>"),
    "half garbage": answer_with(_AGENT.encode() + b"railwatch_rail_up{rail=\n"),
    "not a number": answer_with(b"railwatch_rail_up one\n"),
    "not text": answer_with(b"\xff\xfe\x00"),
    "empty": answer_with(b""),
    "another exporter": answer_with(b"node_cpu_seconds_total 1\n"),
    "compressed": answer_with(
        gzip.compress(_AGENT.encode()), headers=(("Content-Encoding", "gzip"),)
    ),
    "bomb": answer_with(gzip.compress(b"a 1\n" * 10_000_000), headers=_GZIP),
    "a million series": answer_with(_AGENT.encode() + b"a 1\n" * 1_000_000),
    "a huge label": answer_with(
        f'railwatch_rail_up{{rail="{"x" * 5000}",device="a"}} 1\n'.encode()
    ),
    "a thousand rails": answer_with(_many('railwatch_rail_up{rail="%d",device="a"} 1\n')),
    "a rail a thousand times": answer_with(_many('railwatch_rail_up{rail="0",device="%d"} 1\n')),
    "a thousand jobs": answer_with(_many('railwatch_job_info{job_id="%d"} 1\n')),
    "too large": answer_with(_AGENT.encode() + b"# " + b"x" * 5_000_000),
}


def test_a_scrape_fills_the_rows_of_its_node() -> None:
    with _agent() as agent, closing(_source(Target(agent.address, "node-1"))) as source:
        frame = source.fetch()

    assert agent.paths == ["/metrics"]
    assert frame.links == (Link("node-1", "0", "mlx5_0"),)
    assert frame["up"].tolist() == [1.0]
    assert frame["transmit_bytes_total"].tolist() == [1234567890123456.0]
    assert frame["faults_total_retransmit"].tolist() == [3.0]
    assert math.isnan(frame["receive_bytes_total"][0])
    assert (frame.job_id, frame.switch) == (("job-a",), ("leaf-1",))
    assert frame.window_end.tolist() == [1_700_000_000.0]
    assert (frame.window_seconds, frame.interval_seconds) == (5.0, _CYCLE_SECONDS)
    assert frame.missed == ()


def test_a_row_was_sampled_when_its_agent_answered() -> None:
    with ExitStack() as stack:
        agents = [stack.enter_context(_agent()) for _ in range(3)]
        targets = [Target(agent.address, f"node-{i}") for i, agent in enumerate(agents)]
        frame = stack.enter_context(closing(_source(*targets))).fetch()

    # The clock is read at the start, at each answer and at the end.
    assert sorted(frame.sampled_at - 1_700_000_000.0) == [2.0, 3.0, 4.0]
    assert frame.time == 1_700_000_005.0


@pytest.mark.parametrize("behaviour", _BAD.values(), ids=_BAD.keys())
def test_a_bad_target_costs_itself_and_nothing_else(behaviour: Answer) -> None:
    with _agent() as good, Loopback(behaviour) as bad:
        targets = Target(bad.address, "bad"), Target(good.address, "good")
        with closing(_source(*targets)) as source:
            frame = source.fetch()

    assert frame.missed == ("bad",)
    assert [link.node for link in frame.links] == ["good"]
    assert bad.connections == 1


def test_a_target_speaks_for_itself_only() -> None:
    """Whatever it says of another node counts as said of its own."""
    liar = b'railwatch_rail_up{rail="0",device="mlx5_0",node="good",instance="good:9810"} 0\n'
    with _agent() as good, Loopback(answer_with(liar)) as bad:
        targets = Target(bad.address, "bad"), Target(good.address, "good")
        with closing(_source(*targets)) as source:
            frame = source.fetch()

    assert frame.links == (Link("bad", "0", "mlx5_0"), Link("good", "0", "mlx5_0"))
    assert frame["up"].tolist() == [0.0, 1.0]


def test_numbers_that_mean_nothing_are_unknown() -> None:
    storm = b"".join(
        b'railwatch_rail_%s{rail="0",device="a"} %s\n' % pair
        for pair in ((b"up", b"+Inf"), (b"present", b"NaN"), (b"speed_bytes_per_second", b"1e400"),
                     (b"transmit_bytes_total", b"7"))
    ) + (
        b"railwatch_agent_window_end_timestamp_seconds 9e99\n"
        b"railwatch_agent_window_seconds -Inf\n"
    )  # fmt: skip
    with Loopback(answer_with(storm)) as bad, closing(_source(Target(bad.address, "n"))) as source:
        frame = source.fetch()

    assert [math.isnan(frame[name][0]) for name in ("up", "present", "speed_bytes_per_second")] == [
        True
    ] * 3
    assert frame["transmit_bytes_total"].tolist() == [7.0]
    assert math.isnan(frame.window_end[0])
    assert frame.window_seconds == 5.0


def test_a_dead_target_is_missed() -> None:
    with _agent() as dead:
        address = dead.address
    with _agent() as good:
        targets = Target(address, "dead"), Target(good.address, "good")
        with closing(_source(*targets)) as source:
            frame = source.fetch()

    assert frame.missed == ("dead",)
    assert [link.node for link in frame.links] == ["good"]


def test_nothing_answers_and_the_frame_says_so() -> None:
    with closing(_source(Target("127.0.0.1:1", "b"), Target("not an address", "a"))) as source:
        frame = source.fetch()

    assert frame.links == ()
    assert frame.missed == ("a", "b")


def test_targets_are_asked_at_the_same_time() -> None:
    """Each agent answers only once all of them have been asked."""
    everyone = threading.Barrier(8)

    def answer(request: BaseHTTPRequestHandler) -> None:
        everyone.wait(30)
        answer_with(_AGENT.encode())(request)

    with Loopback(answer) as agent:
        targets = [Target(agent.address, f"node-{i}") for i in range(8)]
        with closing(_source(*targets, cycle=15.0)) as source:
            frame = source.fetch()

    assert frame.missed == ()
    assert len(frame.links) == 8


def test_a_round_ends_although_hundreds_do_not_answer() -> None:
    """Those whose turn does not come within the cycle are missed too."""
    with Loopback(wait_for_the_end) as mute:
        targets = [Target(mute.address, f"node-{i}") for i in range(300)]
        with closing(_source(*targets, cycle=0.5)) as source:
            frame = source.fetch()

    assert len(frame.missed) == 300
    assert mute.connections < 300


def test_a_connection_is_kept_for_the_next_round() -> None:
    with _agent() as agent, closing(_source(Target(agent.address, "node-1"))) as source:
        source.fetch()
        source.fetch()

        assert len(agent.paths) == 2
        assert agent.connections == 1


def test_a_redirect_is_not_followed() -> None:
    with _agent() as elsewhere:
        location = (("Location", f"{elsewhere.url}/metrics"),)
        with (
            Loopback(answer_with(b"", status=302, headers=location)) as agent,
            closing(_source(Target(agent.address, "node-1"))) as source,
        ):
            frame = source.fetch()

    assert frame.missed == ("node-1",)
    assert elsewhere.paths == []


def test_a_proxy_of_the_environment_sees_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    with _agent() as proxy, _agent() as agent:
        monkeypatch.setenv("http_proxy", proxy.url)
        with closing(_source(Target(agent.address, "node-1"))) as source:
            frame = source.fetch()

    assert frame.missed == ()
    assert proxy.paths == []


def test_a_target_is_logged_when_it_changes_and_not_each_round(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.INFO, logger="railwatch_analyzer")
    with _agent() as agent, closing(_source(Target(agent.address, "node-1"))) as source:
        for behaviour in ("good", "bad", "bad", "good", "good"):
            body = _AGENT.encode() if behaviour == "good" else b"nonsense!\n"
            agent.answer = answer_with(body)
            source.fetch()

    messages = [record.getMessage() for record in caplog.records]
    assert len(messages) == 2
    assert messages[0].startswith(f"agent missed node=node-1 address={agent.address}: not a sample")
    assert messages[1] == f"agent answers again node=node-1 address={agent.address}"


def test_secret_headers_are_sent_and_not_shown() -> None:
    access = Access(headers={"Authorization": "Bearer s3cret"})
    with _agent() as agent:
        source = ScrapeSource(
            [Target(agent.address, "n")], CountingClock(), interval_seconds=2.0, access=access
        )
        with closing(source):
            source.fetch()

    assert agent.headers[0]["Authorization"] == "Bearer s3cret"
    assert "s3cret" not in repr(access)
