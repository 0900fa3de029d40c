import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from railwatch_agent.tape import Slice, Tape, Track


def _fill(track: Track, first: int, count: int) -> None:
    """Append samples whose columns tell from one another and whose time is their number."""
    for number in range(first, first + count):
        track.append(float(number), number * 10.0, number * 100.0, number * 1000.0)


def _numbers(held: Slice) -> list[float]:
    times: list[float] = held.times.tolist()
    return times


@given(capacity=st.integers(2, 12), count=st.integers(0, 40), since=st.integers(-1, 41))
def test_a_track_answers_as_a_list_of_its_newest_samples_would(
    capacity: int, count: int, since: int
) -> None:
    track = Track(capacity)
    _fill(track, 0, count)

    held = track.slice(since)

    newest = [float(number) for number in range(count)][-capacity:]
    expected = [number for number in newest if number >= since]
    assert _numbers(held) == expected
    assert held.receive_bytes.tolist() == [number * 10 for number in expected]
    assert held.transmit_bytes.tolist() == [number * 100 for number in expected]
    assert held.queue_backlog_bytes.tolist() == [number * 1000 for number in expected]


@given(
    capacity=st.integers(2, 12),
    before=st.integers(0, 40),
    meanwhile=st.integers(0, 40),
    since=st.integers(-1, 41),
)
def test_what_is_overwritten_while_it_is_copied_is_left_out(
    capacity: int, before: int, meanwhile: int, since: int
) -> None:
    """The writer laps the reader at the worst moment, after a copy that may be torn."""
    track = Track(capacity)
    _fill(track, 0, before)

    held = track.slice(since, after_copy=lambda: _fill(track, before, meanwhile))

    oldest_intact = before + meanwhile - capacity
    expected = [
        float(n) for n in range(before) if n >= max(oldest_intact, since, before - capacity)
    ]
    assert _numbers(held) == expected
    assert held.receive_bytes.tolist() == [number * 10 for number in expected]


@given(count=st.integers(1, 40))
def test_the_latest_sample_is_the_last_one_written(count: int) -> None:
    track = Track(4)
    _fill(track, 0, count)

    last = count - 1
    assert track.latest() == (last, last * 10, last * 100, last * 1000)


def test_an_empty_track_has_no_samples() -> None:
    track = Track(4)

    assert track.latest() is None
    assert len(track.slice(-np.inf)) == 0


def test_a_slice_is_a_copy() -> None:
    track = Track(4)
    _fill(track, 0, 2)
    held = track.slice(0)
    _fill(track, 2, 8)

    assert _numbers(held) == [0, 1]


def test_a_gap_is_a_sample_without_values() -> None:
    track = Track(4)
    track.append(1.0, 10, 20, 30)
    track.append_gap(2.0)

    held = track.slice(0)

    assert _numbers(held) == [1, 2]
    assert np.isnan(held.receive_bytes).tolist() == [False, True]
    assert np.isnan(held.transmit_bytes).tolist() == [False, True]


def test_counters_keep_every_byte_up_to_two_to_the_53() -> None:
    track = Track(4)
    track.append(1.0, 2**53 - 1, 2**53 - 3, 0)

    latest = track.latest()

    assert latest is not None
    assert (int(latest[1]), int(latest[2])) == (2**53 - 1, 2**53 - 3)


def test_each_rail_has_one_track() -> None:
    tape = Tape(4)

    assert tape.track(0) is tape.track(0)
    assert tape.track(0) is not tape.track(1)


def test_a_tape_for_fewer_than_two_samples_is_refused() -> None:
    with pytest.raises(ValueError, match="at least 2, got 1"):
        Tape(1)
