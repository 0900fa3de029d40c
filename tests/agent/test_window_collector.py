"""Windows, histograms and queues out of a tape; time is a fake clock's."""

import math

import numpy as np
import pytest

from agent.fakes import FakeClock, rail
from agent.readings import value
from railwatch.catalogue.metric import Distribution, ReadFailure, Sample
from railwatch.catalogue.node import AGENT_WINDOW_END
from railwatch.catalogue.rail import (
    RAIL_QUEUE_OCCUPIED,
    RAIL_RECEIVE_UTILIZATION,
    RAIL_TRANSMIT_UTILIZATION,
    RECEIVE_WINDOW,
    TRANSMIT_WINDOW,
)
from railwatch.windows import window_statistics
from railwatch_agent.collectors.window import WindowCollector
from railwatch_agent.histogram import Histogram
from railwatch_agent.tape import Tape

_INTERVAL = 0.02
_WINDOW = 5.0
_LINE_RATE = 1e9


class _Windows:
    """The window collector on a tape that a test fills; time is the fake clock's."""

    def __init__(self) -> None:
        # 1000 s of monotonic time are the beginning of a window on the wall clock.
        self.clock = FakeClock(monotonic=1000.0, wall=1_700_000_000.0)
        self.tape = Tape(6000)
        self.rails = (rail(),)
        self.line_rate: float | None = _LINE_RATE
        self.received = 0.0
        self.collector = WindowCollector(
            tape=self.tape,
            rails=lambda: self.rails,
            line_rate=lambda _: self.line_rate,
            sample_seconds=lambda: _INTERVAL,
            window_seconds=_WINDOW,
            clock=self.clock,
        )

    def collect(self) -> list[Sample | ReadFailure]:
        """Return one round."""
        return list(self.collector.collect())

    def sample(self, rate: float, backlog: float = math.nan, interval: float = _INTERVAL) -> None:
        """Let an interval pass at *rate* and take a sample."""
        self.clock.advance(interval)
        self.received += rate * interval
        now = self.clock.monotonic()
        self.tape.track(0).append(now, self.received, 0.0)
        if not math.isnan(backlog):
            self.tape.queues.append((now, (0,), [backlog]))

    def run(self, seconds: float, rate: float = 0.0, backlog: float = math.nan) -> None:
        """Sample for *seconds*."""
        for _ in range(round(seconds / _INTERVAL)):
            self.sample(rate, backlog)


@pytest.fixture
def windows() -> _Windows:
    told = _Windows()
    told.collect()
    return told


def test_there_is_no_window_before_one_is_complete(windows: _Windows) -> None:
    windows.run(4.9, 1e8)

    assert value(windows.collect(), AGENT_WINDOW_END) is None


def test_a_window_is_what_was_sampled_between_two_full_seconds_of_the_wall_clock(
    windows: _Windows,
) -> None:
    windows.run(_WINDOW, 1e8)
    windows.run(1.0, 9e8)
    readings = windows.collect()

    assert value(readings, AGENT_WINDOW_END) == 1_700_000_005.0
    assert value(readings, RECEIVE_WINDOW["max"]) == pytest.approx(1e8, rel=1e-6)
    assert value(readings, RECEIVE_WINDOW["std"]) == pytest.approx(0.0, abs=1.0)
    assert value(readings, RECEIVE_WINDOW["duty"]) == pytest.approx(1.0)
    assert value(readings, TRANSMIT_WINDOW["max"]) == 0.0
    assert value(readings, TRANSMIT_WINDOW["duty"]) == 0.0


def test_a_window_is_the_shared_statistics_of_the_tape(windows: _Windows) -> None:
    random = np.random.default_rng(7)
    for rate in random.uniform(0, _LINE_RATE, 300):
        windows.sample(float(rate))
    held = windows.tape.track(0).slice(0)
    expected = window_statistics(held.times, held.receive_bytes, 1000.0, 1005.0, _LINE_RATE)

    readings = windows.collect()

    assert expected is not None
    assert [value(readings, RECEIVE_WINDOW[name]) for name in RECEIVE_WINDOW] == pytest.approx(
        [expected.max, expected.top_decile, expected.std, expected.duty]
    )


def test_a_window_is_said_until_the_next_one_is_complete(windows: _Windows) -> None:
    windows.run(_WINDOW - 0.1, 1e8)
    windows.run(1.1)
    first = windows.collect()
    windows.run(3.0)
    again = windows.collect()
    windows.run(2.0)

    window = RECEIVE_WINDOW["max"]
    assert value(again, window) == value(first, window)
    assert value(windows.collect(), window) == 0.0


def test_a_window_of_which_half_was_missed_says_nothing(windows: _Windows) -> None:
    windows.run(2.0, 1e8)
    windows.clock.advance(2.9)
    windows.run(1.1, 1e8)
    readings = windows.collect()

    assert value(readings, AGENT_WINDOW_END) == 1_700_000_005.0
    assert value(readings, RECEIVE_WINDOW["max"]) is None


def test_a_counter_that_was_reset_does_not_explode(windows: _Windows) -> None:
    windows.received = 1e15
    windows.run(2.5, 1e8)
    windows.received = 0.0
    windows.run(3.5, 1e8)

    assert value(windows.collect(), RECEIVE_WINDOW["max"]) == pytest.approx(1e8, rel=1e-3)


def test_without_a_line_rate_there_is_no_share_of_it(windows: _Windows) -> None:
    windows.line_rate = None
    windows.run(_WINDOW + 1.0, 1e8)
    readings = windows.collect()

    assert value(readings, RECEIVE_WINDOW["max"]) is not None
    assert value(readings, RECEIVE_WINDOW["duty"]) is None
    assert value(readings, RAIL_RECEIVE_UTILIZATION) is None


def test_a_wall_clock_that_is_set_moves_the_windows(windows: _Windows) -> None:
    windows.run(_WINDOW + 1.0, 1e8)
    windows.collect()
    windows.clock.wall_offset -= 3600.0
    windows.run(_WINDOW, 2e8)
    readings = windows.collect()

    assert value(readings, AGENT_WINDOW_END) == 1_700_000_010.0 - 3600.0
    assert value(readings, RECEIVE_WINDOW["max"]) == pytest.approx(2e8, rel=1e-3)


def test_a_queue_is_occupied_in_the_share_of_samples_that_found_bytes(windows: _Windows) -> None:
    windows.run(4.0, backlog=0.0)
    windows.run(1.0, backlog=1500.0)
    windows.run(1.0, backlog=0.0)

    assert value(windows.collect(), RAIL_QUEUE_OCCUPIED) == pytest.approx(0.2, abs=0.005)


def test_an_unknown_queue_is_not_an_empty_one(windows: _Windows) -> None:
    windows.run(6.0)

    assert value(windows.collect(), RAIL_QUEUE_OCCUPIED) is None


def _counts(readings: list[Sample | ReadFailure]) -> tuple[tuple[int, ...], int]:
    found = value(readings, RAIL_RECEIVE_UTILIZATION)
    assert isinstance(found, Distribution)
    return found.buckets, found.count


def test_every_sample_counts_once_in_the_histogram(windows: _Windows) -> None:
    windows.run(6.0, 0.3 * _LINE_RATE)
    windows.collect()
    windows.run(2.0, 0.8 * _LINE_RATE)
    windows.collect()
    windows.run(4.0, 0.8 * _LINE_RATE)
    readings = windows.collect()

    # The first sample has none before it: it is where the first interval begins.
    assert _counts(readings) == ((0, 0, 0, 299, 299, 599), 599)
    transmit = value(readings, RAIL_TRANSMIT_UTILIZATION)
    assert isinstance(transmit, Distribution)
    assert transmit.buckets == (599,) * 6


def test_a_late_sample_is_left_out_of_the_histogram(windows: _Windows) -> None:
    windows.run(6.0)
    windows.sample(_LINE_RATE, interval=1.6 * _INTERVAL)
    windows.sample(_LINE_RATE, interval=1.4 * _INTERVAL)

    assert _counts(windows.collect()) == ((299,) * 6, 300)


def test_a_rail_that_is_not_sampled_any_more_has_no_histogram(windows: _Windows) -> None:
    windows.run(1.0)
    windows.collect()
    windows.clock.advance(2 * _WINDOW)

    assert value(windows.collect(), RAIL_RECEIVE_UTILIZATION) is None


def test_one_by_one_or_all_at_once_is_the_same_histogram() -> None:
    edges = (0.25, 0.5)
    values = np.array([0.0, 0.25, 0.3, 0.5, 0.51, 7.0])
    one, every = Histogram(edges), Histogram(edges)
    for number in values.tolist():
        one.observe(number)
    every.observe_all(values)

    assert one.distribution() == every.distribution()
    assert one.distribution().buckets == (2, 4)


def test_a_node_without_rails_has_windows_of_nothing() -> None:
    windows = _Windows()
    windows.rails = ()
    windows.collect()
    windows.clock.advance(2 * _WINDOW)

    assert value(windows.collect(), AGENT_WINDOW_END) is not None
