"""Real programs as children of a test: output in a file, ended by their own process id."""

import os
import socket
import subprocess
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Self

from support.conditions import DeadlineError, wait_until

_TERMINATE_SECONDS = 10.0
_TAIL_BYTES = 3000


class ProcessDiedError(AssertionError):
    """A program ended that should have stayed; the message carries the end of its log."""


def free_address(host: str = "127.0.0.1") -> str:
    """Return `host:port` with a port that was free a moment ago."""
    with socket.socket() as probe:
        probe.bind((host, 0))
        return f"{host}:{probe.getsockname()[1]}"


def children_of(pid: int) -> list[int]:
    """Return the process ids of the children of a process (proc_pid_stat(5))."""
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            parent = int((folder / "stat").read_text().rpartition(")")[2].split()[1])
        except (OSError, IndexError):
            # It has ended in between.
            continue
        if parent == pid:
            found.append(int(folder.name))
    return found


class Process:
    """A program that runs from `start` (or entering the context) until `stop` (or leaving it).

    `log` receives its standard output and error, appended, so that a restart keeps the history.
    `environment` is added to the test's own.
    """

    def __init__(
        self,
        argv: Sequence[str],
        *,
        log: Path,
        environment: Mapping[str, str] | None = None,
        directory: Path | None = None,
    ) -> None:
        self.argv = list(argv)
        self.log = log
        self._environment = {**os.environ, **(environment or {})}
        self._directory = directory
        self._child: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *exception: object) -> None:
        self.stop()

    @property
    def pid(self) -> int:
        """Process id of the running program."""
        return self._running().pid

    def start(self) -> None:
        """Start the program; it need not be ready when this returns."""
        self.log.parent.mkdir(parents=True, exist_ok=True)
        with self.log.open("ab") as output:
            self._child = subprocess.Popen(
                self.argv,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                env=self._environment,
                cwd=self._directory,
            )

    def stop(self) -> int | None:
        """Terminate the program, kill it if it will not end, and return its exit code."""
        child, self._child = self._child, None
        if child is None:
            return None
        child.terminate()
        try:
            return child.wait(_TERMINATE_SECONDS)
        except subprocess.TimeoutExpired:
            child.kill()
            return child.wait()

    def restart(self) -> None:
        """Stop the program and start it again with the same arguments."""
        self.stop()
        self.start()

    def check_alive(self) -> None:
        """Raise ProcessDiedError if the program has ended."""
        code = self._running().poll()
        if code is not None:
            raise ProcessDiedError(f"{self.argv[0]} ended with {code}:\n{self.log_tail()}")

    def wait_until(self, condition: Callable[[], object], deadline_seconds: float) -> None:
        """Wait for `condition`, which may meet a refused connection until the program listens."""

        def holds() -> object:
            self.check_alive()
            try:
                return condition()
            except (OSError, subprocess.SubprocessError):
                return False

        try:
            wait_until(holds, deadline_seconds, f"{self.argv[0]} is ready")
        except DeadlineError as exc:
            raise DeadlineError(f"{exc}\n{self.log_tail()}") from exc

    def log_tail(self) -> str:
        """Return the last lines of the program's output."""
        return self.log.read_bytes()[-_TAIL_BYTES:].decode(errors="replace")

    def _running(self) -> subprocess.Popen[bytes]:
        if self._child is None:
            raise ProcessDiedError(f"{self.argv[0]} has not been started")
        return self._child
