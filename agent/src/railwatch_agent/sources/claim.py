# SPDX-License-Identifier: Apache-2.0
"""What one source says of one job, and what may be said: names end up in labels of metrics.

Schedulers give no bound on names; 128 characters hold a pod's UID, an array job's number and the
names that sites give.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

_MOST_CHARACTERS: Final = 128
# More GPUs than any node has; a list that names others is no list of numbers.
_MOST_GPUS: Final = 256


@dataclass(frozen=True, slots=True)
class Claim:
    """A job that is on the node, as one source has it; what is empty or None it does not say.

    `gpus` are numbers in PCI order. `written_at` is when it was written down, Unix time, and None
    of what is so now. `is_word` says that the job itself says so.
    """

    job_id: str
    user: str = ""
    partition: str = ""
    uid: int | None = None
    gpus: frozenset[int] = frozenset()
    written_at: float | None = None
    is_word: bool = False


def plain_name(text: str) -> str:
    """Return *text* if it may be a label's value.

    Raises
    ------
    ValueError
        It is empty, long, or has control characters or blanks at its ends.
    """
    if not text or len(text) > _MOST_CHARACTERS or not text.isprintable() or text != text.strip():
        raise ValueError(
            f"a name has 1 to {_MOST_CHARACTERS} printable characters, got {text!r:.40}"
        )
    return text


def parse_gpus(text: str) -> frozenset[int]:
    """Return the GPUs of a list of numbers and ranges, none if it is not that.

    CUDA_VISIBLE_DEVICES may hold UUIDs, and Slurm writes NoDevFiles for none.

    >>> sorted(parse_gpus("0,2-3")), parse_gpus("GPU-7e5d"), parse_gpus("")
    ([0, 2, 3], frozenset(), frozenset())
    """
    found: set[int] = set()
    for part in text.split(","):
        first, _, last = part.strip().partition("-")
        if not _is_number(first) or (last and not _is_number(last)):
            return frozenset()
        found.update(range(int(first), int(last or first) + 1))
    return frozenset(found)


def _is_number(text: str) -> bool:
    return text.isascii() and text.isdecimal() and len(text) <= 3 and int(text) < _MOST_GPUS
