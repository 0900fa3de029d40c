# SPDX-License-Identifier: Apache-2.0
"""Follows the steps of one job from round to round: totals that never fall, and what is withheld.

A step is counted once, when the one after it has ended too, so that its boundaries stay. What lies
between two boundaries that are no step's length apart, or across a gap on the tape, is none.
"""

from __future__ import annotations

import math
from collections import deque
from dataclasses import replace
from typing import TYPE_CHECKING, Final

import numpy as np

from railwatch.catalogue.step import Unresolved
from railwatch_agent.steps.boundaries import LONGEST, REACH, SHORTEST, find_boundaries
from railwatch_agent.steps.grid import shifted
from railwatch_agent.steps.history import History, Samples, Signal
from railwatch_agent.steps.lag import MOST_STEPS, find_lag
from railwatch_agent.steps.occupancy import burst_of, computing, levels_of, moves, sending
from railwatch_agent.steps.period import Stretch
from railwatch_agent.steps.rhythm import Rhythm
from railwatch_agent.steps.silence import Silences, find_silences, is_pause
from railwatch_agent.steps.split import added_up, split_steps
from railwatch_agent.steps.view import Totals, View

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from railwatch_agent.steps.lag import Lag
    from railwatch_agent.steps.occupancy import Levels
    from railwatch_agent.steps.period import Period

# How long samples may take to come: GPUs' come in blocks of a second.
DELAY_SECONDS: Final = 2.5
# Below this, what moves is no training: heartbeats, logs, shells.
_LEAST_BYTES_PER_SECOND: Final = 50e3
# What is sent now is the mean of so long.
_RECENT_SECONDS: Final = 10.0
# Lag plus averaging may blur at most this share of a step.
MOST_BLUR: Final = 0.1
_LENIENCE: Final = 1.2
# A signal of which nothing came for so long is none.
_SILENT_SECONDS: Final = 4.0
# Cells that a step must have for its parts to be told.
_LEAST_CELLS: Final = 8.0
# A period is given up when no step has fitted it for so many, and for so long.
_PATIENCE_PERIODS: Final = 6.0
_PATIENCE_SECONDS: Final = 5.0
# Where a step ends is settled once so many periods of what follows are known.
_SETTLED_PERIODS: Final = 1.0 + REACH
# Periods before the last boundary from which it is known how steep an edge usually is.
_CONTEXT_PERIODS: Final = 8.0
# Peaks that hold for so many periods are of steps that hardly differ.
_STEADY_MULTIPLES: Final = 4
_LEAST_LENGTHS: Final = 8
_MOST_LENGTHS: Final = 40
# Lag and levels change slowly, and are looked at again every so many rounds.
_LEVEL_ROUNDS: Final = 5


class Tracker:
    """Follows one job; `observe` is called every few seconds, by one thread.

    What was before *began_at* is not the job's.
    """

    def __init__(self, cell_seconds: float, began_at: float = -math.inf) -> None:
        self.view = View()
        self._began_at = began_at
        self._history = History(cell_seconds)
        self._rhythm = Rhythm()
        self._since = 0
        # Where the last steps ended, in cells of the history; the newest last.
        self._boundaries: deque[float] = deque(maxlen=MOST_STEPS + 1)
        # How long the last steps were, in cells.
        self._lengths: deque[float] = deque(maxlen=_MOST_LENGTHS)
        self._signal: Signal | None = None
        self._lag: Lag | None = None
        self._levels: Levels | None = None
        self._burst: Levels | None = None
        self._rounds = 0

    def read_from(self, now: float) -> float:
        """Return from when on samples have to be given."""
        return max(self._history.read_from(now), self._began_at)

    def observe(
        self,
        now: float,
        rails: Sequence[Samples],
        gpus: Sequence[Samples] = (),
        signal: Signal | None = None,
    ) -> None:
        """Take what the rails sent, in counters, and what the GPUs did, if there is a *signal*."""
        self._rounds += 1
        if signal is None or self._signal is None or signal.name != self._signal.name:
            if self._signal is not None:
                self._history.forget_activity()
            self._lag = self._levels = None
        self._signal = signal
        averaging = 0.0 if signal is None else signal.averaging_seconds
        self._history.extend(now - DELAY_SECONDS, rails, gpus, averaging)
        is_idle = self.view.reason is Unresolved.IDLE
        if self._burst is None or is_idle or self._rounds % _LEVEL_ROUNDS == 0:
            self._burst = burst_of(self._history.bytes)
        burst = self._burst
        silences = None if burst is None else self._listen(burst)
        if burst is None or silences is None:
            self.view = replace(self.view, period_seconds=None, reason=Unresolved.IDLE)
            return
        self.view = replace(self.view, moved_at=now)
        self._follow(burst, silences)

    def _listen(self, burst: Levels) -> Silences | None:
        """Return where nothing moved since the last pause, None if nothing moves now."""
        history, period = self._history, self._rhythm.period
        cells = None if period is None else period.seconds / history.cell_seconds
        # As long as no period is known, what was taken for a pause may turn out to be the rhythm.
        start = 0 if period is None else max(self._since - history.begin, 0)
        found = find_silences(history.bytes[start:], burst, cells, history.cell_seconds)
        self._since = history.end - found.since_pause
        recent = history.bytes[-round(_RECENT_SECONDS / history.cell_seconds) :]
        known = recent[np.isfinite(recent)]
        sent = max(float(known.mean()), burst.busy / 20) if len(known) else 0.0
        is_little = sent < _LEAST_BYTES_PER_SECOND * history.cell_seconds
        pauses = is_pause(found.trailing, cells, history.cell_seconds)
        return None if is_little or pauses else found

    def _follow(self, burst: Levels, silences: Silences) -> None:
        history = self._history
        before = self._rhythm.period
        stretch = Stretch(
            history.bytes[self._since - history.begin :],
            history.cell_seconds,
            history.sample_seconds,
        )
        self._rhythm = self._rhythm.after(stretch, silences)
        period = self._rhythm.period
        if period is None:
            self.view = replace(self.view, period_seconds=None, reason=self._rhythm.reason)
            return
        cells = period.seconds / history.cell_seconds
        if before is not None and not SHORTEST < period.seconds / before.seconds < LONGEST:
            self._lag = None
            self._lengths.clear()
        begins, ends = self._new_steps(cells)
        if self._is_lost(cells):
            self._rhythm = Rhythm(reason=Unresolved.NOISE)
            self.view = replace(self.view, period_seconds=None, reason=Unresolved.NOISE)
            return
        reason = self._split_reason(cells, burst)
        self.view = replace(
            self.view,
            totals=self._count(begins, ends, burst, is_split=reason is None),
            period_seconds=self._length_now(period),
            confidence=max(period.confidence, 0.0),
            reason=reason,
            lag_seconds=None if self._lag is None else self._lag.cells * history.cell_seconds,
        )

    def _new_steps(self, period: float) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Return begin and end of the steps that are settled now and were not, in cells."""
        history = self._history
        last = self._boundaries[-1] if self._boundaries else None
        if last is not None and last < history.begin + period:
            last = None
        context = self._since if last is None else math.floor(last - _CONTEXT_PERIODS * period)
        start = max(context, history.begin)
        found = find_boundaries(
            history.bytes[start - history.begin :],
            period,
            None if last is None else last - start,
        )
        found = found[found < history.end - start - _SETTLED_PERIODS * period] + start
        if last is None and self._boundaries:
            # Nothing that was counted is counted again.
            found = found[found > self._boundaries[-1]]
        self._boundaries.extend(found[0 if last is None else 1 :].tolist())
        lengths = np.diff(found)
        fits = (lengths >= SHORTEST * period) & (lengths <= LONGEST * period)
        begins, ends = found[:-1][fits], found[1:][fits]
        unknown = np.isnan(history.bytes[start - history.begin :]) * 1.0
        is_known = added_up(unknown, begins - start, ends - start) == 0
        self._lengths.extend((ends - begins)[is_known].tolist())
        return begins[is_known], ends[is_known]

    def _length_now(self, period: Period) -> float:
        """Return the length of a step in seconds: the mean of the last ones where they differ.

        The peak of steps that differ much is broad, and where its top is has to do with chance.
        """
        if period.multiples >= _STEADY_MULTIPLES or len(self._lengths) < _LEAST_LENGTHS:
            return period.seconds
        return sum(self._lengths) / len(self._lengths) * self._history.cell_seconds

    def _is_lost(self, period: float) -> bool:
        """Whether no step has ended for so long that there may be none of this length."""
        patience = max(_PATIENCE_PERIODS * period, _PATIENCE_SECONDS / self._history.cell_seconds)
        newest = self._boundaries[-1] if self._boundaries else self._since
        return self._history.end - max(newest, self._since) > patience + _SETTLED_PERIODS * period

    def _split_reason(self, period: float, burst: Levels) -> Unresolved | None:
        """Return why steps cannot be split, None if they can; look at lag and levels anew."""
        history, signal = self._history, self._signal
        if period < _LEAST_CELLS * max(history.sample_seconds / history.cell_seconds, 1.0):
            return Unresolved.SAMPLING
        newest = history.activity[-round(_SILENT_SECONDS / history.cell_seconds) :]
        if signal is None or not np.isfinite(newest).any():
            return Unresolved.NO_ACTIVITY
        averaging = signal.averaging_seconds / history.cell_seconds
        if averaging > MOST_BLUR * period:
            return Unresolved.LAG
        if self._lag is None or self._rounds % _LEVEL_ROUNDS == 0:
            moving = moves(history.bytes, burst)
            self._levels = levels_of(history.activity, moving, is_share=signal.is_share)
            self._lag = self._find_lag(period, burst, averaging)
        if self._levels is None:
            return Unresolved.NO_ACTIVITY
        # What is split goes on to be while the lag varies a little about the limit.
        most = MOST_BLUR * period * (_LENIENCE if self.view.is_split else 1.0)
        if self._lag is None or abs(self._lag.cells) + averaging > most:
            return Unresolved.LAG
        return None

    def _find_lag(self, period: float, burst: Levels, averaging: float) -> Lag | None:
        if self._levels is None or len(self._boundaries) < 2:
            return None
        history = self._history
        steps = np.array(self._boundaries) - history.begin
        steps = steps[steps > averaging + 1]
        return find_lag(
            sending(history.bytes, burst),
            computing(history.activity, self._levels, self._blur_cells()),
            steps,
            period=period,
            earliest=-round(averaging / 2),
        )

    def _blur_cells(self) -> float:
        """Over how many cells the signal turns an edge into a slope, its sampling included."""
        averaging = 0.0 if self._signal is None else self._signal.averaging_seconds
        return (averaging + self._history.activity_seconds) / self._history.cell_seconds

    def _count(
        self,
        begins: NDArray[np.float64],
        ends: NDArray[np.float64],
        burst: Levels,
        *,
        is_split: bool,
    ) -> Totals:
        totals = self.view.totals
        if not len(begins):
            return totals
        history = self._history
        # A cell more on either side: whether a burst begins or ends in a cell its neighbours tell.
        low = max(math.floor(begins[0]) - 1, history.begin)
        high = math.ceil(ends[-1]) + 1
        sent = history.bytes[low - history.begin : high - history.begin]
        every = added_up(np.nan_to_num(sent), begins - low, ends - low)
        seconds = float((ends - begins).sum()) * history.cell_seconds
        totals = totals.with_steps(len(begins), seconds, float(every.sum()))
        if not is_split or self._lag is None or self._levels is None:
            return totals
        active = shifted(history.activity, low - history.begin + self._lag.cells, len(sent))
        active = computing(active, self._levels, self._blur_cells())
        parts = split_steps(sending(sent, burst), active, begins - low, ends - low)
        return totals.with_parts(parts, history.cell_seconds)
