# SPDX-License-Identifier: Apache-2.0
"""A step is closed when all have told of it; who is late, gone or new costs little."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from railwatch_analyzer.jobs.gathering import Gathering, hear_counters, hear_record
from railwatch_analyzer.jobs.stretch import Member, Stretch
from railwatch_analyzer.step_frame import StepRecord

if TYPE_CHECKING:
    from collections.abc import Iterable

# A loaded machine is slow, and no example is wrong for it.
_PATIENT = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
NOTHING = float("nan")


def _record(rank: int, step: int, start: float | None = None) -> StepRecord:
    begin = float(step) if start is None else start
    return StepRecord(f"n{rank}", rank, "7", step, begin, begin + 1.0, NOTHING, NOTHING, NOTHING)


def _closed(told: Iterable[StepRecord], gathering: Gathering | None = None) -> list[set[int]]:
    gathering, found = gathering or Gathering(), []
    for record in told:
        gathering, steps = hear_record(gathering, record)
        found += [{member.rank for member in step} for step in steps]
    return found


def _steps(count: int, ranks: Iterable[int] = range(3), first: int = 0) -> list[StepRecord]:
    return [_record(rank, step) for step in range(first, first + count) for rank in ranks]


def test_after_the_first_a_step_is_closed_by_the_last_who_tells_of_it() -> None:
    assert _closed(_steps(4)) == [{0, 1, 2}] * 4


def test_a_rank_that_is_gone_holds_up_two_steps_and_no_more() -> None:
    told = _steps(5) + _steps(5, ranks=(0, 1), first=5)

    found = _closed(told)

    assert found == [{0, 1, 2}] * 5 + [{0, 1}] * 5


def test_a_rank_that_joins_late_is_waited_for_from_then_on() -> None:
    told = _steps(5, ranks=(0, 1)) + _steps(5, first=5)

    found = _closed(told)

    assert found[:5] == [{0, 1}] * 5
    assert found[-3:] == [{0, 1, 2}] * 3


def test_steps_told_again_after_a_restart_are_new_steps() -> None:
    again = [_record(rank, step, 100.0 + step) for step in range(6) for rank in range(3)]

    assert _closed(_steps(10) + again) == [{0, 1, 2}] * 16


def test_a_step_told_twice_counts_once() -> None:
    told = [record for record in _steps(6) for _ in range(2)]

    assert _closed(told) == [{0, 1, 2}] * 6


def test_step_numbers_may_have_gaps() -> None:
    told = [_record(rank, step) for step in (23, 25, 33, 34, 259) for rank in range(3)]

    assert _closed(told) == [{0, 1, 2}] * 5


@_PATIENT
@given(st.data())
def test_the_order_within_a_step_changes_nothing(data: st.DataObject) -> None:
    told: list[StepRecord] = []
    for step in range(6):
        told += data.draw(st.permutations([_record(rank, step) for rank in range(4)]))

    assert _closed(told) == [{0, 1, 2, 3}] * 6


@_PATIENT
@given(st.data())
def test_no_step_is_closed_twice_or_out_of_order(data: st.DataObject) -> None:
    """Whatever is lost and however it is shuffled within a second."""
    told = [r for r in _steps(8) if data.draw(st.booleans())]
    gathering, numbers = Gathering(), []
    for record in told:
        before = gathering.closed
        gathering, steps = hear_record(gathering, record)
        if steps:
            assert gathering.closed is not None
            assert before is None or gathering.closed > before
            numbers.append(gathering.closed)

    assert numbers == sorted(set(numbers))


def _heard(*names: str, seconds: float = 1.0) -> dict[Member, Stretch]:
    return {Member(name): Stretch(steps=5.0, seconds=seconds) for name in names}


def test_counters_are_gathered_until_every_node_has_counted() -> None:
    gathering = Gathering(expected=frozenset(_heard("a", "b")))

    gathering, none = hear_counters(gathering, _heard("a"), 100.0)
    gathering, steps = hear_counters(gathering, _heard("a", "b"), 105.0)

    assert none == []
    assert {m.node: s.steps for m, s in steps[0].items()} == {"a": 10.0, "b": 5.0}


def test_the_first_step_is_closed_when_all_nodes_of_the_job_have_told_of_it() -> None:
    """Else nothing would be said of a job in its first twelve seconds."""
    members = frozenset(_heard("a", "b"))

    gathering, none = hear_counters(Gathering(), _heard("a"), 100.0, members)
    _, first = hear_counters(gathering, _heard("b"), 101.0, members)

    assert none == []
    assert [set(told) for told in first] == [members]


def test_a_silent_node_is_not_waited_for_for_ever() -> None:
    gathering = Gathering(expected=frozenset(_heard("a", "b")))

    gathering, first = hear_counters(gathering, _heard("a"), 100.0)
    gathering, second = hear_counters(gathering, _heard("a"), 113.0)
    gathering, third = hear_counters(gathering, _heard("a"), 118.0)

    assert (len(first), len(second), len(third)) == (0, 1, 1)
