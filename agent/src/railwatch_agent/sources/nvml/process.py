# SPDX-License-Identifier: Apache-2.0
"""The parent's end of the process that asks NVML: start it, hear it, see where it is, end it."""

from __future__ import annotations

import json
import mmap
import os
import signal
import socket
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING

from railwatch_agent.sources.errors import SourceError
from railwatch_agent.sources.nvml import wire

if TYPE_CHECKING:
    from collections.abc import Sequence

# More than a socket's buffer takes, which would cut a message off.
_MESSAGE_BYTES = 1 << 18
# The child finds modules where its parent does, and so needs no `site`.
_PROGRAM = (
    "import json, sys; task = json.loads(sys.argv[1]); sys.path[:] = task['path']; "
    "from railwatch_agent.sources.nvml.child import main; main(task)"
)


@dataclass(frozen=True, slots=True)
class Task:
    """What a child is to do: the GPUs known, each with number, address, whether to leave it out."""

    gpus: Sequence[tuple[int, str, bool]]
    fast_seconds: float
    slow_seconds: float


class ChildProcess:
    """A process that has been started; its methods do not wait, and are for one thread."""

    def __init__(self, task: Task) -> None:
        self._ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self._ours.setblocking(False)
        page = os.memfd_create("railwatch-nvml")
        try:
            os.ftruncate(page, wire.PAGE_BYTES)
            self._page = memoryview(mmap.mmap(page, wire.PAGE_BYTES)).cast("q")
            self._page[wire.PLACE] = wire.DRIVER
            self._pid = _spawn(task, theirs.fileno(), page)
        except OSError as exc:
            self._ours.close()
            raise SourceError(f"cannot start the process that asks NVML: {exc.strerror}") from exc
        finally:
            theirs.close()
            os.close(page)
        self._status: int | None = None
        self._may_have_ended = False
        # Kept, as a new one each time would be mapped and unmapped.
        self._buffer = memoryview(bytearray(_MESSAGE_BYTES))

    @property
    def pid(self) -> int:
        """Its process id."""
        return self._pid

    def messages(self) -> list[bytes]:
        """Return what it has said since the last time."""
        found: list[bytes] = []
        while True:
            try:
                count = self._ours.recv_into(self._buffer)
            except OSError:
                # Nothing more, or it has ended, which `has_ended` tells.
                return found
            if not count:
                self._may_have_ended = True
                return found
            found.append(bytes(self._buffer[:count]))

    def position(self) -> tuple[int, int]:
        """Return a number that grows while it goes on, and the GPU or part that it is with."""
        return self._page[wire.STEP], self._page[wire.PLACE]

    def kill(self) -> None:
        """Have it end; within an uninterruptible call it does not."""
        if self._status is None:
            self._may_have_ended = True
            os.kill(self._pid, signal.SIGKILL)

    def has_ended(self) -> bool:
        """Whether it has ended; without being killed, once `messages` has come to their end."""
        if self._status is None and self._may_have_ended:
            try:
                pid, status = os.waitpid(self._pid, os.WNOHANG)
            except ChildProcessError:
                pid, status = self._pid, 0
            if pid:
                self._status = status
        return self._status is not None

    @property
    def died_of(self) -> str | None:
        """How it ended, None if by itself and well."""
        if not self._status:
            return None
        code = os.waitstatus_to_exitcode(self._status)
        return f"signal {-code}" if code < 0 else f"exit code {code}"

    def close(self) -> None:
        """Listen no more."""
        self._ours.close()
        self._page.release()


def _spawn(task: Task, theirs: int, page: int) -> int:
    """Start Python without threads' locks, copies of memory or open files of this process."""
    facts = {
        "path": sys.path,
        "parent": os.getpid(),
        "socket": theirs,
        "page": page,
        "gpus": list(task.gpus),
        "fast_seconds": task.fast_seconds,
        "slow_seconds": task.slow_seconds,
    }
    for descriptor in (theirs, page):
        os.set_inheritable(descriptor, True)
    return os.posix_spawn(
        sys.executable,
        [sys.executable, "-I", "-S", "-c", _PROGRAM, json.dumps(facts)],
        os.environ,
        file_actions=[
            (os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0),
            (os.POSIX_SPAWN_DUP2, 2, 1),
        ],
    )
