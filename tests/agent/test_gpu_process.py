"""The real agent on the stand-in: it goes on serving, and its child ends with it."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from agent.program import PATIENCE_SECONDS, Program
from agent.trees import Nic, Tree
from support.conditions import wait_until
from support.nvml import Activity, Stage, h100
from support.process import children_of

_TOML = "[gpus]\nslow_interval_seconds = 1.0\ndeadline_seconds = 1.0\n"


@pytest.fixture(name="stage")
def _stage(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Stage]:
    """A driver with eight GPUs, on which the test's children run."""
    with Stage(tmp_path / "nvml", [h100()] * 8) as stage:
        for name, value in stage.environment().items():
            monkeypatch.setenv(name, value)
        yield stage


@pytest.fixture(name="tree")
def _tree(tmp_path: Path) -> Tree:
    """A node with a rail."""
    tree = Tree(tmp_path / "node")
    tree.add(Nic("rail0", pci="0000:10:00.0", rdma="mlx5_0"))
    return tree


def _temperatures(program: Program) -> int:
    return len(program.metrics().get("railwatch_gpu_temperature_celsius", {}))


def _wait_for_child(program: Program) -> int:
    program.wait_until(lambda: _temperatures(program) == 8, "all GPUs")
    (child,) = children_of(program.process.pid)
    return child


def test_a_call_that_hangs_costs_one_gpu_and_no_rail(
    tmp_path: Path, stage: Stage, tree: Tree
) -> None:
    with Program(tmp_path, tree, toml=_TOML) as program:
        _wait_for_child(program)
        stage.gpus[5].hang("nvmlGpmSampleGet")
        program.wait_for_value(1.0, "railwatch_agent_nvml_stuck_gpus")
        program.wait_until(lambda: _temperatures(program) == 7, "seven GPUs")
        gpus = program.metrics()["railwatch_gpu_temperature_celsius"]

        assert (("gpu", "5"),) not in gpus
        assert program.value("railwatch_rail_up", rail="0") is not None
        assert program.value("railwatch_agent_collector_success", collector="gpu") == 1
        assert program.status("/-/ready") == program.status("/-/healthy") == 200


@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGKILL])
def test_the_child_ends_with_the_agent(
    tmp_path: Path, stage: Stage, tree: Tree, how: signal.Signals
) -> None:
    """Even if it hangs: the kernel ends it with its parent."""
    with Program(tmp_path, tree, toml=_TOML) as program:
        child = _wait_for_child(program)
        stage.gpus[0].hang("nvmlDeviceGetUtilizationRates")
        os.kill(program.process.pid, how)
        wait_until(lambda: not Path(f"/proc/{child}").exists(), PATIENCE_SECONDS, "the child's end")


def test_gpus_can_be_left_alone(tmp_path: Path, stage: Stage, tree: Tree) -> None:
    with Program(tmp_path, tree, toml='[collectors]\ndisable = ["gpu"]\n') as program:
        program.wait_for_value(1.0, "railwatch_rail_up", rail="0")

        assert children_of(program.process.pid) == []
        assert stage.count("nvmlInitWithFlags") == 0


def test_what_is_meant_for_a_real_driver_passes_on_the_stand_in(stage: Stage) -> None:
    """`make test-gpu` finds none on most machines, and would rot."""
    stage.gpus[0].repeat((Activity.COMPUTE, 0.3), (Activity.COMMUNICATION, 0.1))
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "gpu/real_driver.py"],
        cwd=Path(__file__).parents[1],
        capture_output=True, text=True, check=False, timeout=100,
    )  # fmt: skip

    assert done.returncode == 0, done.stdout[-3000:]
    assert "GPU 7 NVIDIA H100 80GB HBM3: signal gpm" in done.stdout
