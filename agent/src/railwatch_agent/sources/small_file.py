# SPDX-License-Identifier: Apache-2.0
"""Small files that somebody else writes (open(2)): never waited for, never read beyond a bound."""

from __future__ import annotations

import errno
import os
import stat
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from railwatch_agent.sources.errors import SourceError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

MOST_BYTES: Final = 4096
# A node has a file a job or a GPU; a directory with more than that is not what it was meant for.
MOST_FILES: Final = 256


@dataclass(frozen=True, slots=True)
class SmallFile:
    """What is in a file, when it was written (Unix time), and by whom."""

    text: str
    written_at: float
    uid: int


def read_small(path: Path, *, follow: bool = False) -> SmallFile | None:
    """Return a file of UTF-8 text, None if there is none; a symbolic link only if *follow*.

    Raises
    ------
    SourceError
        It cannot be read, is no regular file, too long, or no text.
    """
    flags = os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC | (0 if follow else os.O_NOFOLLOW)
    try:
        descriptor = os.open(path, flags)
        try:
            status = os.fstat(descriptor)
            if not stat.S_ISREG(status.st_mode):
                raise SourceError(f"cannot read {path}: not a regular file")
            data = os.read(descriptor, MOST_BYTES + 1)
        finally:
            os.close(descriptor)
    except OSError as exc:
        if exc.errno == errno.ENOENT:
            return None
        reason = "a symbolic link" if exc.errno == errno.ELOOP else exc.strerror
        raise SourceError(f"cannot read {path}: {reason}") from exc
    if len(data) > MOST_BYTES:
        raise SourceError(f"cannot read {path}: longer than {MOST_BYTES} bytes")
    try:
        return SmallFile(data.decode("utf-8"), status.st_mtime, status.st_uid)
    except UnicodeDecodeError as exc:
        raise SourceError(f"cannot parse {path}: not UTF-8") from exc


def list_small(directory: Path) -> Iterator[Path | SourceError]:
    """Yield what is in a directory, hidden names left out, and an error in place of the rest.

    A directory that is not there has nothing in it.
    """
    try:
        with os.scandir(directory) as entries:
            names = [entry.name for entry, _ in zip(entries, range(MOST_FILES + 1), strict=False)]
    except FileNotFoundError:
        return
    except OSError as exc:
        yield SourceError(f"cannot read {directory}: {exc.strerror}")
        return
    for name in sorted(names[:MOST_FILES]):
        if not name.startswith("."):
            yield directory / name
    if len(names) > MOST_FILES:
        yield SourceError(f"cannot read {directory}: more than {MOST_FILES} files")
