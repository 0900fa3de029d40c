"""A real `railwatch-agent` as a child of a test, on a fake tree."""

import os
import subprocess
import sys
import urllib.error
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Protocol, Self

from railwatch.exposition import Reader
from support.conditions import wait_until
from support.fetch import Fetch, fetch_directly
from support.process import Process, free_address

COMMAND = str(Path(sys.executable).with_name("railwatch-agent"))
# Long beside anything that is waited for, so that a busy machine fails no test.
PATIENCE_SECONDS = 30.0

Metrics = dict[str, dict[tuple[tuple[str, str], ...], float]]
"""Value by labels by name."""


def run_command(
    *arguments: str, environment: dict[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    """Return what the command printed and its exit code."""
    kept = {k: v for k, v in os.environ.items() if not k.startswith("RAILWATCH_")}
    return subprocess.run(
        [COMMAND, *arguments],
        capture_output=True,
        text=True,
        check=False,
        timeout=PATIENCE_SECONDS,
        env={**kept, **(environment or {})},
    )


def read_metrics(text: str) -> Metrics:
    """Return the series of an exposition."""
    found: Metrics = {}
    for series, value in Reader().read(text):
        found.setdefault(series.name, {})[series.labels] = value
    return found


class Roots(Protocol):
    """Where a machine, or a tree that stands for one, shows itself."""

    sysfs: Path
    procfs: Path


def path_flags(tree: Roots, root: Path) -> tuple[str, ...]:
    """Return the flags that point a command at *tree*, with its state below *root*."""
    return (
        "--paths.sysfs", str(tree.sysfs), "--paths.procfs", str(tree.procfs),
        "--paths.state", str(root / "state"),
    )  # fmt: skip


class Program:
    """An agent that runs on *tree* while the context is open.

    *prefix* goes before its command line, and *fetch* reads what it answers behind that.
    """

    def __init__(
        self,
        root: Path,
        tree: Roots,
        *arguments: str,
        toml: str = "",
        prefix: Sequence[str] = (),
        fetch: Fetch = fetch_directly,
    ) -> None:
        self._fetch = fetch
        self.address = free_address()
        self.state = root / "state"
        self.config = root / "agent.toml"
        self.config.write_text(
            f'[paths]\nsysfs = "{tree.sysfs}"\nprocfs = "{tree.procfs}"\nstate = "{self.state}"\n'
            + toml
        )
        argv: Sequence[str] = (
            *prefix, COMMAND, "run", "--config", str(self.config), "--server.listen", self.address,
        )  # fmt: skip
        self.process = Process([*argv, *arguments], log=root / "agent.log")

    def __enter__(self) -> Self:
        self.process.start()
        try:
            self.process.wait_until(lambda: self.status("/-/ready") == 200, PATIENCE_SECONDS)
        except BaseException:
            self.process.stop()
            raise
        return self

    def __exit__(self, *exception: object) -> None:
        self.process.stop()

    @property
    def log(self) -> str:
        """What the agent has logged."""
        return self.process.log.read_text()

    def text(self) -> str:
        """Return the exposition."""
        return self._fetch(f"http://{self.address}/metrics").decode()

    def metrics(self) -> Metrics:
        """Return the series of a scrape."""
        return read_metrics(self.text())

    def value(self, name: str, **labels: str) -> float | None:
        """Return the value of the one series that has *labels*, None if there is none."""
        wanted = set(labels.items())
        found = [v for held, v in self.metrics().get(name, {}).items() if wanted <= set(held)]
        if len(found) > 1:
            raise AssertionError(f"{len(found)} series of {name} have {labels}")
        return found[0] if found else None

    def status(self, path: str) -> int:
        """Return the status with which a path is answered."""
        try:
            self._fetch(f"http://{self.address}{path}")
        except urllib.error.HTTPError as exc:
            return exc.code
        return 200

    def wait_until(self, condition: Callable[[], object], what: str) -> None:
        """Wait for *condition* with patience, and fail with the log."""
        try:
            wait_until(condition, PATIENCE_SECONDS, what)
        except AssertionError as exc:
            raise AssertionError(f"{exc}\n{self.log}") from exc

    def wait_for_value(self, value: float | None, name: str, **labels: str) -> None:
        """Wait until a series has *value*; None waits for its absence."""
        self.wait_until(
            lambda: self.value(name, **labels) == value, f"{name}{labels} to be {value}"
        )
