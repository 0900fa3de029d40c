# SPDX-License-Identifier: Apache-2.0
"""The counters of one device that files hold, read together, of which most stand still.

A round is one call into C and a comparison; a sample is made anew only where a counter has moved.
What cannot be read, or is slow, is read by itself: one costs itself, and backs off.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Final

from railwatch.catalogue.metric import ReadFailure, Sample
from railwatch.rates import Accumulator
from railwatch_agent.collectors.pacing import PacedReading
from railwatch_agent.sources.errors import SourceError
from railwatch_agent.sources.summed import OpenFiles, Reading

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from railwatch.catalogue.metric import MetricSpec
    from railwatch_agent.sources.files import CounterFile

# Of the time, how much reading one counter may take: a rail has about twenty, and those of all
# rails are read one after the other. For each millisecond that a driver takes to ask its firmware
# it is left alone for two seconds.
_SHARE: Final = 0.0005
# One slow read is the scheduler's.
_SLOW_IN_A_ROW: Final = 3
# A round that takes longer has a slow counter in it.
_SLOW_SECONDS: Final = 0.001
# What was not there is asked for again every so many rounds, as often as its pace allows.
_CARE_EVERY_ROUNDS: Final = 60


class CounterSeries:
    """One series, and the *files* whose counters make it up."""

    def __init__(
        self,
        spec: MetricSpec,
        labels: tuple[str, ...],
        files: Sequence[CounterFile],
        *,
        interval_seconds: float,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._spec = spec
        self._labels = labels
        self._files = files
        self._paced = [
            PacedReading(
                file.path,
                file.read,
                interval_seconds=interval_seconds,
                share=_SHARE,
                slow_in_a_row=_SLOW_IN_A_ROW,
                monotonic=monotonic,
            )
            for file in files
        ]
        self._total = Accumulator()
        self.found: list[int | None] = [None] * len(files)
        self.sample: Sample | None = None

    def read(self) -> Iterator[ReadFailure]:
        """Read with care; yield what failed."""
        for at, paced in enumerate(self._paced):
            try:
                self.found[at] = paced.latest()[0]
            except SourceError as exc:
                self.found[at] = None
                yield ReadFailure(paced.what, str(exc))
        self.update()

    def update(self) -> None:
        """Make the sample of what was found; there is none where nothing is known."""
        if any(value is not None for value in self.found):
            self.sample = Sample(self._spec, self._labels, self._total.update(self.found))
        else:
            self.sample = None

    def known(self) -> list[tuple[int, Reading]]:
        """Return the files that could be read, by their positions."""
        return [
            (at, Reading(file.descriptor, value, 1))
            for at, (file, value) in enumerate(zip(self._files, self.found, strict=True))
            if value is not None
        ]


class CounterSet:
    """Reads *series*, all of one device."""

    def __init__(
        self, series: Sequence[CounterSeries], *, monotonic: Callable[[], float] = time.monotonic
    ) -> None:
        self._series = series
        self._monotonic = monotonic
        self._together: OpenFiles | None = None
        # Whose counter each of the files is, and which of its files.
        self._owners: list[tuple[CounterSeries, int]] = []
        self._rounds = 0

    def read(self) -> Iterator[Sample | ReadFailure]:
        """Yield the counters as they are now."""
        self._rounds += 1
        if self._rounds % _CARE_EVERY_ROUNDS == 0 or not self._are_read_together():
            yield from self._read_with_care()
            return
        for series in self._series:
            if series.sample is not None:
                yield series.sample

    def _are_read_together(self) -> bool:
        together = self._together
        if together is None:
            return False
        began = self._monotonic()
        try:
            values = together.read()
        except (OSError, ValueError):
            return False
        if values != together.values:
            self._take(values, together.values)
            together.values = values
        if self._monotonic() - began > _SLOW_SECONDS:
            self._together = None
        return True

    def _take(self, values: Sequence[int], before: Sequence[int]) -> None:
        moved: set[CounterSeries] = set()
        for owner, value, last in zip(self._owners, values, before, strict=True):
            if value != last:
                series, at = owner
                series.found[at] = value
                moved.add(series)
        for series in moved:
            series.update()

    def _read_with_care(self) -> Iterator[Sample | ReadFailure]:
        began, self._together, has_failed = self._monotonic(), None, False
        for series in self._series:
            for failure in series.read():
                has_failed = True
                yield failure
            if series.sample is not None:
                yield series.sample
        if has_failed or self._monotonic() - began > _SLOW_SECONDS:
            return
        known = [(series, *at_reading) for series in self._series for at_reading in series.known()]
        self._owners = [(series, at) for series, at, _ in known]
        self._together = OpenFiles([reading for _, _, reading in known]) if known else None
