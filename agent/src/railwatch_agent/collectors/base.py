# SPDX-License-Identifier: Apache-2.0
"""What a collector is to the worker that runs it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Iterator

    from railwatch.catalogue.metric import ReadFailure, Sample


class Collector(Protocol):
    """Answers, every *interval_seconds* and in its name's thread, with what it could read.

    `collect` may take as long as it does: its worker has a deadline, after which what it said last
    is no longer exposed. One reading that fails is a `ReadFailure` among the samples; an exception
    costs the whole round.
    """

    @property
    def name(self) -> str:
        """Value of the label `collector`; several collectors may share it, one a rail."""
        ...

    @property
    def interval_seconds(self) -> float:
        """From the beginning of one round to the beginning of the next."""
        ...

    def collect(self) -> Iterator[Sample | ReadFailure]:
        """Yield one round's samples."""
        ...
