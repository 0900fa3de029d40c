# SPDX-License-Identifier: Apache-2.0
"""A step marker: one datagram of a rank about one of its steps, parsed; pure.

    rank=0 step=17 start=5021.113 end=5021.604 compute=0.41 exposed=0.05

Times are seconds of CLOCK_MONOTONIC, which all processes of a node share. Fields may have any
order, and those that are not known here are left alone. STEPS.md says what they mean.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from railwatch_agent.sources.claim import plain_name

if TYPE_CHECKING:
    from collections.abc import Mapping

MOST_BYTES: Final = 1024
# 63 bits, as training frameworks count.
_MOST_DIGITS: Final = 18
_LONGEST_STEP_SECONDS: Final = 3600.0


@dataclass(frozen=True, slots=True)
class Marker:
    """One step of one rank; parts of it in seconds, None where the rank does not say.

    By another clock than the step's, as the GPU's is, they may come to more than it.
    """

    rank: int
    step: int
    start: float
    end: float
    compute: float | None = None
    exposed: float | None = None
    communication: float | None = None
    job_id: str = ""

    @property
    def seconds(self) -> float:
        """How long the step took."""
        return self.end - self.start


def parse_marker(data: bytes) -> Marker:
    """Return the marker that a datagram holds.

    >>> parse_marker(b"rank=3 step=17 start=10.5 end=11 compute=0.25").compute
    0.25

    Raises
    ------
    ValueError
        It is none, or says what cannot be.
    """
    if len(data) > MOST_BYTES:
        raise ValueError(f"longer than {MOST_BYTES} bytes")
    fields = dict(_field(word) for word in data.decode("utf-8").split())
    marker = Marker(
        _number(fields, "rank"),
        _number(fields, "step"),
        _seconds(fields.get("start", "")),
        _seconds(fields.get("end", "")),
        _part(fields, "compute"),
        _part(fields, "exposed"),
        _part(fields, "communication"),
        plain_name(fields["job_id"]) if "job_id" in fields else "",
    )
    if not 0.0 < marker.seconds <= _LONGEST_STEP_SECONDS:
        raise ValueError(f"a step takes up to {_LONGEST_STEP_SECONDS:g} s, not {marker.seconds:g}")
    return marker


def _field(word: str) -> tuple[str, str]:
    name, sign, value = word.partition("=")
    if not sign:
        raise ValueError(f"no name=value: {word!r:.40}")
    return name, value


def _number(fields: Mapping[str, str], name: str) -> int:
    text = fields.get(name, "")
    if not (text.isascii() and text.isdecimal()) or len(text) > _MOST_DIGITS:
        raise ValueError(f"{name} is no number: {text!r:.40}")
    return int(text)


def _seconds(text: str) -> float:
    value = float(text)
    if not math.isfinite(value) or value < 0.0:
        raise ValueError(f"not seconds: {text!r:.40}")
    return value


def _part(fields: Mapping[str, str], name: str) -> float | None:
    return _seconds(fields[name]) if name in fields else None
