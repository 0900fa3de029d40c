# SPDX-License-Identifier: Apache-2.0
"""What a Prometheus recorded, judged as if it were live; the history is a small fleet's."""

from __future__ import annotations

import json
import math
import re
import urllib.parse
from typing import TYPE_CHECKING, Any

import orjson
import pytest

from analyzer.fleet import START, WINDOW, Fleet, capped
from railwatch_analyzer.backtest import backtest, unix_seconds
from railwatch_analyzer.cli import main
from railwatch_analyzer.frame import COLUMNS, Frame
from support.loopback import Answer, Loopback, answer_with

if TYPE_CHECKING:
    from collections.abc import Iterator
    from http.server import BaseHTTPRequestHandler
    from pathlib import Path

_WINDOWS = 16
_BAD_FROM = 12


def _history() -> list[Frame]:
    """Windows of a fleet one of whose links is capped from the twelfth on."""
    fleet = Fleet(nodes=4)
    bad = {fleet.links[2]: capped(0.3)}
    return [fleet.window(bad if n >= _BAD_FROM else None) for n in range(_WINDOWS)]


def _series(history: list[Frame], since: float, until: float) -> Iterator[dict[str, Any]]:
    """What the API has of *history* in (since, until], raw samples with their own times."""
    seen = [frame for frame in history if since < frame.time <= until]
    if not seen:
        return
    for row, link in enumerate(history[0].links):
        labels = {"instance": f"{link.node}:9810", "rail": link.rail, "device": link.device}
        for number, name in enumerate(COLUMNS):
            values = [[f.time, str(f.values[row, number])] for f in seen]
            metric = {**labels, "__name__": f"railwatch_rail_{name}"}
            if "faults_total" not in name and "congestion" not in name:
                yield {"metric": metric, "values": values}
        yield {
            "metric": {
                "instance": labels["instance"],
                "__name__": "railwatch_agent_window_seconds",
            },
            "values": [[f.time, str(WINDOW)] for f in seen],
        }
        name = "railwatch_agent_window_end_timestamp_seconds"
        yield {
            "metric": {"instance": labels["instance"], "__name__": name},
            "values": [[f.time, str(f.window_end[row])] for f in seen],
        }
        yield {
            "metric": {**labels, "__name__": "railwatch_rail_job_info", "job_id": "77"},
            "values": [[f.time, "1"] for f in seen],
        }


def _prometheus(history: list[Frame]) -> Answer:
    def answer(request: BaseHTTPRequestHandler) -> None:
        asked = dict(urllib.parse.parse_qsl(urllib.parse.urlsplit(request.path).query))
        lookback = re.search(r"\[(\d+)s\]$", asked["query"])
        assert lookback is not None
        until = float(asked["time"])
        found = list(_series(history, until - float(lookback[1]), until))
        data = {"resultType": "matrix", "result": found}
        body = json.dumps({"status": "success", "data": data}).replace('"nan"', '"NaN"')
        answer_with(body.encode())(request)

    return answer


@pytest.fixture(scope="module")
def server() -> Iterator[Loopback]:
    with Loopback(_prometheus(_history())) as running:
        yield running


_END = START + _WINDOWS * WINDOW + 2


def test_the_command_finds_what_went_wrong_then(server: Loopback, tmp_path: Path) -> None:
    output = tmp_path / "findings.jsonl"

    span = ["--start", str(START), "--end", str(_END)]
    code = main(["backtest", "--prometheus", server.url, *span, "--output", str(output)])

    assert code == 0
    lines = [orjson.loads(line) for line in output.read_bytes().splitlines()]
    assert [(line["node"], line["state"]) for line in lines] == [("n02", "firing")]
    begun = START + _BAD_FROM * WINDOW
    assert begun < lines[0]["time"] < begun + 4 * WINDOW


def test_a_line_depends_on_no_sample_after_it(server: Loopback) -> None:
    lines = list(backtest(server.url, START, _END))

    cut = lines[0].time
    assert list(backtest(server.url, START, cut)) == lines[:1]


def test_no_prometheus_is_one_line_and_the_output_stays(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    output = tmp_path / "findings.jsonl"
    output.write_text("of the run before\n", encoding="utf-8")
    with Loopback(answer_with(b"no", status=503)) as gone:
        span = ["--start", "0", "--end", "60"]
        code = main(["backtest", "--prometheus", gone.url, *span, "--output", str(output)])

    assert (code, len(capsys.readouterr().err.splitlines())) == (1, 1)
    assert output.read_text(encoding="utf-8") == "of the run before\n"


def test_times_are_unix_seconds_or_name_their_offset() -> None:
    assert unix_seconds("1700000000.5") == 1_700_000_000.5
    assert math.isclose(unix_seconds("2023-11-14T22:13:20Z"), 1_700_000_000.0)
    with pytest.raises(ValueError, match="offset"):
        unix_seconds("2023-11-14T22:13:20")
    with pytest.raises(ValueError, match="yesterday"):
        unix_seconds("yesterday")
