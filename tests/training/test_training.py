"""The whole path on real training: gradients on a wire, agents, analyzer, and the truth beside it.

Shares of time are in points of 0.01. `make lab` has more jobs, repetitions and intervals.
"""

from __future__ import annotations

from statistics import median
from typing import TYPE_CHECKING

import pytest

from lab.deployment import node_of
from training.conftest import FAST, GPM_NODE, SLOW_NODE
from training.reading import harmonics

if TYPE_CHECKING:
    from training.laboratory import Laboratory
    from training.observation import Observation

pytestmark = pytest.mark.timeout(300)

_ALL = (*FAST, GPM_NODE, SLOW_NODE)
_JOBS = ("bound", "slight")


@pytest.fixture(params=_JOBS)
def observation(request: pytest.FixtureRequest) -> Observation:
    found: Observation = request.getfixturevalue(request.param)
    return found


def test_the_jobs_are_what_they_are_meant_to_be(bound: Observation, slight: Observation) -> None:
    """Else nothing below would mean anything."""
    assert [0.5 < bound.true_share(node) < 0.66 for node in _ALL] == [True] * 4
    assert [0.03 < slight.true_share(node) < 0.11 for node in _ALL] == [True] * 4


def test_the_marked_share_is_the_true_one(observation: Observation) -> None:
    for node in _ALL:
        said = observation.parts(node, "marker").exposed_share

        assert said == pytest.approx(observation.true_share(node), abs=0.02), node


@pytest.mark.parametrize("node", FAST)
def test_the_share_is_inferred_from_outside_within_five_points(
    observation: Observation, node: int
) -> None:
    parts = observation.parts(node, "inferred")

    assert parts.split_seconds > 0, observation.of(node, "inferred")[-1]
    assert parts.exposed_share == pytest.approx(observation.true_share(node), abs=0.05)


def test_gpm_is_quick_enough_for_steps_of_two_seconds(bound: Observation) -> None:
    """It averages over 120 ms, a tenth of 1.2 s."""
    parts = bound.parts(GPM_NODE, "inferred")

    assert parts.split_seconds > 0, bound.of(GPM_NODE, "inferred")[-1]
    assert parts.exposed_share == pytest.approx(bound.true_share(GPM_NODE), abs=0.05)


def test_one_second_power_gives_a_period_and_no_split(observation: Observation) -> None:
    readings = observation.of(SLOW_NODE, "inferred")

    assert readings[-1].parts.split_seconds == 0.0
    assert readings[-1].period_seconds is not None
    assert "lag" in readings[-1].reasons


@pytest.mark.parametrize("node", _ALL)
def test_the_period_is_found_from_outside(observation: Observation, node: int) -> None:
    """`make lab` says how often within 1 %; here a busy machine may stretch some of few steps."""
    periods = observation.periods(node, "inferred")

    assert median(observation.period_errors(node, "inferred")) < 0.03
    assert harmonics(periods, observation.true_period) == 0


def test_a_job_that_waits_for_its_network_is_said_to_be_bound_within_ten_steps(
    bound: Observation,
) -> None:
    steps = bound.steps_until_bound()

    assert steps is not None
    assert steps <= 10


def test_a_job_that_hides_its_communication_is_never_said_to_be_bound(
    slight: Observation,
) -> None:
    said = [verdict.bound for _, verdict in slight.verdicts]

    assert said[-1] is False
    assert not any(said)


def test_a_slow_device_is_named_and_no_link(straggler: Observation, laboratory: Laboratory) -> None:
    """Its links are those that the others wait for, too."""
    culprit = node_of(laboratory.nodes[next(iter(straggler.plan.slow))])

    _, newest = straggler.verdicts[-1]
    assert newest.waited_for == {(culprit, "compute")}
    assert newest.causes == {"straggler"}
    assert not any(verdict.accused for _, verdict in straggler.verdicts)
