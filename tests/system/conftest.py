"""What the tests of this tier share: a root file system and packages, made once a run."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from system.machine import Machine
from system.root import root_file_system

if TYPE_CHECKING:
    from collections.abc import Callable

REPOSITORY = Path(__file__).parent.parent.parent
_PROGRAMS = Path(sys.executable).parent
_BUILD_SECONDS = 300.0


@dataclass(frozen=True)
class Packages:
    """A folder with two versions of the agent's package, by their names in it."""

    folder: Path
    old: str
    new: str


@pytest.fixture(scope="session")
def packages(tmp_path_factory: pytest.TempPathFactory) -> Packages:
    """The package as `make deb` builds it, and one of a later version."""
    folder = tmp_path_factory.mktemp("packages")

    def build(*version: str) -> str:
        script = REPOSITORY / "deploy" / "debian" / "build.sh"
        done = subprocess.run(
            [script, _PROGRAMS, folder, *version],
            capture_output=True,
            text=True,
            check=False,
            timeout=_BUILD_SECONDS,
        )
        assert done.returncode == 0, done.stderr
        return Path(done.stdout.strip()).name

    return Packages(folder, build(), build("999.0-1"))


@pytest.fixture(scope="session")
def boot(packages: Packages) -> Callable[..., Machine]:
    """Make a machine that finds the packages in /packages; it boots when it is entered."""
    root = root_file_system()

    def make(**folders: Path) -> Machine:
        inside = {folder: f"/{name}" for name, folder in folders.items()}
        return Machine(root, {packages.folder: "/packages", **inside})

    return make
