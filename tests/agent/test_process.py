"""Stories of a real agent on a fake tree: what hangs, breaks, goes away and comes back."""

import json
import os
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from agent.program import PATIENCE_SECONDS, Program
from agent.trees import Nic, Tree, two_rails

_GOLDEN = Path(__file__).with_name("golden") / "two_rails.prom"
_BYTES = "railwatch_rail_receive_bytes_total"
_SUCCESS = "railwatch_agent_collector_success"


@pytest.fixture
def tree(tmp_path: Path) -> Tree:
    return two_rails(tmp_path / "node")


@pytest.fixture
def agent(tmp_path: Path, tree: Tree) -> Iterator[Program]:
    with Program(tmp_path, tree) as program:
        yield program


def _release(fifo: Path) -> None:
    """Let a read of a FIFO return; it ends with ESPIPE, as a FIFO has no positions."""
    os.close(os.open(fifo, os.O_WRONLY))


def test_counters_are_exposed_as_they_move(tree: Tree, agent: Program) -> None:
    tree.count("rail0", rx_bytes=5_000_000_001, tx_bytes=7)

    agent.wait_for_value(5_000_000_001, _BYTES, rail="0")
    assert agent.value("railwatch_rail_transmit_bytes_total", rail="0") == 7
    assert agent.value(_BYTES, rail="1") == 0


def test_a_window_tells_of_the_traffic_in_it(tmp_path: Path, tree: Tree) -> None:
    with Program(tmp_path, tree, "--sampler.window_seconds", "1") as agent:
        sent = iter(range(0, 10**15, 10**8))

        def moved() -> float | None:
            tree.count("rail1", tx_bytes=next(sent))
            return agent.value("railwatch_rail_transmit_window_max_bytes_per_second", rail="1")

        agent.wait_until(moved, "traffic in a window")
        window = agent.metrics()

    assert agent_value(window, "railwatch_rail_transmit_window_duty_ratio", "1") > 0
    assert agent_value(window, "railwatch_rail_transmit_window_max_bytes_per_second", "0") == 0
    assert agent_value(window, "railwatch_rail_receive_window_max_bytes_per_second", "1") == 0


def agent_value(
    metrics: dict[str, dict[tuple[tuple[str, str], ...], float]], name: str, rail: str
) -> float:
    """Return the value of a rail's series."""
    return next(v for labels, v in metrics[name].items() if ("rail", rail) in labels)


def test_a_speed_that_is_never_answered_costs_that_rails_state_only(
    tmp_path: Path, tree: Tree
) -> None:
    fifo = tree.replace_by_fifo("rail0", "speed")
    with Program(tmp_path, tree) as agent:
        agent.wait_for_value(0, _SUCCESS, collector="netdev")
        tree.count("rail0", rx_bytes=11)

        agent.wait_for_value(11, _BYTES, rail="0")
        assert agent.value("railwatch_rail_up", rail="0") is None
        assert agent.value("railwatch_rail_up", rail="1") == 1
        assert agent.value("railwatch_rail_speed_bytes_per_second", rail="1") == 12.5e9
        duration = agent.value("railwatch_agent_collector_duration_seconds", collector="netdev")
        assert duration is not None
        agent.wait_until(
            lambda: (agent.value(
                "railwatch_agent_collector_duration_seconds", collector="netdev"
            ) or 0) > duration,
            "the duration of the round that hangs to grow",
        )  # fmt: skip
        assert agent.status("/-/healthy") == 200
        tree.netdev("rail0").joinpath("speed").rename(fifo.with_name("hung"))
        tree.write("rail0", "speed", "25000")
        _release(fifo.with_name("hung"))

        agent.wait_for_value(1, _SUCCESS, collector="netdev")
        agent.wait_for_value(3.125e9, "railwatch_rail_speed_bytes_per_second", rail="0")


def test_a_counter_that_is_never_answered_leaves_one_rail_out(tmp_path: Path, tree: Tree) -> None:
    fifo = tree.replace_by_fifo("rail0", "statistics/rx_bytes")
    with Program(tmp_path, tree, "--sampler.window_seconds", "1") as agent:
        agent.wait_for_value(1, "railwatch_agent_sampler_stuck_rails")
        tree.count("rail1", rx_bytes=12)

        agent.wait_for_value(12, _BYTES, rail="1")
        in_window = "railwatch_rail_receive_window_max_bytes_per_second"
        agent.wait_until(
            lambda: agent.value(in_window, rail="1") is not None, "a window of the other rail"
        )
        assert agent.value(in_window, rail="0") is None
        assert agent.value(_BYTES, rail="0") is None
        assert agent.status("/-/healthy") == 200
        assert agent.log.count("a read does not return; going on without it") == 1
        assert "rail=0 device=mlx5_0: a read does not return" in agent.log

        hung = fifo.rename(fifo.with_name("hung"))
        fifo.write_text("13\n")
        _release(hung)
        agent.wait_for_value(0, "railwatch_agent_sampler_stuck_rails")
        agent.wait_for_value(13, _BYTES, rail="0")


def test_a_counter_that_cannot_be_read_costs_one_reading(tmp_path: Path, tree: Tree) -> None:
    """rx_errors is a directory here, so that reading it fails with EISDIR."""
    tree.replace_by_directory("rail0", "statistics/rx_errors")
    with Program(tmp_path, tree) as agent:
        agent.wait_until(
            lambda: agent.value("railwatch_agent_read_errors_total", collector="netdev"),
            "the error to be counted",
        )

        faults = "railwatch_rail_faults_total"
        assert agent.value(faults, rail="0", kind="receive_error") is None
        assert agent.value(faults, rail="0", kind="receive_discard") == 0
        assert agent.value(faults, rail="1", kind="receive_error") == 0
        assert agent.value(_SUCCESS, collector="netdev") == 1
        assert agent.log.count("rx_errors: Is a directory") == 1


def test_a_byte_counter_that_cannot_be_read_costs_one_rail(tmp_path: Path, tree: Tree) -> None:
    tree.replace_by_directory("rail0", "statistics/rx_bytes")
    with Program(tmp_path, tree) as agent:
        agent.wait_until(
            lambda: (
                (agent.value("railwatch_agent_read_errors_total", collector="sampler") or 0) >= 2
            ),
            "the error to be counted more than once",
        )

        assert agent.value(_BYTES, rail="0") is None
        assert agent.value(_BYTES, rail="1") == 0
        assert agent.log.count("rail=0 device=mlx5_0 cannot be sampled") == 1


def test_a_nic_that_disappears_keeps_its_number_and_gets_it_back_under_another_name(
    tree: Tree, agent: Program
) -> None:
    assert agent.value("railwatch_rail_present", rail="0") == 1
    tree.remove("rail0")

    agent.wait_for_value(0, "railwatch_rail_present", rail="0", device="mlx5_0")
    assert agent.value("railwatch_rail_up", rail="0") == 0
    agent.wait_for_value(None, _BYTES, rail="0")
    assert agent.value("railwatch_rail_present", rail="1") == 1

    tree.add(Nic("renamed", pci="0000:3b:00.0", rdma="mlx5_0", counters={"rx_bytes": 99}))
    agent.wait_for_value(1, "railwatch_rail_info", rail="0", device="mlx5_0", netdev="renamed")
    agent.wait_for_value(1, "railwatch_rail_present", rail="0", device="mlx5_0")
    agent.wait_for_value(99, _BYTES, rail="0", device="mlx5_0")
    assert agent.value("railwatch_agent_rails") == 2


def test_a_number_outlives_the_agent_and_the_nic(tmp_path: Path, tree: Tree) -> None:
    with Program(tmp_path, tree):
        pass
    tree.remove("rail0")
    with Program(tmp_path, tree) as agent:
        assert agent.value("railwatch_rail_present", rail="0", device="mlx5_0") == 0
        assert agent.value("railwatch_rail_present", rail="1", device="mlx5_1") == 1


def test_a_counter_that_begins_anew_is_exposed_as_it_is(tree: Tree, agent: Program) -> None:
    tree.count("rail0", rx_bytes=10**12)
    agent.wait_for_value(10**12, _BYTES, rail="0")
    tree.count("rail0", rx_bytes=0)

    agent.wait_for_value(0, _BYTES, rail="0")


def test_an_administratively_downed_rail_is_not_up(tree: Tree, agent: Program) -> None:
    tree.write("rail0", "flags", "0x1002")
    tree.write("rail0", "carrier", "0")

    agent.wait_for_value(0, "railwatch_rail_up", rail="0")
    assert agent.value("railwatch_rail_admin_up", rail="0") == 0
    assert agent.value("railwatch_rail_present", rail="0") == 1


def test_a_node_without_rails_says_so_once(tmp_path: Path) -> None:
    with Program(tmp_path, Tree(tmp_path / "node")) as agent:
        assert agent.value("railwatch_agent_rails") == 0
        assert agent.log.count("no rail found") == 1
        assert agent.status("/-/healthy") == 200


def test_a_nic_that_comes_later_is_a_rail_even_without_a_state_directory(
    tmp_path: Path, tree: Tree
) -> None:
    (tmp_path / "state").write_text("a file where the directory should be")
    with Program(tmp_path, tree) as agent:
        assert agent.value("railwatch_rail_present", rail="0") == 1
        tree.add(Nic("rail2", pci="0000:d8:00.0", rdma="mlx5_2"))
        agent.wait_for_value(1, "railwatch_rail_present", rail="2")

        assert agent.log.count("last until the agent ends") == 1


def test_a_damaged_inventory_is_moved_aside_and_begun_anew(tmp_path: Path, tree: Tree) -> None:
    state = tmp_path / "state"
    state.mkdir()
    (state / "inventory.json").write_text('{"format": 1, "rails": [')
    with Program(tmp_path, tree) as agent:
        assert agent.value("railwatch_rail_present", rail="0", device="mlx5_0") == 1
        assert "is damaged" in agent.log

    assert (state / "inventory.json.refused").read_text() == '{"format": 1, "rails": ['
    assert len(json.loads((state / "inventory.json").read_text())["rails"]) == 2


def test_the_first_line_says_what_runs(agent: Program) -> None:
    agent.wait_until(lambda: "started" in agent.log, "its first line")
    line = next(line for line in agent.log.splitlines() if "started" in line)

    assert re.search(rf"version=\S+ listen={agent.address} rails=0:mlx5_0,1:mlx5_1", line)


def test_it_stops_when_asked_even_while_reads_hang(tmp_path: Path, tree: Tree) -> None:
    tree.replace_by_fifo("rail0", "statistics/rx_bytes")
    tree.replace_by_fifo("rail1", "speed")
    with Program(tmp_path, tree) as agent:
        # Its own patience ends in SIGKILL, and then the code would be -9.
        assert agent.process.stop() == 0
        assert "Traceback" not in agent.log


def test_a_collector_that_is_disabled_has_no_series(tmp_path: Path, tree: Tree) -> None:
    toml = '[collectors]\ndisable = ["netdev", "host"]\n'
    with Program(tmp_path, tree, toml=toml) as agent:
        agent.wait_until(lambda: _BYTES in agent.metrics(), "a fast sample")
        names = set(agent.metrics())

    assert "railwatch_rail_up" not in names
    assert "railwatch_host_memory_available_bytes" not in names


# The processor time of the host stands still in a fake tree; what is below differs from run to run.
_VARIABLE = re.compile(
    r"^(railwatch_agent_(?:collector_duration_seconds|last_success_timestamp_seconds|"
    r"sampler_lateness_seconds\w*|window_end_timestamp_seconds|cpu_seconds_total|"
    r"fast_samples_total)(?:\{.*\})?|railwatch_rail_\w+_utilization_ratio_\w+\{.*\}) \S+$",
    re.MULTILINE,
)


def _comparable(text: str) -> str:
    text = re.sub(r'(version|python_version)="[^"]*"', r'\1="…"', text)
    return _VARIABLE.sub(r"\1 …", text)


def test_the_exposition_is_the_golden_one(tmp_path: Path, tree: Tree) -> None:
    """`make golden` rewrites it; the difference is to be read."""
    tree.count("rail0", rx_bytes=1000, tx_bytes=2000, rx_packets=10, tx_packets=20, rx_dropped=3)
    with Program(tmp_path, tree, "--sampler.window_seconds", "1") as agent:
        agent.wait_until(
            lambda: len(agent.metrics().get("railwatch_rail_receive_window_duty_ratio", {})) == 2,
            "a complete window",
        )
        text = agent.text()
    if "RAILWATCH_GOLDEN" in os.environ:
        _GOLDEN.parent.mkdir(exist_ok=True)
        _GOLDEN.write_text(_comparable(text))

    assert _comparable(text) == _GOLDEN.read_text()


def test_promtool_finds_nothing_to_say(agent: Program) -> None:
    done = subprocess.run(
        ["promtool", "check", "metrics"],
        input=agent.text(),
        capture_output=True,
        text=True,
        check=False,
        timeout=PATIENCE_SECONDS,
    )

    assert (done.returncode, done.stdout + done.stderr) == (0, "")
