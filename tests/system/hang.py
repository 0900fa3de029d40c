"""Stops one thread of a process, as a read that never returns would; ptrace(2).

`python hang.py PID` stops the thread of PID that wakes up most often, says its number, and holds it
until the process has ended. PTRACE_SEIZE and PTRACE_INTERRUPT stop no other thread.
"""

from __future__ import annotations

import ctypes
import os
import sys
import time
from pathlib import Path

_SEIZE, _INTERRUPT = 0x4206, 0x4207
_WALL = 0x40000000
_WATCHED_SECONDS = 1.0


def _wakeups(pid: int) -> dict[int, int]:
    found = {}
    for task in Path(f"/proc/{pid}/task").iterdir():
        text = (task / "status").read_text()
        found[int(task.name)] = int(text.partition("\nvoluntary_ctxt_switches:")[2].split()[0])
    return found


def _busiest(pid: int) -> int:
    before = _wakeups(pid)
    time.sleep(_WATCHED_SECONDS)
    after = _wakeups(pid)
    return max(before.keys() & after.keys(), key=lambda task: after[task] - before[task])


def main(pid: int) -> None:
    """Stop the thread, and hold it until it is gone."""
    libc = ctypes.CDLL(None, use_errno=True)
    libc.ptrace.argtypes = (ctypes.c_long, ctypes.c_long, ctypes.c_void_p, ctypes.c_void_p)
    task = _busiest(pid)
    for request in (_SEIZE, _INTERRUPT):
        if libc.ptrace(request, task, None, None):
            raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
    sys.stdout.write(f"{task}\n")
    sys.stdout.flush()
    while True:
        try:
            _, status = os.waitpid(task, _WALL)
        except ChildProcessError:
            return
        if not os.WIFSTOPPED(status):
            return


if __name__ == "__main__":
    main(int(sys.argv[1]))
