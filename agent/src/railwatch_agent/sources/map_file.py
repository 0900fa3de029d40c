# SPDX-License-Identifier: Apache-2.0
"""Files that a scheduler's prolog writes and its epilog removes: which jobs are on the node.

Two kinds. A file a job, as deploy/slurm/prolog.d writes it, of lines `name=value`:

    job_id=42
    user=alice
    uid=1000
    partition=gpu
    gpus=0,1
    boot_id=1c3a…

And a file a GPU, its name the GPU's number (of a MIG device `GPU.INSTANCE`), with a job a line, as
dcgm-exporter's documentation describes it (HPC job mapping) and other exporters read it too.
"""

from __future__ import annotations

import os
from dataclasses import replace
from typing import TYPE_CHECKING, Final

from railwatch_agent.sources.claim import Claim, parse_gpus, plain_name
from railwatch_agent.sources.errors import SourceError
from railwatch_agent.sources.files import read_text
from railwatch_agent.sources.small_file import list_small, read_small

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from pathlib import Path

    from railwatch_agent.sources.small_file import SmallFile

# As many on one GPU as its memory is told of.
_MOST_JOBS_A_GPU: Final = 8
# Of a number of 32 bits.
_UID_DIGITS: Final = 10


def parse_job_file(text: str, boot_id: str | None = None) -> Claim | None:
    r"""Return what a job's file says, None if it is of another boot than *boot_id*.

    Names that are not known are left alone.

    >>> claim = parse_job_file("job_id=42\nuser=alice\ngpus=0,1\n")
    >>> claim.job_id, claim.user, sorted(claim.gpus)
    ('42', 'alice', [0, 1])

    Raises
    ------
    ValueError
        It names no job, or what it says cannot be a label's value.
    """
    # Only line feeds end a line here: whatever else does for str.splitlines is no part of a name.
    pairs = (line.partition("=") for line in text.split("\n"))
    facts = {name.strip(): value.strip(" \t") for name, _, value in pairs}
    if boot_id is not None and facts.get("boot_id", boot_id) != boot_id:
        return None
    uid = facts.get("uid", "")
    user, partition = (facts.get(name, "") for name in ("user", "partition"))
    return Claim(
        plain_name(facts.get("job_id", "")),
        plain_name(user) if user else "",
        plain_name(partition) if partition else "",
        int(uid) if uid.isascii() and uid.isdecimal() and len(uid) <= _UID_DIGITS else None,
        gpus=parse_gpus(facts.get("gpus", "")),
    )


def parse_gpu_file(name: str, text: str) -> tuple[Claim, ...]:
    r"""Return the jobs of a GPU's file, none if its name is not a GPU's number.

    >>> [(c.job_id, sorted(c.gpus)) for c in parse_gpu_file("3", "42\n43\n")]
    [('42', [3]), ('43', [3])]

    Raises
    ------
    ValueError
        A job's name cannot be a label's value.
    """
    gpus = parse_gpus(name.partition(".")[0])
    if len(gpus) != 1:
        return ()
    lines = [line.strip(" \t") for line in text.split("\n")]
    jobs = [plain_name(line) for line in lines if line][:_MOST_JOBS_A_GPU]
    return tuple(Claim(job, gpus=gpus) for job in jobs)


class MapDirectory:
    """The files of a directory, parsed; a file counts if root wrote it, the agent, or its owner."""

    def __init__(self, directory: Path, parse: Callable[[str, str], Iterable[Claim]]) -> None:
        self.directory = directory
        self._parse = parse

    def read(self) -> Iterator[Claim | SourceError]:
        """Yield what the files say, and an error for each that cannot be understood."""
        trusted = {0, os.geteuid(), self._owner()}
        for path in list_small(self.directory):
            if isinstance(path, SourceError):
                yield path
                continue
            try:
                file = read_small(path)
                if file is not None:
                    yield from self._claims(path, file, trusted)
            except SourceError as exc:
                yield exc

    def _claims(self, path: Path, file: SmallFile, trusted: set[int]) -> list[Claim]:
        if file.uid not in trusted:
            raise SourceError(f"cannot trust {path}: written by user {file.uid}")
        try:
            claims = self._parse(path.name, file.text)
            return [replace(claim, written_at=file.written_at) for claim in claims]
        except ValueError as exc:
            raise SourceError(f"cannot parse {path}: {exc}") from exc

    def _owner(self) -> int:
        try:
            return self.directory.stat().st_uid
        except OSError:
            return 0


def job_files(directory: Path, procfs: Path) -> MapDirectory:
    """Return the directory of the files that are one a job."""
    boot_id = read_boot_id(procfs)

    def parse(_: str, text: str) -> Iterable[Claim]:
        claim = parse_job_file(text, boot_id)
        return () if claim is None else (claim,)

    return MapDirectory(directory, parse)


def gpu_files(directory: Path) -> MapDirectory:
    """Return the directory of the files that are one a GPU."""
    return MapDirectory(directory, parse_gpu_file)


def read_boot_id(procfs: Path) -> str | None:
    """Return what tells this boot from others (random(4)), None if it cannot be known."""
    try:
        text = read_text(procfs / "sys" / "kernel" / "random" / "boot_id")
    except SourceError:
        return None
    return None if text is None else text.strip()
