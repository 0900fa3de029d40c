"""A container with a systemd of its own, in which a test is root.

It has a network of its own and a leaf of its own in the hierarchies of control groups that systemd
uses, and touches no other. Limits of memory and processor time are not enforced in it.
Knowledge: systemd-nspawn(1), nsenter(1), systemctl(1).
"""

from __future__ import annotations

import os
import signal
import subprocess
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Self

from railwatch.exposition import Reader
from support.conditions import wait_until
from support.process import Process, children_of

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

PATIENCE_SECONDS = 90.0
_COMMAND_SECONDS = 120.0
_GROUPS = Path("/sys/fs/cgroup")
_PATH = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
# Puts itself into the leaf, which is made, and becomes the container, which ends with the tests.
_LAUNCH = """
leaf=$1; shift
for group in $leaf; do mkdir "$group" && echo $$ >"$group/cgroup.procs" || exit 1; done
exec setpriv --pdeathsig TERM systemd-nspawn "$@"
"""


class CommandError(AssertionError):
    """A command in the container failed; the message holds what it said."""


class Machine:
    """Boots *root*, of which nothing is changed, when entered; *bind* mounts folders, read-only."""

    def __init__(self, root: Path, bind: Mapping[Path, str] = {}) -> None:
        self._name = f"railwatch-{os.getpid()}-{os.urandom(2).hex()}"
        self._leaves = [folder / self._name for folder in _hierarchies()]
        self._folder = tempfile.TemporaryDirectory()
        options = (
            "--quiet", f"--directory={root}", f"--machine={self._name}",
            "--register=no", "--keep-unit", "--private-network", "--volatile=overlay",
            "--kill-signal=SIGRTMIN+3", "--notify-ready=yes", "--console=pipe", "--boot",
            *(f"--bind-ro={outside}:{inside}" for outside, inside in bind.items()),
        )  # fmt: skip
        leaves = " ".join(map(str, self._leaves))
        self._process = Process(
            ["sh", "-c", _LAUNCH, "sh", leaves, *options], log=Path(self._folder.name, "console")
        )
        self._leader = 0

    def __enter__(self) -> Self:
        self._process.start()
        try:
            self._process.wait_until(self._has_booted, PATIENCE_SECONDS)
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *exception: object) -> None:
        # Everything inside ends with the first process; nothing of it is worth an orderly end.
        for child in children_of(self._process.pid):
            os.kill(child, signal.SIGKILL)
        self._process.stop()
        for leaf in self._leaves:
            _remove(leaf)
        self._folder.cleanup()

    def run(self, *argv: str) -> str:
        """Return what a command printed; raises CommandError where it failed."""
        code, text = self.attempt(*argv)
        if code:
            raise CommandError(f"{' '.join(argv)}: exit code {code}\n{text}")
        return text

    def attempt(self, *argv: str) -> tuple[int, str]:
        """Return the exit code of a command and what it printed."""
        inside = ("nsenter", f"--target={self._leader}", "-m", "-u", "-i", "-n", "-p", "-C", "--")
        done = subprocess.run(
            [
                *inside,
                "env",
                "-i",
                _PATH,
                "LC_ALL=C.UTF-8",
                "DEBIAN_FRONTEND=noninteractive",
                *argv,
            ],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
            timeout=_COMMAND_SECONDS,
        )
        return done.returncode, done.stdout.strip()

    def write(self, path: str, text: str) -> None:
        """Write a file of the container, and the directories that it needs."""
        self.run("sh", "-c", 'mkdir -p "${1%/*}" && printf %s "$2" >"$1"', "sh", path, text)

    def wait_until(self, condition: Callable[[], object], what: str) -> None:
        """Wait for *condition* with patience."""
        wait_until(condition, PATIENCE_SECONDS, what, poll_seconds=0.2)

    def property(self, unit: str, name: str) -> str:
        """Return a property of a unit as systemd shows it."""
        return self.run("systemctl", "show", "--value", f"--property={name}", unit)

    def log(self, unit: str) -> str:
        """Return what a unit has logged."""
        return self.run("journalctl", "--output=cat", "--no-pager", f"--unit={unit}")

    def outside_pid(self, pid: int) -> int:
        """Return the number, outside of the container, of its process *pid*."""
        for status in Path("/proc").glob("[0-9]*/status"):
            try:
                numbers = _numbers(status.read_text())
            except OSError:
                # It has ended in between.
                continue
            if numbers[1:] == [pid] and self._is_inside(int(status.parent.name)):
                return numbers[0]
        raise AssertionError(f"no process {pid} in {self._name}")

    def fetch(self, url: str) -> tuple[int, str]:
        """Return status and body of an answer to a request from inside."""
        script = (
            "import sys, urllib.request as r, urllib.error as e\n"
            "try: a = r.urlopen(sys.argv[1], timeout=20)\n"
            "except e.HTTPError as x: a = x\n"
            "print(a.status); print(a.read().decode())"
        )
        status, _, body = self.run("python3", "-c", script, url).partition("\n")
        return int(status), body

    def value(self, url: str, name: str, **labels: str) -> float | None:
        """Return the value of the one series below *url* that has *labels*, None if none has."""
        text = self.fetch(url)[1]
        wanted = labels.items()
        found = [v for s, v in Reader().read(text) if s.name == name and wanted <= set(s.labels)]
        assert len(found) < 2, f"{len(found)} series of {name} have {labels}"
        return found[0] if found else None

    def _is_inside(self, pid: int) -> bool:
        here, there = (Path(f"/proc/{p}/ns/pid").stat().st_ino for p in (pid, self._leader))
        return here == there

    def _has_booted(self) -> bool:
        # Others, before it, prepare its root.
        for child in children_of(self._process.pid):
            self._leader = child
            if self.attempt("systemctl", "is-system-running")[1] in {"running", "degraded"}:
                return True
        return False


def _hierarchies() -> list[Path]:
    """Those that systemd manages processes with: named ones beside others, or the one that is."""
    named = [_GROUPS / name for name in ("systemd", "unified") if (_GROUPS / name).is_dir()]
    return named or [_GROUPS]


def _remove(leaf: Path) -> None:
    """Remove a leaf and what the container made below it, once the last process has gone."""
    for folder, _, _ in os.walk(leaf, topdown=False):
        wait_until(lambda path=folder: _is_removed(Path(path)), PATIENCE_SECONDS, f"{folder} to go")


def _is_removed(folder: Path) -> bool:
    try:
        folder.rmdir()
    except FileNotFoundError:
        return True
    except OSError:
        return False
    return True


def _numbers(status: str) -> list[int]:
    """The numbers of a process, outermost name space first; proc_pid_status(5)."""
    line = next(line for line in status.splitlines() if line.startswith("NSpid:"))
    return [int(number) for number in line.split()[1:]]
