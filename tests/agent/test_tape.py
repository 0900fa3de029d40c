import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from railwatch_agent.tape import Slice, Tape, Track


def _fill(track: Track, first: int, count: int) -> None:
    """Append samples whose columns tell from one another and whose time is their number."""
    for number in range(first, first + count):
        track.append(float(number), number * 10.0, number * 100.0)


def _numbers(held: Slice) -> list[float]:
    times: list[float] = held.times.tolist()
    return times


@given(
    capacity=st.integers(2, 12),
    counts=st.lists(st.integers(0, 20), max_size=4),
    since=st.integers(-1, 41),
)
def test_a_track_answers_as_a_list_of_its_newest_samples_would(
    capacity: int, counts: list[int], since: int
) -> None:
    """Whether they were read in between or not."""
    track = Tape(capacity).track(0)
    written = 0
    for count in counts:
        _fill(track, written, count)
        written += count
        track.newest()

    held = track.slice(since)

    newest = [float(number) for number in range(written)][-capacity:]
    expected = [number for number in newest if number >= since]
    assert _numbers(held) == expected
    assert held.receive_bytes.tolist() == [number * 10 for number in expected]
    assert held.transmit_bytes.tolist() == [number * 100 for number in expected]


@given(
    rows=st.lists(st.sampled_from([(0,), (0, 1), (1, 0), (2,), (0, 1, 2)]), max_size=30),
    capacity=st.integers(2, 40),
)
def test_rows_of_any_rails_are_sorted_by_rail(rows: list[tuple[int, ...]], capacity: int) -> None:
    tape = Tape(capacity)
    for time, rails in enumerate(rows):
        tape.bytes.append(
            (time, rails, [float(1000 * rail + time) for rail in rails for _ in "ab"])
        )

    kept = list(enumerate(rows))[-capacity:]
    for rail in (0, 1, 2):
        held = tape.track(rail).slice(-1.0)
        expected = [time for time, rails in kept if rail in rails]
        assert _numbers(held) == expected
        assert held.receive_bytes.tolist() == [1000 * rail + time for time in expected]
        assert held.transmit_bytes.tolist() == held.receive_bytes.tolist()


@given(count=st.integers(1, 40))
def test_the_newest_sample_is_the_last_one_written(count: int) -> None:
    track = Tape(4).track(0)
    _fill(track, 0, count)

    last = count - 1
    assert track.newest() == [last, last * 10, last * 100]


def test_an_empty_track_has_no_samples() -> None:
    track = Tape(4).track(0)

    assert track.newest() is None
    assert len(track.slice(-np.inf)) == 0


def test_a_slice_is_a_copy() -> None:
    track = Tape(4).track(0)
    _fill(track, 0, 2)
    held = track.slice(0)
    _fill(track, 2, 8)
    track.newest()

    assert _numbers(held) == [0, 1]


def test_a_gap_is_a_sample_without_values() -> None:
    track = Tape(4).track(0)
    track.append(1.0, 10, 20)
    track.append_gap(2.0)

    held = track.slice(0)

    assert _numbers(held) == [1, 2]
    assert np.isnan(held.receive_bytes).tolist() == [False, True]
    assert np.isnan(held.transmit_bytes).tolist() == [False, True]


def test_counters_keep_every_byte_up_to_two_to_the_53() -> None:
    track = Tape(4).track(0)
    track.append(1.0, 2**53 - 1, 2**53 - 3)

    newest = track.newest()

    assert newest is not None
    assert (int(newest[1]), int(newest[2])) == (2**53 - 1, 2**53 - 3)


def test_queues_are_apart_from_bytes() -> None:
    tape = Tape(4)
    tape.bytes.append((1.0, (0,), [5, 6]))
    tape.queues.append((2.0, (0, 1), [7, 8]))

    assert tape.queues.since(0, 0.0).tolist() == [[2], [7]]
    assert tape.queues.since(1, 0.0).tolist() == [[2], [8]]
    assert tape.queues.since(2, 0.0).shape == (2, 0)
    assert tape.track(0).newest() == [1, 5, 6]


def test_samples_are_counted_and_gaps_are_not() -> None:
    tape = Tape(100)
    _fill(tape.track(0), 0, 10)
    tape.track(0).append_gap(11.0)
    _fill(tape.track(0), 12, 2)

    assert (tape.bytes.count(0), tape.bytes.count(1)) == (12, 0)


def test_a_tape_that_nobody_reads_does_not_grow() -> None:
    tape = Tape(4)
    _fill(tape.track(0), 0, 100)

    assert len(tape.bytes._pending) == 4


def test_a_tape_for_fewer_than_two_samples_is_refused() -> None:
    with pytest.raises(ValueError, match="at least 2, got 1"):
        Tape(1)
