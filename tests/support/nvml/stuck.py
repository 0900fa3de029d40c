"""A file system that never answers, so that looking at a file is a sleep that no signal ends.

Its own process mounts FUSE in a mount namespace of its own and reads every request without a reply.
A task that waits for such a reply is in state D, and SIGKILL changes nothing (fs/fuse/dev.c: once a
request is in user space it is waited out). When the process ends, all who wait are let go, and
nothing of it remains. It needs /dev/fuse, and root or unprivileged user namespaces.
"""

import ctypes
import os
import select
import struct
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Self

_NEW_MOUNTS, _NEW_USER = 0x00020000, 0x10000000
_RECURSIVE, _PRIVATE = 0x4000, 0x40000
_NO_SUID, _NO_DEVICES = 2, 4
_MOUNTED = "mounted"
_INIT = 26
_MESSAGE_BYTES = 1 << 17
_IN = struct.Struct("<IIQ")  # length, opcode, id
_OUT = struct.Struct("<IiQ")  # length, error, id
# Protocol 7.31, then read-ahead, flags, limits of background requests, of writes, clock, and rest.
_WELCOME = struct.pack("<IIIIHHIIHHIII", 7, 31, 0, 0, 12, 9, 4096, 1, 0, 0, 0, 0, 0).ljust(
    64, b"\0"
)


class StuckFileSystem:
    """While the context lasts, whoever looks at `path` is stuck; OSError where it cannot be."""

    def __enter__(self) -> Self:
        self._folder = tempfile.TemporaryDirectory()
        self._server = subprocess.Popen(
            [sys.executable, __file__, self._folder.name], stdout=subprocess.PIPE
        )
        assert self._server.stdout is not None
        self._output = self._server.stdout
        first = self._output.readline().decode().strip()
        if first != _MOUNTED:
            self.__exit__()
            raise OSError(first)
        return self

    def __exit__(self, *exception: object) -> None:
        self.release()
        self._output.close()
        self._folder.cleanup()

    def release(self) -> None:
        """Let go of all who are stuck."""
        self._server.kill()
        self._server.wait()

    def caught(self, seconds: float) -> bool:
        """Whether somebody is stuck, or gets stuck within this time."""
        return bool(select.select([self._output], [], [], seconds)[0])

    @property
    def path(self) -> Path:
        """A file on it, as the rest of the machine sees it."""
        return Path(f"/proc/{self._server.pid}/root{self._folder.name}/file")


def _isolate(libc: ctypes.CDLL) -> None:
    user, group = os.getuid(), os.getgid()
    _check(libc.unshare(_NEW_MOUNTS | (_NEW_USER if user else 0)))
    if user:
        Path("/proc/self/setgroups").write_text("deny")
        Path("/proc/self/uid_map").write_text(f"0 {user} 1")
        Path("/proc/self/gid_map").write_text(f"0 {group} 1")
    _check(libc.mount(None, b"/", None, _RECURSIVE | _PRIVATE, None))


def _check(result: int) -> None:
    if result != 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))


def _serve(folder: str) -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    _isolate(libc)
    device = os.open("/dev/fuse", os.O_RDWR)
    options = f"fd={device},rootmode=40000,user_id=0,group_id=0".encode()
    flags = _NO_SUID | _NO_DEVICES
    _check(libc.mount(b"stuck", folder.encode(), b"fuse", flags, options))
    _, opcode, request = _IN.unpack_from(os.read(device, _MESSAGE_BYTES))
    if opcode == _INIT:
        os.write(device, _OUT.pack(_OUT.size + len(_WELCOME), 0, request) + _WELCOME)
    _say(_MOUNTED)
    while os.read(device, _MESSAGE_BYTES):
        _say("caught")


def _say(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    try:
        _serve(sys.argv[1])
    except OSError as problem:
        _say(str(problem))
