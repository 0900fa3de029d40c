# SPDX-License-Identifier: Apache-2.0
"""Reports of one window are gathered until all links have spoken, and judged together once."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from analyzer.fleet import START, WINDOW, Fleet
from railwatch_analyzer.features import NAMES, SOURCES
from railwatch_analyzer.frame import COLUMNS, POSITION, WINDOW_COLUMNS, Frame, Link
from railwatch_analyzer.history import Collecting, Window, collect, nothing_collected

if TYPE_CHECKING:
    from collections.abc import Iterable

_BURST = NAMES.index("transmit_window_top_decile_bytes_per_second")
_RETRANSMITS = SOURCES.index("faults_total_retransmit")
_SENT = POSITION["transmit_bytes_total"]
_CALM = 400.0


def _fold(
    frames: Iterable[Frame], collecting: Collecting | None = None
) -> tuple[Collecting, list[Window]]:
    windows: list[Window] = []
    for frame in frames:
        collecting = nothing_collected(len(frame.links)) if collecting is None else collecting
        collecting, more = collect(collecting, frame)
        windows += more
    assert collecting is not None
    return collecting, windows


def _known(window: Window) -> list[bool]:
    return [bool(known) for known in np.isfinite(window.values[:, _BURST])]


def _older(new: Frame, old: Frame, *rows: int) -> Frame:
    """*new*, except that the agents of *rows* still show what they showed in *old*."""
    values, ends, sampled = new.values.copy(), new.window_end.copy(), new.sampled_at.copy()
    for row in rows:
        values[row], ends[row] = old.values[row], old.window_end[row]
        sampled[row] = old.sampled_at[row]
    return replace(new, values=values, window_end=ends, sampled_at=sampled)


def _begun(fleet: Fleet) -> Collecting:
    """A fleet of which everybody took part in the last window."""
    collecting, windows = _fold(fleet.windows(3))
    assert [w.end for w in windows] == [START + n * WINDOW for n in (1, 2, 3)]
    return collecting


def test_a_window_is_judged_in_the_round_in_which_the_last_link_reports_it() -> None:
    fleet = Fleet()
    collecting = _begun(fleet)

    _, windows = collect(collecting, fleet.window())

    assert [w.end for w in windows] == [START + 4 * WINDOW]
    assert _known(windows[0]) == [True] * 8


def test_links_that_report_a_cycle_later_are_judged_over_the_same_window() -> None:
    """The source met three agents a moment before their window ended."""
    fleet = Fleet()
    collecting = _begun(fleet)
    old = fleet.frame()
    new = fleet.window()

    collecting, early = collect(collecting, _older(new, old, 1, 4, 6))
    collecting, late = collect(collecting, replace(new, time=new.time + 1))

    assert early == []
    assert [w.end for w in late] == [START + 4 * WINDOW]
    assert late[0].values[:, _BURST].tolist() == new.values[:, POSITION[SOURCES[_BURST]]].tolist()


def test_a_link_that_stays_silent_is_waited_for_only_half_a_window() -> None:
    fleet = Fleet()
    collecting = _begun(fleet)
    old = fleet.frame()
    new = _older(fleet.window(), old, 3)
    end = START + 4 * WINDOW

    collecting, first = collect(collecting, replace(new, time=end + 0.49 * WINDOW))
    collecting, then = collect(collecting, replace(new, time=end + 0.5 * WINDOW))
    silent = (_older(fleet.window(), old, 3), _older(fleet.window(), old, 3))
    _, next_two = _fold(silent, collecting)

    assert first == []
    assert [(w.end, _known(w)) for w in then] == [(end, [row != 3 for row in range(8)])]
    assert len(next_two) == 2, "a link that took no part is not waited for again"


def test_a_newer_window_ends_the_wait_for_the_older() -> None:
    fleet = Fleet()
    collecting = _begun(fleet)
    old = fleet.frame()
    partial = _older(fleet.window(), old, 3)
    newest = _older(fleet.window(), old, 3)

    _, windows = _fold([partial, newest], collecting)

    assert [w.end for w in windows] == [START + n * WINDOW for n in (4, 5)]
    assert _known(windows[0])[3] is False


def test_links_that_are_always_a_cycle_later_are_not_left_behind_for_ever() -> None:
    """The first window was judged without them, and their scrapes stay behind the others'."""
    fleet = Fleet()
    late = range(4, 8)
    frames: list[Frame] = []
    for number in range(6):
        old, new = fleet.frame(), fleet.window()
        behind = _older(new, old, *late)
        if number == 0:
            behind.values[4:] = np.nan
        # Reports take longer to get here than the patience after a window's end.
        seen_at = new.time + WINDOW
        frames += [replace(behind, time=seen_at), replace(new, time=seen_at + 1.0)]
        if number == 0:
            frames.insert(1, replace(behind, time=seen_at + 0.5))

    _, windows = _fold(frames)

    assert _known(windows[0]) == [True] * 4 + [False] * 4
    assert _known(windows[-1]) == [True] * 8


@pytest.mark.parametrize("seconds", [4.99, 5.01, 5.2])
def test_scrapes_about_as_often_as_windows_miss_none(seconds: float) -> None:
    """The spacing that a source measures is never quite the configured one."""
    fleet = Fleet()
    frames = [replace(f, interval_seconds=seconds) for f in fleet.windows(6)]

    _, windows = _fold(frames)

    assert [w.end for w in windows] == [START + n * WINDOW for n in range(1, 7)]


def test_a_window_that_is_seen_again_is_not_new() -> None:
    fleet = Fleet()
    collecting = _begun(fleet)

    collecting, windows = _fold([fleet.frame(), fleet.frame()], collecting)

    assert windows == []
    assert not collecting.fresh.any()


def test_a_report_that_comes_after_its_window_was_judged_is_passed_over() -> None:
    """It does not open that window again."""
    fleet = Fleet()
    collecting = _begun(fleet)
    old = fleet.frame()
    new = fleet.window()
    early = _older(new, old, 3)
    partial = replace(early, time=new.time + WINDOW / 2)

    _, windows = _fold([early, partial, new, fleet.window()], collecting)

    assert [w.end for w in windows] == [START + n * WINDOW for n in (4, 5)]
    assert _known(windows[0])[3] is False
    assert _known(windows[1])[3] is True


@pytest.mark.parametrize("skew", [-60.0, -WINDOW, WINDOW, 3600.0])
def test_one_wrong_clock_blinds_nobody(skew: float) -> None:
    """The windows of a skewed agent end at other times than those of the fleet, for ever."""
    fleet = Fleet()
    frames = []
    old = _skewed(fleet.window(), skew)
    for late in ([], [0], [], range(1, 8)) * 5:
        new = _skewed(fleet.window(), skew)
        frames += [_older(new, old, *late), replace(new, time=new.time + 1)]
        old = new

    _, windows = _fold(frames)

    assert (np.diff([w.end for w in windows]) > 0).all()
    judged = sum(_known(w)[1:] == [True] * 7 for w in windows)
    assert judged >= 19


def _skewed(frame: Frame, skew: float) -> Frame:
    return replace(frame, window_end=frame.window_end + np.array([skew] + 7 * [0.0]))


def test_links_that_are_scraped_coarsely_and_in_turn_are_judged_together() -> None:
    """Every 15 s each, of windows of 5 s: their ends differ by up to 10 s, and all count."""
    fleet = Fleet(nodes=6)
    old = fleet.window()
    frames = []
    for number in range(3, 24):
        shown = fleet.window()
        shown = _older(shown, old, *(row for row in range(6) if row % 3 != number % 3))
        frames.append(replace(shown, interval_seconds=15.0))
        old = shown

    _, windows = _fold(frames)

    assert [_known(w) for w in windows[1:]] == [[True] * 6] * 6
    assert np.diff([w.end for w in windows]).tolist() == [15.0] * 6


@pytest.mark.parametrize("interval", [0.5, 5.0, 6.0, 7.5, 12.0, 15.0, 20.0])
def test_whatever_the_scrape_interval_the_time_of_the_fleet_does_not_run_ahead(
    interval: float,
) -> None:
    """It would keep what fell silent long ago fresh, and wait for it without an end."""
    fleet = Fleet(nodes=4)
    frames = []
    for number in range(200):
        now = START + number * interval
        end = np.full(4, now // WINDOW * WINDOW)
        frames.append(replace(fleet.window(), time=now, window_end=end, interval_seconds=interval))

    _, windows = _fold(frames)

    elapsed = frames[-1].time - START
    epoch = np.ceil(max(interval / WINDOW, 1.0)) * WINDOW
    assert abs(windows[-1].end - frames[-1].time) <= epoch
    assert len(windows) == pytest.approx(elapsed / epoch, abs=2)


@pytest.mark.parametrize(("before", "after"), [(15.0, 5.0), (5.0, 15.0)])
def test_a_pace_that_was_not_known_at_first_costs_no_more_than_an_epoch(
    before: float, after: float
) -> None:
    fleet = Fleet(nodes=4)
    collecting, _ = _fold(replace(f, interval_seconds=before) for f in fleet.windows(3))

    frames = [replace(f, interval_seconds=after) for f in fleet.windows(9)]
    _, windows = _fold(frames, collecting)

    assert len(windows) >= 9 * WINDOW / after - 1
    assert _known(windows[-1]) == [True] * 4


def test_event_rates_divide_by_the_time_between_the_readings() -> None:
    fleet = Fleet(nodes=4)
    collecting = _begun(fleet)
    frame = fleet.window({fleet.links[0]: {"faults_total_retransmit": 80.0}})
    late = replace(frame, sampled_at=frame.sampled_at + np.array([3.0, 0.0, 0.0, 0.0]))

    _, windows = collect(collecting, late)

    assert windows[0].values[0, _RETRANSMITS] == pytest.approx(80.0 / (WINDOW + 3.0))
    assert windows[0].values[1, _RETRANSMITS] == 0.0
    assert windows[0].bytes_rate[1, 0] == pytest.approx(20e9)


def test_events_of_a_missed_window_are_spread_over_the_whole_gap() -> None:
    fleet = Fleet(nodes=4)
    collecting = _begun(fleet)
    old = fleet.frame()
    frames = [
        _older(fleet.window(), old, 0),
        fleet.window({fleet.links[0]: {"faults_total_retransmit": 80.0}}),
    ]

    _, windows = _fold(frames, collecting)

    assert windows[-1].values[0, _RETRANSMITS] == pytest.approx(80.0 / (2 * WINDOW))


def test_events_of_a_counter_that_was_unreadable_for_a_window_are_not_counted_double() -> None:
    """The link reported, this one counter did not: nobody knows over how long it has grown."""
    fleet = Fleet(nodes=4)
    collecting = _begun(fleet)
    blind = fleet.window()
    blind.values[0, POSITION["faults_total_retransmit"]] = np.nan
    frame = fleet.window({fleet.links[0]: {"faults_total_retransmit": 80.0}})

    _, windows = _fold([blind, frame], collecting)

    found = windows[-1].values[0, _RETRANSMITS]
    assert np.isnan(found) or found == pytest.approx(80.0 / (2 * WINDOW))


def test_after_a_reset_the_events_are_unknown_and_then_known_again() -> None:
    fleet = Fleet(nodes=4)
    fleet.values[:, POSITION["faults_total_retransmit"]] = 1e15
    collecting = _begun(fleet)
    fleet.values[0, [POSITION["faults_total_retransmit"], _SENT]] = 0.0

    _, windows = _fold(fleet.windows(2), collecting)

    assert windows[0].values[:, _RETRANSMITS] == pytest.approx([np.nan, 0, 0, 0], nan_ok=True)
    assert np.isnan(windows[0].bytes_rate[0, 0])
    assert windows[0].bytes_rate[0, 1] == pytest.approx(20e9), "the other counter was not reset"
    assert (windows[1].values[:, _RETRANSMITS] == 0.0).all()


# Of each link, in each round: how many windows it is behind, or None if it was not reached.
_LAGS = st.lists(
    st.lists(st.one_of(st.integers(0, 3), st.none()), min_size=3, max_size=3),
    min_size=1,
    max_size=30,
)


@settings(deadline=None)
@given(
    lags=_LAGS,
    steps=st.lists(st.sampled_from([0.4, 1.0, 2.5, 5.0, 12.0]), min_size=30, max_size=30),
    interval=st.sampled_from([1.0, 5.0, 15.0]),
    window=st.sampled_from([5.0, 10.0]),
)
def test_no_window_is_judged_twice_whatever_the_agents_do(
    lags: list[list[int | None]], steps: list[float], interval: float, window: float
) -> None:
    """Agents lag, fall silent, come back late; ends go up and no report is used twice."""
    frames = list(_wild_frames(lags, steps, interval, window))

    _, windows = _fold(frames)

    ends = [w.end for w in windows]
    assert ends == sorted(set(ends))
    reports = np.array([w.values[:, _BURST] for w in windows]).reshape(-1, 3)
    for row in range(3):
        used = reports[np.isfinite(reports[:, row]), row].tolist()
        assert used == sorted(set(used))


def _wild_frames(
    lags: list[list[int | None]], steps: list[float], interval: float, window: float
) -> Iterable[Frame]:
    """Frames whose burst rate is the number of the agent's window, so that each is told apart."""
    links = tuple(Link(node, "0", "d") for node in "abc")
    shown = [0, 0, 0]
    now = START
    for lag, step in zip(lags, steps, strict=False):
        now += step
        current = int(now // window)
        # An agent does not go back to an earlier window.
        shown = [
            s if behind is None else max(s, current - behind)
            for s, behind in zip(shown, lag, strict=True)
        ]
        values = np.full((3, len(COLUMNS)), np.nan)
        for row, behind in enumerate(lag):
            if behind is not None:
                for name in WINDOW_COLUMNS:
                    values[row, POSITION[name]] = shown[row]
        yield Frame(
            time=now,
            links=links,
            values=values,
            sampled_at=np.full(3, now),
            window_end=np.where(
                [b is None for b in lag], np.nan, np.array(shown, dtype=float) * window
            ),
            window_seconds=window,
            interval_seconds=interval,
            job_id=("",) * 3,
            switch=("",) * 3,
        )
