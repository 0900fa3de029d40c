# SPDX-License-Identifier: Apache-2.0
"""A finding: one thing that the agent can read here or cannot, and why."""

from __future__ import annotations

import errno
import os
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Final

from railwatch_agent.sources.access import Capability, what_opens
from railwatch_agent.sources.errors import SourceError

if TYPE_CHECKING:
    from railwatch.catalogue.metric import ReadFailure


class Status(StrEnum):
    """Whether it can be read, and if not, who or what is in the way."""

    OK = "ok"
    ABSENT = "absent"
    """The hardware or its driver does not keep it."""
    DENIED = "denied"
    """This user may not."""
    FAILED = "failed"
    """The kernel answered with an error, or not at all."""
    OFF = "off"
    """Configuration leaves it out."""
    MISSING = "missing"
    """A kernel module, a package or a service is not there."""


# What somebody may want to do something about.
TROUBLE: Final = (Status.FAILED, Status.DENIED, Status.MISSING)


class Section(StrEnum):
    """What findings are about, in the order of the report."""

    NODE = "node"
    PERMISSIONS = "permissions"
    GPU = "gpu"
    JOBS = "jobs"
    RAILS = "rails"
    LEFT_OUT = "left out"
    SOURCES = "sources"
    METRICS = "metrics"


@dataclass(frozen=True, slots=True)
class Finding:
    """One line of the report.

    `change` says what would make it better, `rail` whose it is. Of the metric `what`, `values` are
    those of the last label that it is about, if not all, and `source` is where it comes from.
    """

    section: Section
    what: str
    status: Status
    detail: str = ""
    change: str = ""
    rail: int | None = None
    values: tuple[str, ...] = ()
    source: str = ""


_DENIED: Final = frozenset({errno.EPERM, errno.EACCES})
_MISSING: Final = frozenset(
    {errno.ENOENT, errno.ECONNREFUSED, errno.EPROTONOSUPPORT, errno.EAFNOSUPPORT, errno.ENOSYS}
)
_CODES: Final = {
    word: code
    for code, name in errno.errorcode.items()
    for word in (name, f"kernel answered {name}", os.strerror(code))
}


def errno_of(message: str) -> int | None:
    """Return the errno in whose name a source's message ends, None if it ends otherwise.

    >>> errno_of("cannot read /x: Permission denied"), errno_of("cannot read FEC of a: EPERM")
    (13, 1)
    >>> errno_of("socket dump: kernel answered ENOENT"), errno_of("cannot parse /x")
    (2, None)
    """
    return _CODES.get(message.rpartition(": ")[2])


def message_of(error: Exception) -> str:
    """Return what went wrong in one line that ends in the errno, if there is one."""
    if isinstance(error, SourceError | TimeoutError):
        return str(error)
    if isinstance(error, OSError):
        return f"cannot read {error.filename or 'what the kernel has'}: {error.strerror}"
    return f"{type(error).__name__}: {error}"


def status_of(message: str) -> Status:
    """Return what the message of an error amounts to."""
    code = errno_of(message)
    if code in _DENIED:
        return Status.DENIED
    return Status.MISSING if code in _MISSING else Status.FAILED


def of_failure(section: Section, what: str, failure: ReadFailure, rail: int | None) -> Finding:
    """Return the finding that a reading which failed amounts to."""
    status = status_of(failure.reason)
    change = ""
    if status is Status.DENIED:
        # Files have an owner and a group; a question to the network's drivers has neither.
        is_file = failure.what.startswith("/")
        change = what_opens(Path(failure.what)) if is_file else Capability.CAP_NET_ADMIN.name
    code = errno_of(failure.reason)
    name = "" if code is None else errno.errorcode[code]
    detail = failure.reason if name in failure.reason else f"{failure.reason} ({name})"
    return Finding(section, what, status, detail, change, rail)
