# SPDX-License-Identifier: Apache-2.0
"""railwatch-analyzer as an operator meets it: one line for a mistake, and a clean end."""

from __future__ import annotations

import socket
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from railwatch_analyzer.cli import main
from support.fetch import fetch_directly
from support.process import Process, free_address

if TYPE_CHECKING:
    from collections.abc import Iterator

_PROGRAM = str(Path(sys.executable).with_name("railwatch-analyzer"))


def _said(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    """The one line that the program says of a mistake."""
    code = main(arguments)

    out, err = capsys.readouterr()
    assert (code, out) == (1, "")
    [line] = err.splitlines()
    assert line.startswith("railwatch-analyzer: ")
    return line.removeprefix("railwatch-analyzer: ")


def _checked(capsys: pytest.CaptureFixture[str], path: Path, text: str) -> str:
    path.write_text(text, encoding="utf-8")
    line = _said(capsys, "check", "--config", str(path))
    assert line.startswith(f"{path}: ")
    return line.removeprefix(f"{path}: ")


@pytest.fixture
def config(tmp_path: Path) -> Path:
    return tmp_path / "analyzer.toml"


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        pytest.param(
            "[cycle]\ninterval = 5", ("[cycle] interval:", "'interval_seconds'"), id="unknown key"
        ),
        pytest.param("[sorce]\n", ("sorce:", "'source'"), id="unknown table"),
        pytest.param("[source]\ntarget = 'a:1'", ("[source] target:", "'targets'"), id="near miss"),
        pytest.param("source = 1", ("source:", "table", "1"), id="no table"),
        pytest.param(
            "[cycle]\ninterval_seconds = 'fast'",
            ("[cycle] interval_seconds:", "a number", "'fast'"),
            id="text for a number",
        ),
        pytest.param(
            "[server]\ninsecure = 1", ("[server] insecure:", "true or false", "1"), id="1 for true"
        ),
        pytest.param(
            "[source]\ntargets = 'a:1'", ("[source] targets:", "array", "'a:1'"), id="no array"
        ),
        pytest.param(
            "[source]\ntargets = ['a:1', 2]",
            ("[source] targets[1]:", "a string", "2"),
            id="a number among texts",
        ),
        pytest.param(
            "[cycle]\ninterval_seconds = 0.01",
            ("[cycle] interval_seconds:", "0.2", "300", "0.01"),
            id="out of range",
        ),
        pytest.param(
            "[cycle]\ninterval_seconds = nan", ("[cycle] interval_seconds:", "nan"), id="NaN"
        ),
        pytest.param("[cycle\n", ("not TOML", "line 1"), id="not TOML"),
        pytest.param(
            "[server]\nlisten = '0.0.0.0:9811'",
            ("[server] listen:", "'0.0.0.0:9811'", "insecure = true"),
            id="public address",
        ),
        pytest.param(
            "[server]\nlisten = '[::]:9811'", ("[server] listen:", "insecure"), id="public IPv6"
        ),
        pytest.param(
            "[server]\nlisten = 'localhost'", ("[server] listen:", "HOST:PORT"), id="no port"
        ),
        pytest.param(
            "[server]\nlisten = '127.0.0.1:65536'", ("[server] listen:", "65536"), id="high port"
        ),
        pytest.param("[source]\ntargets = []", ("[source] targets:",), id="nobody to ask"),
        pytest.param(
            "[source]\ntargets = ['node-1']",
            ("[source] targets:", "HOST:PORT", "'node-1'"),
            id="target without a port",
        ),
        pytest.param(
            "[source]\ntargets = [':9810']", ("[source] targets:", "':9810'"), id="no host"
        ),
        *(
            pytest.param(
                f"[source]\nprometheus = '{url}'", ("[source] prometheus:", "URL", url), id=url
            )
            for url in (
                "prometheus:9090",
                "ftp://prometheus",
                "http://",
                "http://a:b:c",
                "http://[bad",
                "http://a b",
            )
        ),
    ],
)
def test_a_mistake_in_the_file_is_one_line_that_names_the_key(
    capsys: pytest.CaptureFixture[str], config: Path, text: str, parts: tuple[str, ...]
) -> None:
    said = _checked(capsys, config, text)

    assert said.startswith(parts[0])
    for part in parts:
        assert part in said


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        pytest.param(None, "No such file or directory", id="missing"),
        pytest.param(b"Authorization: Bearer \xff\xfe\n", "ASCII", id="binary"),
        pytest.param("Authorization: Bearer schlüssel".encode(), "ASCII", id="not ASCII"),
        pytest.param(b"A: b\nhunter2\n", "line 2", id="no colon"),
        pytest.param(b"Bad Name: hunter2\n", "line 1", id="a space in the name"),
    ],
)
def test_a_bad_headers_file_is_named_and_its_secrets_are_not_shown(
    capsys: pytest.CaptureFixture[str], config: Path, content: bytes | None, reason: str
) -> None:
    file = config.with_name("headers")
    if content is not None:
        file.write_bytes(content)
    config.write_text(f"[source]\nheaders_file = '{file}'\n", encoding="utf-8")

    said = _said(capsys, "check", "--config", str(config))

    assert said.startswith(f"[source] headers_file: {file}: ")
    assert reason in said
    assert "hunter2" not in said


@pytest.mark.parametrize(
    ("name", "reason"), [("gone.toml", "No such file"), ("", "Is a directory")]
)
def test_a_file_that_cannot_be_read_is_named(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, name: str, reason: str
) -> None:
    path = tmp_path / name

    said = _said(capsys, "check", "--config", str(path))

    assert said.startswith(f"{path}: cannot be read: {reason}")


def test_a_mistake_in_a_flag_or_a_variable_names_it(
    capsys: pytest.CaptureFixture[str], config: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config.write_text("", encoding="utf-8")
    flagged = _said(capsys, "check", "--config", str(config), "--cycle.interval_seconds", "five")
    monkeypatch.setenv("RAILWATCH_ANALYZER_SERVER_INSECURE", "maybe")
    exported = _said(capsys, "check", "--config", str(config))

    assert flagged.startswith("--cycle.interval_seconds: expected a number, got 'five'")
    assert exported.startswith("environment RAILWATCH_ANALYZER_SERVER_INSECURE: ")


def test_a_port_in_use_is_one_line_too(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        listen = f"127.0.0.1:{taken.getsockname()[1]}"

        said = _said(capsys, "run", "--server.listen", listen, "--paths.state", str(tmp_path))

    assert said == f"[server] listen: cannot listen on {listen!r}: Address already in use"


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[source]\nprometheus = 'https://prometheus.example:9090/prefix'\n",
        "[source]\ntargets = ['[::1]:9810', 'node-1:9810']\n[server]\nlisten = '[::1]:9811'\n",
        "[server]\nlisten = '0.0.0.0:9811'\ninsecure = true\n",
    ],
)
def test_a_good_file_is_ok(capsys: pytest.CaptureFixture[str], config: Path, text: str) -> None:
    config.write_text(text, encoding="utf-8")

    assert main(["check", "--config", str(config)]) == 0
    assert capsys.readouterr() == ("ok\n", "")


def test_the_installed_program_says_the_same_one_line(config: Path) -> None:
    config.write_text("[cycle]\ninterval = 5\n", encoding="utf-8")

    ended = subprocess.run(
        [_PROGRAM, "check", "--config", str(config)], capture_output=True, text=True, check=False
    )

    assert (ended.returncode, ended.stdout) == (1, "")
    assert ended.stderr == (
        f"railwatch-analyzer: {config}: [cycle] interval: unknown key; "
        "the nearest known one is 'interval_seconds'\n"
    )


@pytest.fixture
def running(tmp_path: Path) -> Iterator[tuple[Process, str]]:
    """The program with an agent that nobody runs, on a free port."""
    address = free_address()
    arguments = [
        *(_PROGRAM, "run", "--server.listen", address, "--cycle.interval_seconds", "0.2"),
        *("--paths.state", str(tmp_path / "state")),
    ]
    with Process(arguments, log=tmp_path / "log", directory=tmp_path) as process:
        yield process, f"http://{address}"


def test_it_becomes_ready_without_any_agent_and_ends_cleanly_when_told(
    running: tuple[Process, str],
) -> None:
    process, url = running
    process.wait_until(lambda: fetch_directly(f"{url}/-/ready") == b"ready\n", 30)
    process.wait_until(
        lambda: b"\nrailwatch_analyzer_rounds_total 0" not in fetch_directly(f"{url}/metrics"), 10
    )

    metrics = fetch_directly(f"{url}/metrics").decode()
    code = process.stop()

    assert code == 0
    assert 'railwatch_analyzer_targets{state="missed"} 1' in metrics
    assert "Traceback" not in process.log_tail()


def test_it_goes_on_after_a_restart_with_the_state_it_kept(
    running: tuple[Process, str], tmp_path: Path
) -> None:
    process, url = running
    process.wait_until((tmp_path / "state" / "analyzer-state.npz").exists, 30)

    process.restart()
    process.wait_until(lambda: fetch_directly(f"{url}/-/ready") == b"ready\n", 30)

    assert "starting untrained" not in process.log.read_text(encoding="utf-8")


def test_a_broken_state_file_is_a_warning_and_a_fresh_start(
    running: tuple[Process, str], tmp_path: Path
) -> None:
    process, url = running
    kept = tmp_path / "state" / "analyzer-state.npz"
    process.wait_until(kept.exists, 30)
    process.stop()
    kept.write_bytes(kept.read_bytes()[:100])

    process.start()
    process.wait_until(lambda: fetch_directly(f"{url}/-/ready") == b"ready\n", 30)

    log = process.log.read_text(encoding="utf-8")
    assert log.count("starting untrained: ") == 1
    assert str(kept) in log
    assert "Traceback" not in log
