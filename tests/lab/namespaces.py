"""Doors to network namespaces: ip and tc in batches, threads and processes that live inside one.

Knowledge: ip-netns(8), tc(8), setns(2), namespaces(7).
"""

from __future__ import annotations

import ctypes
import os
import signal
import subprocess
import threading
from concurrent.futures import Future
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

T = TypeVar("T")

# ip-netns(8): a name here is a bind mount of the namespace.
NAMES = Path("/run/netns")
_CLONE_NEWNET = 0x40000000
# A batch takes milliseconds; one that takes this long never ends.
_BATCH_DEADLINE_SECONDS = 30.0
# Waits for a line, which means that all is well, or for the end of its input, which means that the
# writer died; a batch that was under way then has a second to end.
_GUARD = """
read -r _ && exit 0
sleep 1
for path in "$0"*; do
    [ -e "$path" ] || continue
    name="${path##*/}"
    for pid in $(ip netns pids "$name"); do kill -KILL "$pid"; done
    ip netns delete "$name"
done
"""


class LabError(Exception):
    """The lab could not be built or changed; the message holds what the tool said."""


def batch(tool: str, lines: Iterable[str], namespace: str | None = None) -> None:
    """Run `lines` as one batch of `tool` (ip or tc), inside `namespace` if one is given."""
    argv = [tool, *(["-netns", namespace] if namespace else []), "-batch", "-"]
    text = "".join(f"{line}\n" for line in lines)
    done = subprocess.run(
        argv,
        input=text,
        capture_output=True,
        text=True,
        check=False,
        timeout=_BATCH_DEADLINE_SECONDS,
    )
    if done.returncode != 0:
        raise LabError(f"{' '.join(argv)}: {done.stderr.strip()}\n{text}")


def names(prefix: str) -> list[str]:
    """Names of the namespaces that begin with `prefix`, sorted."""
    return sorted(path.name for path in NAMES.glob(f"{prefix}*"))


def enter(namespace: str) -> None:
    """Move the calling thread, and no other, into `namespace`.

    `/proc/thread-self/net` is then the namespace's; `/sys/class/net` and `/proc/net` are not.
    """
    libc = ctypes.CDLL(None, use_errno=True)
    descriptor = os.open(NAMES / namespace, os.O_RDONLY | os.O_CLOEXEC)
    try:
        if libc.setns(descriptor, _CLONE_NEWNET) != 0:
            code = ctypes.get_errno()
            raise OSError(code, os.strerror(code), str(NAMES / namespace))
    finally:
        os.close(descriptor)


def call(namespace: str, function: Callable[[], T]) -> T:
    """Return `function()` as called by a thread of its own inside `namespace`, or raise its error.

    Sockets and threads that the function leaves behind stay in the namespace.
    """
    future: Future[T] = Future()

    def work() -> None:
        try:
            enter(namespace)
            future.set_result(function())
        except BaseException as exc:  # whatever it is, the caller gets it
            future.set_exception(exc)

    threading.Thread(target=work, name=f"in {namespace}", daemon=True).start()
    return future.result()


def processes(namespace: str) -> list[int]:
    """Ids of the processes that live in `namespace`, without this one."""
    done = subprocess.run(
        ["ip", "netns", "pids", namespace], capture_output=True, text=True, check=False
    )
    return [int(word) for word in done.stdout.split() if int(word) != os.getpid()]


def delete(namespace: str) -> None:
    """Kill what still lives in `namespace`, then remove its name; the kernel removes its links."""
    for pid in processes(namespace):
        try:
            os.kill(pid, signal.SIGKILL)
        except ProcessLookupError:
            continue
    batch("ip", [f"netns delete {namespace}"])


def guard(prefix: str) -> subprocess.Popen[bytes]:
    """Start a process that clears away what begins with `prefix` if this process dies.

    No `finally` runs after SIGTERM, SIGKILL or a test timeout that ends in `os._exit`.
    """
    return subprocess.Popen(
        ["sh", "-c", _GUARD, str(NAMES / prefix)],
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,  # a signal to the terminal's group must not reach it
    )


def dismiss(guardian: subprocess.Popen[bytes]) -> None:
    """Tell the guardian that everything has been cleared away."""
    guardian.communicate(b"\n", timeout=_BATCH_DEADLINE_SECONDS)
