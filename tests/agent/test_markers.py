"""Step markers from bytes to accounts: what counts, and what hostile senders achieve."""

import doctest
import math
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.job_node import ALICE, BOB
from agent.marked_jobs import MarkedJobs
from railwatch.catalogue.node import MarkerOutcome
from railwatch.catalogue.step import (
    STEP_COMMUNICATION,
    STEP_COMPUTE,
    STEP_EXPOSED,
    STEP_IDLE,
    STEP_PERIOD,
    STEP_SECONDS,
    STEP_SOURCE_INFO,
    STEP_STALLED,
    STEP_TRANSMIT_BYTES,
)
from railwatch_agent.jobs.job import MOST_JOBS
from railwatch_agent.markers import marker as marker_module
from railwatch_agent.markers.budget import Budget
from railwatch_agent.markers.desk import FORGET_SECONDS
from railwatch_agent.markers.gathering import Gathering
from railwatch_agent.markers.marker import Marker, parse_marker
from railwatch_agent.sources.marker_socket import Datagram

_SCOPE = "/system.slice/slurmstepd.scope"
_SECONDS = st.floats(min_value=0.0, max_value=60.0)


@pytest.fixture
def jobs(tmp_path: Path) -> MarkedJobs:
    """A node that is one job's, as configuration says."""
    jobs = MarkedJobs(tmp_path, id="a")
    jobs.node.readings()
    return jobs


def test_examples_of_the_parser_hold() -> None:
    assert doctest.testmod(marker_module).failed == 0


@given(data=st.binary(max_size=1200))
def test_any_bytes_are_a_marker_or_a_value_error(data: bytes) -> None:
    for sent in (
        data,
        b"rank=0 step=1 start=1 end=2 " + data,
        b"rank=0 step=1 start=1 end=" + data,
    ):
        try:
            marker = parse_marker(sent)
        except ValueError:
            continue
        assert 0.0 < marker.seconds <= 3600.0
        assert math.isfinite(marker.start + marker.end)


@pytest.mark.parametrize(
    "text",
    [
        "",
        " ",
        "rank=0 step=1 start=999",
        "rank=0 step=1 start=999.5 end=999",
        "rank=0 step=1 start=999 end=999",
        "rank=0 step=1 start=nan end=999",
        "rank=0 step=1 start=1 end=inf",
        "rank=-1 step=1 start=998 end=999",
        "rank=0 step=-1 start=998 end=999",
        "rank=0 step=1.5 start=998 end=999",
        "rank=0 step=1 start=-1 end=999",
        "rank=0 step=1 start=998 end=2000",
        f"rank=0 step={'9' * 400} start=998 end=999",
        "rank=0 step=1 start=998 end=999 compute=-0.1",
        "rank=0 step=1 start=998 end=999 exposed=nan",
        "rank=0 step=1 start=998 end=999 job_id=" + "x" * 200,
        "rank=0 step=1 start=998 end=999 job_id=a\x1bb",
        "rank=0 step=1 start=998 end=999 " + "x=1 " * 400,
        b"rank=0 step=1 start=998 end=999 x=\xff",
    ],
)
def test_what_cannot_be_is_malformed_and_counts_nowhere_else(
    jobs: MarkedJobs, text: str | bytes
) -> None:
    jobs.send(text)

    assert jobs.outcomes() == (0, 1, 0)
    assert len(jobs.samples()) == len(MarkerOutcome)


def test_a_datagram_that_was_cut_is_malformed(jobs: MarkedJobs) -> None:
    cut = Datagram(b"rank=0 step=1 start=998 end=999", 11, ALICE, is_truncated=True)
    jobs.desk.take(cut, jobs.now)

    assert jobs.outcomes() == (0, 1, 0)


def test_a_step_lasts_from_its_first_rank_to_its_last() -> None:
    gathering = Gathering()
    steps = []
    for number in range(4):
        at = 10.0 * number
        steps += gathering.add(Marker(0, number, at, at + 8.0, compute=4.0)) or []
        steps += gathering.add(Marker(5, number, at + 1.0, at + 9.5, compute=6.0)) or []
        steps += gathering.add(Marker(3, number, at + 0.5, at + 8.5)) or []

    assert [(step.start, step.end, step.compute) for step in steps] == [
        (10.0 * number, 10.0 * number + 9.5, 5.0) for number in range(4)
    ]


def test_a_rank_that_is_late_again_and_again_is_waited_for() -> None:
    """It has come to a job that had begun without it."""
    gathering = Gathering()
    alone = [gathering.add(Marker(0, number, number, number + 1.0)) for number in range(3)]
    late = [gathering.add(Marker(1, number, number, number + 1.5)) for number in (2, 3)]
    both = gathering.add(Marker(0, 3, 3.0, 4.0))

    assert [len(steps or []) for steps in alone] == [0, 0, 3]
    assert late == [None, []]
    assert [(step.start, step.end) for step in both or []] == [(3.0, 4.5)]


def test_a_rank_that_has_left_holds_up_two_steps_and_no_more() -> None:
    gathering = Gathering()
    for number in range(3):
        gathering.add(Marker(0, number, number, number + 1.0))
        gathering.add(Marker(1, number, number, number + 1.0))
    closed = [len(gathering.add(Marker(0, n, n, n + 1.0)) or []) for n in range(3, 8)]

    assert closed == [0, 0, 3, 1, 1]


@given(
    markers=st.lists(
        st.tuples(st.integers(0, 3), st.integers(0, 6), _SECONDS, _SECONDS, _SECONDS), max_size=40
    )
)
def test_no_second_counts_twice_whatever_is_sent(
    markers: list[tuple[int, int, float, float, float]],
) -> None:
    gathering = Gathering()
    steps = []
    for rank, number, start, seconds, compute in markers:
        if seconds > 0.0 and start + seconds > start:
            steps += gathering.add(Marker(rank, number, start, start + seconds, compute)) or []
    steps += gathering.flush()

    assert all(step.start < step.end for step in steps)
    assert all(one.end <= two.start for one, two in pairwise(steps))


def test_totals_are_what_the_ranks_say_and_what_the_rails_sent(jobs: MarkedJobs) -> None:
    """Four rails send 1000 bytes a second each; the last step counts once nothing follows."""
    jobs.steps(range(10), "compute=0.5 exposed=0.3")
    jobs.pass_time(11.0)

    assert (jobs.count(), jobs.total(STEP_SECONDS)) == (10, pytest.approx(10.0))
    assert jobs.total(STEP_COMPUTE) == pytest.approx(5.0)
    assert jobs.total(STEP_EXPOSED) == pytest.approx(3.0)
    assert jobs.total(STEP_STALLED) == pytest.approx(2.0)
    assert jobs.total(STEP_TRANSMIT_BYTES) == pytest.approx(40_000.0, rel=1e-3)
    assert jobs.total(STEP_PERIOD) == pytest.approx(1.0)
    assert jobs.outcomes() == (10, 0, 0)


def test_parts_that_come_to_more_than_the_step_are_cut(jobs: MarkedJobs) -> None:
    """Compute, exposed, stalled and idle add up to the steps, whatever somebody says."""
    jobs.steps(range(10), "compute=0.9 exposed=0.4 communication=7")
    jobs.pass_time(11.0)

    assert jobs.total(STEP_COMPUTE) == pytest.approx(9.0)
    assert jobs.total(STEP_EXPOSED) == pytest.approx(1.0)
    assert jobs.total(STEP_STALLED) == pytest.approx(0.0)
    assert jobs.total(STEP_COMMUNICATION) == pytest.approx(10.0)


def test_what_nobody_says_has_no_series(jobs: MarkedJobs) -> None:
    jobs.steps(range(10))
    specs = {sample.spec for sample in jobs.samples()}

    assert {STEP_SECONDS, STEP_TRANSMIT_BYTES, STEP_PERIOD} <= specs
    assert not {STEP_COMPUTE, STEP_EXPOSED, STEP_STALLED, STEP_IDLE, STEP_SOURCE_INFO} & specs


def test_a_short_gap_is_idle_and_a_long_one_is_a_pause(jobs: MarkedJobs) -> None:
    for number in range(6):
        jobs.pass_time(1.25)
        jobs.step(number)
    jobs.pass_time(30.0)
    for number in range(6, 9):
        jobs.pass_time(1.25)
        jobs.step(number)
    jobs.pass_time(11.0)

    # The last step before the pause and the last of all have no gap that is theirs.
    assert (jobs.count(), jobs.total(STEP_IDLE)) == (9, pytest.approx(7 * 0.25))
    assert jobs.total(STEP_SECONDS) == pytest.approx(9 + 7 * 0.25)
    assert jobs.total(STEP_PERIOD) == pytest.approx(1.25)


def test_steps_that_come_twice_late_or_out_of_order_count_once(jobs: MarkedJobs) -> None:
    for number, at in ((0, 1.0), (2, 3.0), (1, 2.0), (1, 2.0), (3, 4.0), (0, 1.0), (4, 5.0)):
        jobs.send(f"rank=0 step={number} start={990 + at} end={991 + at}")
    jobs.pass_time(20.0)

    assert (jobs.count(), jobs.total(STEP_SECONDS)) == (5, pytest.approx(5.0))
    assert jobs.outcomes() == (5, 0, 2)


def test_a_job_that_begins_anew_goes_on_counting(jobs: MarkedJobs) -> None:
    jobs.steps(range(5))
    jobs.pass_time(20.0)
    jobs.steps([*range(5), *range(2, 6)])
    jobs.pass_time(11.0)

    assert (jobs.count(), jobs.total(STEP_SECONDS)) == (14, pytest.approx(14.0))


def test_markers_of_long_ago_are_dropped(jobs: MarkedJobs) -> None:
    jobs.send("rank=0 step=0 start=1 end=2")

    assert jobs.outcomes() == (0, 0, 1)


def test_series_go_ten_minutes_after_the_last_step(jobs: MarkedJobs) -> None:
    jobs.steps(range(4))
    counts = []
    for _ in range(2):
        jobs.pass_time(FORGET_SECONDS - 1.0)
        counts.append((jobs.count(), jobs.total(STEP_PERIOD)))

    assert counts == [(4, None), (0, None)]


def test_a_sender_cannot_write_into_the_series_of_another_job(tmp_path: Path) -> None:
    jobs = MarkedJobs(tmp_path)
    jobs.node.write_map("42", f"job_id=42\nuid={ALICE}\ngpus=0,1\n")
    jobs.node.write_map("43", f"job_id=43\nuid={BOB}\ngpus=2\n")
    jobs.node.run(11, f"{_SCOPE}/job_42/step_0")
    jobs.node.run(12, f"{_SCOPE}/job_43/step_0", uid=BOB, environ={"SLURM_JOB_ID": "42"})
    jobs.node.run(13, uid=BOB + 1, environ={"SLURM_JOB_ID": "42"})
    jobs.node.readings()
    for number in range(5):
        jobs.pass_time(1.0)
        jobs.step(number)
        jobs.step(number, 0.5, "job_id=42", pid=12, uid=BOB)
        jobs.step(number, 0.5, "job_id=42", pid=13, uid=BOB + 1)
        jobs.step(number, 0.5, "job_id=42", pid=99, uid=BOB + 2)
    jobs.node.readings()
    jobs.pass_time(11.0)

    assert (jobs.count("42"), jobs.total(STEP_SECONDS, "42")) == (5, pytest.approx(5.0))
    assert jobs.total(STEP_TRANSMIT_BYTES, "42") == pytest.approx(10_000.0, rel=1e-3)
    assert jobs.total(STEP_SECONDS, "43") == pytest.approx(4.5)
    assert jobs.outcomes() == (10, 0, 10)


def test_a_name_that_is_only_a_word_is_its_users_and_gives_way(tmp_path: Path) -> None:
    jobs = MarkedJobs(tmp_path)
    jobs.steps(range(4), "job_id=mine", pid=0, uid=ALICE)
    jobs.step(5, 0.5, "job_id=mine", pid=0, uid=BOB)
    counted = jobs.count("mine"), jobs.total(STEP_TRANSMIT_BYTES, "mine"), jobs.outcomes()
    jobs.node.write_map("mine", f"job_id=mine\nuid={BOB}\n")
    jobs.node.readings()
    jobs.steps(range(10, 24), pid=0, uid=BOB)
    jobs.pass_time(11.0)

    assert counted[0] == 3
    assert counted[1] == pytest.approx(12_000.0, rel=1e-3)
    assert counted[2] == (4, 0, 1)
    assert jobs.total(STEP_SECONDS, "mine") == pytest.approx(14.0)


def test_a_million_jobs_are_a_few(tmp_path: Path) -> None:
    """Neither words nor control groups of jobs that come and go fill the memory."""
    jobs = MarkedJobs(tmp_path)
    for number in range(1000):
        jobs.step(1, more=f"job_id=j{number}", pid=0, uid=BOB)
    for number in range(MOST_JOBS + 5):
        jobs.node.run(100 + number, f"{_SCOPE}/job_{number}/step_0")
        jobs.step(1, pid=100 + number)

    assert jobs.outcomes() == (4 + MOST_JOBS, 0, 996 + 5)


def test_a_sender_that_is_not_known_costs_more_and_one_that_is_does_not(jobs: MarkedJobs) -> None:
    costs = [jobs.send("rank=0 step=0 start=998 end=999", pid=pid) for pid in (11, 11, 12)]

    assert costs[0] == costs[2] > costs[1] == 1


def test_bytes_of_a_step_that_nobody_measured_are_not_made_up(jobs: MarkedJobs) -> None:
    """A counter of rail 1 was reset within the third step."""
    jobs.steps(range(2))
    jobs.pass_time(0.5)
    jobs.tape.track(1).append_gap(jobs.now)
    jobs.pass_time(0.5)
    jobs.step(2)
    jobs.steps(range(3, 6))
    jobs.pass_time(11.0)

    assert jobs.count() == 6
    assert jobs.total(STEP_TRANSMIT_BYTES) == pytest.approx(5 * 4000.0, rel=1e-3)


def test_a_budget_is_so_much_a_second_and_a_burst() -> None:
    budget = Budget(10.0, 20.0, now=0.0)
    spent = 0
    for tick in range(100):
        while budget.is_left(tick / 10):
            budget.spend(1.0)
            spent += 1

    assert spent == 20 + 99
