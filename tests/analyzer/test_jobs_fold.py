# SPDX-License-Identifier: Apache-2.0
"""The job view as a whole: simulated jobs with known trouble, live and as markers tell of them."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from analyzer.job_stories import JOB, fold, kinds, live, marked, only_job, told, without_split
from railwatch_analyzer.jobs.publish import job_samples, jobs_view
from railwatch_analyzer.round import judge
from railwatch_analyzer.simulation.step_jobs import StepJob, Trouble, records
from railwatch_analyzer.state import empty_state
from railwatch_analyzer.store import load, save

if TYPE_CHECKING:
    from pathlib import Path

    from railwatch_analyzer.findings import Finding
    from railwatch_analyzer.frame import Frame
    from railwatch_analyzer.state import State
    from railwatch_analyzer.step_frame import StepRecord

_SHORT = StepJob(seconds=0.4, onset=450)
_ONSET_ROUND = 36


def _judged(frames: list[Frame], state: State | None = None) -> tuple[State, list[Finding]]:
    state, lines = state or empty_state(), []
    for frame in frames:
        state, more = judge(state, frame)
        lines += more
    return state, lines


@pytest.mark.parametrize(
    ("trouble", "cause"),
    [
        (Trouble.DEGRADED_LINK, "degraded_link"),
        (Trouble.CONGESTION, "congestion"),
        (Trouble.BANDWIDTH, "bandwidth"),
        (Trouble.COMPUTE, "straggler"),
        (Trouble.INPUT, "straggler"),
        (Trouble.LATENCY, "unknown"),
    ],
)
def test_a_job_that_becomes_slow_is_found_and_its_cause_named(trouble: Trouble, cause: str) -> None:
    """Nothing that is measured here tells latency, so it is not guessed."""
    factor = 1.3 if trouble in {Trouble.COMPUTE, Trouble.INPUT} else 6.0

    state, lines = _judged(live(replace(_SHORT, trouble=trouble, factor=factor), 50))

    job = only_job(state.jobs)
    assert {"step_slowdown", "communication_bound"} <= kinds(lines)
    assert (job.is_slow, job.bound.bound, job.why.cause.value) == (True, True, cause)


def test_a_healthy_job_says_nothing() -> None:
    jobs, lines = fold(live(_SHORT, 60))

    job = only_job(jobs)
    assert lines == []
    assert (job.bound.bound, job.is_slow, job.gpus) == (False, False, 64)


@pytest.mark.parametrize(
    ("trouble", "kind"), [(Trouble.COMPUTE, "compute"), (Trouble.INPUT, "input")]
)
def test_who_is_waited_for_is_named_and_no_link_is_blamed(trouble: Trouble, kind: str) -> None:
    job = StepJob(trouble=trouble, factor=1.15, onset=80, culprit=5)

    _, lines = fold(marked(job, 120))

    found = [line for line in lines if line.kind == "straggler"]
    assert [(line.node, line.cause, line.state) for line in found] == [("n5", kind, "firing")]


def test_a_degraded_link_is_named_among_the_candidates() -> None:
    job = replace(_SHORT, trouble=Trouble.DEGRADED_LINK, factor=6.0)

    _, lines = _judged(live(job, 50))

    (slow,) = [line for line in lines if line.kind == "step_slowdown"]
    assert [(c.node, c.rail) for c in slow.candidates] == [("n2", "0")]


def test_nodes_that_compute_longer_together_are_no_stragglers() -> None:
    _, lines = fold(marked(StepJob(trouble=Trouble.CLOCKS, factor=1.1, onset=80), 120))

    assert kinds(lines) == {"step_slowdown"}


def test_a_last_stage_with_more_work_is_no_straggler() -> None:
    _, lines = fold(marked(StepJob(nodes=8, stages=4, imbalance=1.5), 100))

    assert "straggler" not in kinds(lines)


def test_one_of_many_that_was_slow_from_the_beginning_is_found() -> None:
    job = StepJob(nodes=16, trouble=Trouble.COMPUTE, factor=1.6, onset=0, culprit=5)

    _, lines = fold(marked(job, 30))

    found = [line for line in lines if line.kind == "straggler"]
    assert [(line.node, line.cause) for line in found] == [("n5", "compute")]


def test_work_that_varies_is_no_slowdown_where_bytes_vary_with_it() -> None:
    jobs, lines = fold(live(StepJob(seconds=1.0, work=0.5, noise=0.002), 100))

    pace = only_job(jobs).pace
    assert lines == []
    # Its rounds differ by 20 %, of which bytes explain nearly all.
    assert pace.spread < 0.05


def test_a_job_whose_split_is_unknown_is_judged_by_its_length_alone() -> None:
    job = StepJob(trouble=Trouble.CLOCKS, factor=1.05, onset=80)

    jobs, lines = fold(told(without_split(records(job, 100, start=0.0))))

    assert kinds(lines) == {"step_slowdown"}
    names = {sample.spec.name for sample in job_samples(jobs)}
    assert "railwatch_job_slowdown_ratio" in names
    assert "railwatch_job_communication_bound" not in names
    assert "railwatch_job_exposed_communication_ratio" not in names


def test_lost_time_is_charged_to_its_cause() -> None:
    job = replace(_SHORT, trouble=Trouble.CONGESTION, factor=6.0)

    jobs, _ = fold(live(job, 55))

    lost = only_job(jobs).lost
    # 0.12 s of 0.52 s are lost, on 64 GPUs, for about 15 rounds of 5 s.
    assert lost["congestion"] == pytest.approx(64 * 15 * 5 * 0.12 / 0.52, rel=0.35)
    (seen,) = jobs_view(jobs)
    assert (seen["job_id"], seen["slow"], seen["cause"]) == (JOB, True, "congestion")


def test_a_restart_of_the_analyzer_in_an_alarm_changes_nothing(tmp_path: Path) -> None:
    frames = live(replace(_SHORT, trouble=Trouble.COMPUTE, factor=1.3), 60)
    before, _ = _judged(frames[:46])
    assert before.jobs.standing

    save(before, tmp_path / "state.npz")
    restored = load(tmp_path / "state.npz")

    assert restored is not None
    assert restored.jobs.standing == before.jobs.standing
    here, there = _judged(frames[46:], before), _judged(frames[46:], restored)
    assert there[1] == here[1]
    assert only_job(there[0].jobs).why == only_job(here[0].jobs).why


def test_a_job_that_ended_resolves_what_was_said_of_it() -> None:
    frames = live(replace(_SHORT, trouble=Trouble.CLOCKS, factor=1.2), 50)
    gone = [replace(frames[-1], time=frames[-1].time + after) for after in (300.0, 1000.0)]

    jobs, lines = fold([*frames, *gone])

    assert [line.state.value for line in lines] == ["firing", "resolved"]
    assert not jobs.jobs


def test_a_lost_agent_holds_nothing_up() -> None:
    """A node of eight falls silent when the trouble begins."""
    frames = live(replace(_SHORT, trouble=Trouble.CLOCKS, factor=1.2), 55)
    silent = [
        replace(f, jobs=replace(f.jobs, counters=f.jobs.counters[1:]))
        for f in frames[_ONSET_ROUND:]
    ]

    jobs, lines = fold([*frames[:_ONSET_ROUND], *silent])

    assert kinds(lines) == {"step_slowdown"}
    assert len(only_job(jobs).nodes) == 7


def test_counters_that_begin_anew_cost_one_reading_of_one_node() -> None:
    frames = live(_SHORT, 60)
    reset = dict.fromkeys(frames[0].jobs.counters[0].values, 0.0)
    for number in range(30, 60):
        counters = frames[number].jobs.counters
        past = frames[29].jobs.counters[0].values
        now = {name: value - past[name] for name, value in counters[0].values.items()}
        fresh = replace(counters[0], values=reset if number == 30 else now)
        jobs = replace(frames[number].jobs, counters=(fresh, *counters[1:]))
        frames[number] = replace(frames[number], jobs=jobs)

    jobs, lines = fold(frames)

    assert lines == []
    assert len(only_job(jobs).nodes) == 8


def _on_two_nodes(found: list[StepRecord]) -> list[StepRecord]:
    return [replace(record, node=f"host{record.rank // 4}") for record in found]


def test_a_whole_node_of_several_ranks_can_be_waited_for() -> None:
    slow = records(StepJob(nodes=8), 100, start=0.0)
    changed = [
        replace(r, compute=1.1 * r.compute, exposed=0.0)
        if r.rank >= 4 and r.step >= 50
        else replace(r, exposed=r.exposed + 0.1 * (r.step >= 50))
        for r in slow
    ]

    _, lines = fold(told(_on_two_nodes(changed)))

    found = [line for line in lines if line.kind == "straggler"]
    assert [(line.node, line.cause) for line in found] == [("host1", "compute")]
    assert [candidate.device for candidate in found[0].candidates] == [
        f"rank {r}" for r in range(4, 8)
    ]


def test_a_job_that_grows_learns_anew_and_is_not_called_slow() -> None:
    """Twice the nodes after a restart, and steps that last longer for it."""
    small = records(StepJob(nodes=4), 80, start=0.0)
    large = records(StepJob(nodes=8, seconds=1.3), 80, start=200.0)

    jobs, lines = fold(told([*small, *large]))

    assert lines == []
    assert only_job(jobs).pace.usual == pytest.approx(math.log(1.3), abs=0.01)
