"""The agent's wheel, in an empty environment of each Python that it is for and that is there."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import urllib.error
from pathlib import Path

import pytest

from support.fetch import fetch_directly
from support.process import Process, free_address
from system.conftest import REPOSITORY

pytestmark = pytest.mark.timeout(600)

_PATIENCE_SECONDS = 90.0
_COMMAND_SECONDS = 240.0


def _python(minor: int) -> str | None:
    """Return a Python 3.*minor* that runs, of the machine or of pyenv, if there is one."""
    kept = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv"), "versions")
    found = [*map(str, sorted(kept.glob(f"3.{minor}.*/bin/python"))), f"python3.{minor}"]
    for python in map(shutil.which, found):
        # In a directory of shims there may be one that stands for nothing.
        if python and not subprocess.run([python, "--version"], check=False).returncode:
            return python
    return None


_PYTHONS = {f"3.{minor}": python for minor in (11, 12, 13) if (python := _python(minor))}


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel, as `make wheels` builds it."""
    folder = tmp_path_factory.mktemp("wheels")
    _run(
        sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--no-build-isolation",
        f"--wheel-dir={folder}", f"{REPOSITORY}/agent",
    )  # fmt: skip
    return next(folder.glob("*.whl"))


def _run(*argv: str) -> None:
    subprocess.run(argv, check=True, timeout=_COMMAND_SECONDS)


def _is_ready(address: str) -> bool:
    try:
        return bool(fetch_directly(f"http://{address}/-/ready"))
    except urllib.error.HTTPError:
        return False


@pytest.mark.parametrize("python", _PYTHONS.values(), ids=_PYTHONS.keys())
def test_it_installs_and_starts(python: str, wheel: Path, tmp_path: Path) -> None:
    programs = tmp_path / "environment" / "bin"
    constraints = f"--constraint={REPOSITORY}/constraints.txt"
    _run(python, "-m", "venv", str(programs.parent))
    _run(str(programs / "pip"), "install", "--quiet", constraints, str(wheel))
    address = free_address()
    argv = [
        str(programs / "railwatch-agent"), "run", "--server.listen", address,
        "--paths.state", str(tmp_path), "--steps.socket", str(tmp_path / "steps.sock"),
    ]  # fmt: skip

    with Process(argv, log=tmp_path / "log") as agent:
        agent.wait_until(lambda: _is_ready(address), _PATIENCE_SECONDS)

        assert agent.stop() == 0
