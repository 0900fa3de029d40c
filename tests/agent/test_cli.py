"""The command line: what is wrong is one line on stderr, exit code 1, and no traceback."""

import signal
import socket
from pathlib import Path

import pytest

from agent.program import Program, path_flags, run_command
from agent.trees import two_rails
from railwatch.settings import ConfigError, scalar_keys
from railwatch_agent.settings import (
    AgentSettings,
    CollectorSettings,
    PathSettings,
    RailSettings,
    SamplerSettings,
    ServerSettings,
    load_settings,
)

_MISTAKES = {
    "unknown key": ("[server]\nlissen = 'x'", "[server] lissen: unknown key", "'listen'"),
    "unknown table": ("[sever]\n", "sever: unknown key", "'server'"),
    "wrong type": ("[sampler]\ninterval_seconds = '20 ms'", "interval_seconds: expected a number"),
    "number for a flag": ("[server]\ninsecure = 1", "insecure: expected true or false, got 1"),
    "value for a table": ("server = 1", "server: expected a table, got 1"),
    "table for an array": ("[rails]\ndevice = 'eth0'", "rails: expected an array"),
    "too fast": ("[sampler]\ninterval_seconds = 0.0001", "must be between 0.001 and 1.0"),
    "too slow": ("[sampler]\ninterval_seconds = 1.5", "interval_seconds: must be between"),
    "not a number": ("[sampler]\ninterval_seconds = nan", "interval_seconds: must be between"),
    "window too short": ("[sampler]\nwindow_seconds = 0.5", "must be between 1.0 and 300.0"),
    "window of few samples": (
        "[sampler]\ninterval_seconds = 0.5\nwindow_seconds = 4.0",
        "[sampler] window_seconds: must be at least 10 times interval_seconds, 5, got 4.0",
    ),
    "rail without a device": ("[[rails]]\nrail = 1", "[rails.0] device: is missing"),
    "negative rail": ("[[rails]]\ndevice = 'a'\nrail = -1", "[rails.0] rail: must be at least 0"),
    "no line rate": (
        "[[rails]]\ndevice = 'a'\nline_rate_bytes_per_second = 0",
        "line_rate_bytes_per_second: must be at least 1",
    ),
    "device twice": (
        "[[rails]]\ndevice = 'a'\n[[rails]]\ndevice = 'a'",
        "[[rails]] device: 'a' is given to 2 rails",
    ),
    "number twice": (
        "[[rails]]\ndevice = 'a'\nrail = 3\n[[rails]]\ndevice = 'b'\nrail = 3",
        "[[rails]] rail: 3 is given to 2 rails",
    ),
    "unknown rail key": ("[[rails]]\ndevise = 'a'", "[rails.0] devise: unknown key", "'device'"),
    "unknown collector": (
        "[collectors]\ndisable = ['netdef']",
        "[collectors] disable: unknown collector 'netdef'",
        "'netdev'",
    ),
    "unknown ethtool key": ("[ethtool]\nstatistic = []", "unknown key", "'statistics'"),
    "no name": ("[ethtool]\nstatistics = ['']", "statistics: a name has 1 to 32 bytes, got ''"),
    "long name": (f"[ethtool]\nstatistics = ['{'x' * 33}']", "a name has 1 to 32 bytes"),
    "name twice": ("[ethtool]\nstatistics = ['a', 'a']", "statistics: 'a' is named 2 times"),
    "no priority": (
        "[ethtool]\npriorities = [3, 8]",
        "priorities[1]: must be between 0 and 7, got 8",
    ),
    "priority twice": ("[ethtool]\npriorities = [3, 3]", "priorities: 3 is named 2 times"),
    "path in place of a counter": ("[rdma]\ncounters = ['a/b']", "the name of a file has no '/'"),
    "counter twice": ("[rdma]\ncounters = ['a', 'a']", "counters: 'a' is named 2 times"),
    "public address": ("[server]\nlisten = '0.0.0.0:9810'", "insecure = true"),
    "every address": ("[server]\nlisten = ':9810'", "insecure = true"),
    "no port": ("[server]\nlisten = 'localhost'", "[server] listen: expected HOST:PORT"),
    "no such port": ("[server]\nlisten = '127.0.0.1:70000'", "expected HOST:PORT"),
    "bare IPv6": ("[server]\nlisten = '::1:9810'", "needs brackets"),
    "not TOML": ("[server\nlisten", "not TOML"),
}


def _assert_refused(done: object, *expected: str) -> None:
    code, out, err = done.returncode, done.stdout, done.stderr  # type: ignore[attr-defined]
    assert (code, out) == (1, "")
    assert err.startswith("railwatch-agent: ")
    assert err.count("\n") == 1
    for part in expected:
        assert part in err


@pytest.mark.parametrize(("toml", "expected"), [
    pytest.param(toml, expected, id=name) for name, (toml, *expected) in _MISTAKES.items()
])  # fmt: skip
def test_a_mistake_in_the_file_is_one_line(tmp_path: Path, toml: str, expected: list[str]) -> None:
    file = tmp_path / "agent.toml"
    file.write_text(toml)

    _assert_refused(run_command("check", "--config", str(file)), str(file), *expected)


def test_a_file_that_is_not_there_is_one_line(tmp_path: Path) -> None:
    file = str(tmp_path / "none.toml")

    _assert_refused(run_command("run", "--config", file), file, "No such file")


def test_a_file_that_cannot_be_read_is_one_line(tmp_path: Path) -> None:
    _assert_refused(run_command("run", "--config", str(tmp_path)), "Is a directory")


def test_a_file_that_is_no_text_is_one_line(tmp_path: Path) -> None:
    file = tmp_path / "agent.toml"
    file.write_bytes(b"\xff\xfe")

    _assert_refused(run_command("run", "--config", str(file)), "not TOML")


def test_a_mistake_in_a_flag_names_the_flag() -> None:
    _assert_refused(
        run_command("check", "--sampler.interval_seconds", "fast"),
        "--sampler.interval_seconds: expected a number, got 'fast'",
    )


def test_a_mistake_in_the_environment_names_the_variable() -> None:
    done = run_command("check", environment={"RAILWATCH_AGENT_SAMPLER_WINDOW_SECONDS": "long"})

    _assert_refused(done, "RAILWATCH_AGENT_SAMPLER_WINDOW_SECONDS", "got 'long'")


def test_a_port_in_use_is_one_line(tmp_path: Path) -> None:
    tree = two_rails(tmp_path)
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        listen = f"127.0.0.1:{taken.getsockname()[1]}"
        done = run_command("run", *path_flags(tree, tmp_path), "--server.listen", listen)

    _assert_refused(done, f"[server] listen: cannot listen on '{listen}': Address already in use")


def test_an_address_that_is_not_ours_is_one_line(tmp_path: Path) -> None:
    tree = two_rails(tmp_path)
    flags = ("--server.listen", "192.0.2.1:9810", "--server.insecure", "true")

    _assert_refused(run_command("run", *path_flags(tree, tmp_path), *flags), "Cannot assign")


def test_a_sysfs_that_is_not_there_is_one_line_of_check(tmp_path: Path) -> None:
    _assert_refused(run_command("check", "--paths.sysfs", str(tmp_path)), "cannot list")


def test_check_says_what_would_be_watched_and_changes_nothing(tmp_path: Path) -> None:
    tree = two_rails(tmp_path)
    done = run_command("check", *path_flags(tree, tmp_path))

    assert done.returncode == 0
    assert done.stdout.splitlines() == [
        "rail 0: device=mlx5_0 kind=roce pci_address=0000:3b:00.0 selected_by=rdma present=1",
        "rail 1: device=mlx5_1 kind=roce pci_address=0000:af:00.0 selected_by=rdma present=1",
        "ok",
    ]
    assert not (tmp_path / "state").exists()


def test_check_knows_the_numbers_that_were_given(tmp_path: Path) -> None:
    tree = two_rails(tmp_path / "node")
    with Program(tmp_path, tree):
        pass
    tree.remove("rail0")
    done = run_command("check", *path_flags(tree, tmp_path))

    assert [line[:21] for line in done.stdout.splitlines()] == [
        "rail 0: device=mlx5_0",
        "rail 1: device=mlx5_1",
        "ok",
    ]
    assert "present=0" in done.stdout.splitlines()[0]


def test_a_flag_goes_before_the_environment_before_the_file(tmp_path: Path) -> None:
    file = tmp_path / "agent.toml"
    file.write_text("[sampler]\nwindow_seconds = 11\ninterval_seconds = 0.011\n[paths]\nstate='s'")
    environment = {
        "RAILWATCH_AGENT_SAMPLER_WINDOW_SECONDS": "12",
        "RAILWATCH_AGENT_SAMPLER_INTERVAL_SECONDS": "0.012",
    }

    settings = load_settings(file, environment, {"sampler.window_seconds": "13"})

    assert settings.sampler.window_seconds == 13
    assert settings.sampler.interval_seconds == 0.012
    assert settings.paths.state == "s"
    assert settings.paths.sysfs == "/sys"


def test_every_default_can_be_used() -> None:
    settings = load_settings(None, {}, {})

    assert settings == AgentSettings()
    assert settings.server.listen == "127.0.0.1:9810"


@pytest.mark.parametrize("listen", ["127.0.0.1:9810", "[::1]:9810", "localhost:0"])
def test_a_loopback_address_needs_no_leave(listen: str) -> None:
    assert load_settings(None, {}, {"server.listen": listen}).server.listen == listen


def test_a_public_address_is_allowed_by_those_who_mean_it() -> None:
    flags = {"server.listen": "0.0.0.0:9810", "server.insecure": "true"}

    assert load_settings(None, {}, flags).server.insecure is True
    with pytest.raises(ConfigError, match="insecure"):
        load_settings(None, {}, {"server.listen": "0.0.0.0:9810"})


def test_help_tells_of_every_key() -> None:
    text = run_command("run", "--help").stdout

    assert [path for path, _ in scalar_keys(AgentSettings) if f"--{path}" not in text] == []


def test_a_file_with_every_key_of_the_contract_is_understood(tmp_path: Path) -> None:
    file = tmp_path / "agent.toml"
    file.write_text("""
        [server]
        listen = "127.0.0.1:9811"
        insecure = true
        [paths]
        procfs = "/host/proc"
        sysfs = "/host/sys"
        state = "/state"
        [sampler]
        interval_seconds = 0.05
        window_seconds = 10
        [[rails]]
        device = "mlx5_0"
        rail = 4
        line_rate_bytes_per_second = 50e9
        [collectors]
        disable = ["tcp"]
    """)

    settings = load_settings(file, {}, {})

    assert settings.server == ServerSettings("127.0.0.1:9811", insecure=True)
    assert settings.paths == PathSettings("/host/proc", "/host/sys", "/state")
    assert settings.sampler == SamplerSettings(0.05, 10.0)
    assert settings.rails == (RailSettings("mlx5_0", 4, 50e9),)
    assert settings.collectors == CollectorSettings(("tcp",))


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_to_stop_is_a_good_end(tmp_path: Path, number: signal.Signals) -> None:
    tree = two_rails(tmp_path / "node")
    with Program(tmp_path, tree) as agent:
        child = agent.process._child
        assert child is not None
        child.send_signal(number)

        assert child.wait(20) == 0
        assert agent.log.splitlines()[-1].endswith("stopping")


def test_a_signal_during_the_start_is_a_good_end(tmp_path: Path) -> None:
    """The first look for rails hangs here, so that the start is not over."""
    tree = two_rails(tmp_path / "node")
    tree.replace_by_fifo("rail0", "flags")
    program = Program(tmp_path, tree)
    program.process.start()
    program.process.wait_until(lambda: program.status("/-/healthy") == 200, 20)

    assert program.status("/-/ready") == 503
    assert program.process.stop() == 0
