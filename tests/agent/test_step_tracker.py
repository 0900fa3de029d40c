"""A job followed from round to round: what is counted, what is withheld, and why."""

from itertools import pairwise

import numpy as np
import pytest

from agent.stepping import Watched, regular_counter, shares, watch
from railwatch.catalogue.step import Unresolved
from railwatch_agent.steps.history import Samples
from railwatch_agent.steps.view import View
from support.training import (
    Course,
    Gauge,
    Sampling,
    accumulated,
    bucketed,
    burst,
    count_bytes,
    train,
)

_FAST = Gauge(0.02, 0.02, lag_seconds=0.015, noise=0.02)
_LATE = Gauge(0.02, 0.02, lag_seconds=0.05, noise=0.02)


def _rng(seed: int = 1) -> np.random.Generator:
    return np.random.default_rng(seed)


def _never_fall(views: list[View]) -> bool:
    numbers = [
        (t.steps, t.seconds, t.transmit_bytes, t.compute, t.exposed, t.stalled, t.idle)
        for t in (view.totals for view in views)
    ]
    return all((np.subtract(b, a) >= 0).all() for a, b in pairwise(numbers))


@pytest.mark.parametrize("exposed", [0.0, 0.06, 0.23, 0.58])
def test_the_exposed_share_is_found_behind_a_signal_that_is_late(exposed: float) -> None:
    rng = _rng()
    run = train(bucketed(exposed, 0.3), 1.0, 60, rng)
    watched = watch(run, rng, gauge=_LATE)

    assert watched.view.is_split
    assert shares(watched.view)["exposed"] == pytest.approx(exposed, abs=0.05)
    assert watched.view.period_seconds == pytest.approx(run.period(0, 60), rel=0.01)


def test_every_step_is_counted_once_with_its_bytes() -> None:
    rng = _rng()
    run = train(bucketed(0.2), 0.5, 60, rng)
    watched = watch(run, rng, gauge=_FAST)

    totals = watched.view.totals
    sent = run.sent.sum() * 25e9 * 0.001
    assert totals.steps == pytest.approx(len(run.starts), abs=5)
    assert totals.seconds == pytest.approx(totals.steps * 0.5, rel=0.01)
    assert totals.transmit_bytes / totals.steps == pytest.approx(sent / len(run.starts), rel=0.02)
    assert _never_fall(watched.views)


def test_parts_of_the_steps_that_were_split_add_up_to_them() -> None:
    rng = _rng()
    run = train(bucketed(0.2), 0.5, 40, rng)
    watched = watch(run, rng, gauge=_FAST)

    totals = watched.view.totals
    assert totals.split_steps == totals.steps
    assert totals.compute + totals.exposed + totals.stalled + totals.idle == pytest.approx(
        totals.seconds
    )


def test_how_often_it_looks_changes_no_count() -> None:
    rng = _rng()
    run = train(bucketed(0.2), 0.5, 50, rng)
    rails = [Samples(*count_bytes(run, Sampling(), rng))]

    seldom = Watched(rails).follow(50, 7.0).view.totals
    often = Watched(rails).follow(50, 1.0).view.totals

    assert often.steps == pytest.approx(seldom.steps, abs=14)
    assert often.seconds / often.steps == pytest.approx(seldom.seconds / seldom.steps, rel=0.01)


@pytest.mark.parametrize(
    "gauge", [Gauge(0.02, 1.0), Gauge(0.1, 0.2), Gauge(0.02, 0.02, lag_seconds=0.09)]
)
def test_a_signal_too_slow_for_the_steps_withholds_their_split_and_nothing_else(
    gauge: Gauge,
) -> None:
    rng = _rng()
    run = train(burst(0.23), 0.5, 40, rng)
    watched = watch(run, rng, gauge=gauge)

    assert watched.view.reason is Unresolved.LAG
    assert watched.view.period_seconds == pytest.approx(0.5, rel=0.01)
    assert watched.view.totals.split_steps == 0
    assert watched.view.totals.steps > 60


def test_without_a_signal_there_is_no_split() -> None:
    rng = _rng()
    watched = watch(train(bucketed(0.2), 0.5, 40, rng), rng)

    assert watched.view.reason is Unresolved.NO_ACTIVITY
    assert watched.view.totals.steps > 60


def test_a_signal_that_falls_silent_withholds_the_split() -> None:
    rng = _rng()
    run = train(bucketed(0.2), 0.5, 200, rng)
    watched = watch(run, rng, gauge=_FAST)
    before = next(view for view in reversed(watched.views) if view.is_split)
    short = [Samples(*(half[: len(half) // 5] for half in watched.gpus[0]))]
    silent = Watched(watched.rails, short, watched.signal).follow(200)

    assert before.totals.split_steps > 300
    assert silent.view.totals.steps == watched.view.totals.steps
    assert silent.view.totals.split_steps < 90
    assert not silent.view.is_split


def test_a_pause_is_no_step_and_the_rhythm_goes_on_after_it() -> None:
    rng = _rng()
    run = train(bucketed(0.2), 0.5, 80, rng, Course(pauses=((30.0, 15.0),)))
    watched = watch(run, rng)

    reasons = [watched.at(seconds).reason for seconds in range(32, 48, 3)]
    totals = watched.view.totals
    assert Unresolved.IDLE in reasons
    assert totals.steps == pytest.approx(len(run.starts), abs=8)
    assert totals.seconds / totals.steps == pytest.approx(0.5, rel=0.01)


def test_first_steps_that_are_longer_do_not_hide_the_rhythm() -> None:
    rng = _rng()
    run = train(bucketed(0.23), 1.0, 60, rng, Course(warm_up=(3.0, 1.5, 1.2)))
    watched = watch(run, rng)

    assert {round(v.period_seconds, 1) for v in watched.views if v.period_seconds} == {1.0}
    assert watched.view.totals.seconds / watched.view.totals.steps == pytest.approx(1.0, rel=0.02)


def test_what_is_in_a_long_step_is_not_taken_for_steps_before_one_has_passed() -> None:
    rng = _rng()
    run = train(bucketed(0.2), 6.0, 100, rng)
    watched = watch(run, rng)

    assert {round(v.period_seconds, 1) for v in watched.views if v.period_seconds} == {6.0}


def test_gradient_accumulation_counts_steps() -> None:
    rng = _rng()
    run = train(accumulated(0.1), 1.0, 60, rng)
    watched = watch(run, rng)

    assert watched.view.totals.steps == pytest.approx(len(run.starts), abs=6)


@pytest.mark.parametrize(("variation", "drift"), [(0.2, 0.0), (0.002, 0.4)])
def test_steps_of_changing_length_are_counted(variation: float, drift: float) -> None:
    rng = _rng()
    run = train(bucketed(0.2), 0.5, 90, rng, Course(variation=variation, drift=drift))
    watched = watch(run, rng, gauge=_FAST)

    totals = watched.view.totals
    assert totals.steps == pytest.approx(len(run.starts), rel=0.06)
    assert totals.seconds / totals.steps == pytest.approx(run.period(0, 90), rel=0.03)
    assert shares(watched.view)["exposed"] == pytest.approx(0.2, abs=0.05)


def test_another_period_is_believed_when_it_stays() -> None:
    first, then = regular_counter(0.5, 60), regular_counter(0.8, 60)
    times = np.concatenate((first[0], then[0] + 60))
    counter = np.concatenate((first[1], then[1] + first[1][-1]))
    watched = Watched([Samples(times, counter)]).follow(120)

    assert watched.at(56).period_seconds == pytest.approx(0.5, rel=0.01)
    assert watched.view.period_seconds == pytest.approx(0.8, rel=0.02)
    assert _never_fall(watched.views)


def test_no_step_is_counted_across_a_gap_on_the_tape() -> None:
    times, counter = regular_counter(1.0, 60)
    counter[1500:1550] = np.nan
    counter[1550:] -= counter[1550]
    watched = Watched([Samples(times, counter)]).follow(60)

    totals = watched.view.totals
    assert totals.steps == pytest.approx(54, abs=4)
    assert totals.seconds == pytest.approx(totals.steps, rel=0.01)
    assert totals.transmit_bytes == pytest.approx(totals.steps * 0.4e9, rel=0.01)


def test_rails_that_carry_nothing_and_rails_that_are_not_there_change_nothing() -> None:
    times, counter = regular_counter(1.0, 40)
    alone = Watched([Samples(times, counter)]).follow(40).view
    silent = Samples(times, np.zeros(len(times)))
    absent = Samples(np.empty(0), np.empty(0))
    broken = Samples(times, np.full(len(times), np.nan))
    among = Watched([silent, Samples(times, counter), absent, broken, silent]).follow(40).view

    assert among.totals == alone.totals


def test_a_rail_that_goes_costs_a_few_steps_and_not_the_rhythm() -> None:
    times, counter = regular_counter(1.0, 60)
    gone = Samples(times[:1500], counter[:1500])
    watched = Watched([Samples(times, counter), gone]).follow(60)

    assert watched.view.period_seconds == pytest.approx(1.0, rel=0.01)
    assert watched.view.totals.steps == pytest.approx(53, abs=6)


def test_samples_that_become_fewer_do_not_lose_the_rhythm() -> None:
    times, counter = regular_counter(1.0, 80)
    kept = np.concatenate((np.arange(2000), np.arange(2000, 4000, 4)))
    watched = Watched([Samples(times[kept], counter[kept])]).follow(80)

    assert watched.view.period_seconds == pytest.approx(1.0, rel=0.01)
    assert watched.view.totals.steps == pytest.approx(75, abs=4)


def test_a_few_kilobytes_a_second_are_no_job() -> None:
    times, counter = regular_counter(1.0, 40, rate=20e3)

    assert Watched([Samples(times, counter)]).follow(40).view.reason is Unresolved.IDLE


def test_noise_is_said_to_be_noise() -> None:
    rng = _rng()
    times = np.arange(0, 60, 0.02)
    counter = np.cumsum(rng.exponential(1e7, len(times)))
    watched = Watched([Samples(times, counter)]).follow(60)

    assert watched.view.reason is Unresolved.NOISE
    assert {view.totals.steps for view in watched.views} == {0}


def test_before_anything_was_sampled_nothing_moves() -> None:
    watched = Watched([Samples(np.empty(0), np.empty(0))]).follow(6)

    assert watched.view.reason is Unresolved.IDLE
