"""The whole path on real traffic: kernel counter → metric → verdict → delivered alert.

Four nodes with two rails, a ring job on all of them, an agent in every node, and the real
Prometheus, Alertmanager and a webhook. Windows of 2 s keep the tier short; `make lab` measures the
default of 5 s.
"""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING

import pytest

from lab import faults
from lab.cluster import Cluster
from lab.deployment import Deployment, node_of
from lab.job import Job, Workload
from lab.traffic import Pause
from support.conditions import wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator

    from support.webhook import DeliveredAlert

_WINDOW_SECONDS = 2.0
# Learning takes 16 s of traffic, and the analyzer first has to see how often Prometheus scrapes.
_LEARN_SECONDS = 150.0
_QUIET_STEPS = 150
_RESOLVE_SECONDS = 90.0


@pytest.fixture(scope="module")
def cluster() -> Iterator[Cluster]:
    with Cluster() as built:
        yield built


@pytest.fixture(scope="module")
def job(cluster: Cluster) -> Iterator[Job]:
    """A job that pauses once, as for a checkpoint, in the middle of the quiet minute."""
    pauses = [Pause(at_seconds=60.0, for_seconds=8.0)]
    with Job(cluster, Workload(seconds=600.0, pauses=pauses)) as running:
        yield running


@pytest.fixture(scope="module")
def deployment(
    cluster: Cluster, job: Job, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Deployment]:
    """Everything installed, and every link judged."""
    assert job.steps()
    directory = tmp_path_factory.mktemp("deployment")
    with Deployment(cluster, directory, window_seconds=_WINDOW_SECONDS) as running:
        # Each look costs a process, on cores that carry the traffic too.
        wait_until(
            running.analyzer.has_learned, _LEARN_SECONDS, "every link judged", poll_seconds=1.0
        )
        yield running


def _firing(deployment: Deployment, name: str) -> list[DeliveredAlert]:
    return deployment.stack.delivered.alerts(name, "firing")


def _resolved(deployment: Deployment, name: str) -> list[DeliveredAlert]:
    return deployment.stack.delivered.alerts(name, "resolved")


@pytest.mark.timeout(420)
def test_a_healthy_minute_with_a_pause_delivers_nothing(deployment: Deployment, job: Job) -> None:
    # 150 steps are a minute of traffic; the pause falls into them.
    job.wait_for_steps(len(job.steps()) + _QUIET_STEPS, 120.0)

    steps = job.steps()
    longest = max(after.start - before.end for before, after in pairwise(steps))
    assert longest > 7.0, "the job did pause"
    assert deployment.stack.delivered.alerts() == []


@pytest.mark.timeout(420)
def test_a_capped_rail_is_named_and_no_other(deployment: Deployment, cluster: Cluster) -> None:
    bad = cluster.nodes[1]

    with faults.cap_transmit(cluster, bad, rail=0, share=0.25):
        wait_until(
            lambda: _firing(deployment, "RailwatchLinkDegraded"),
            20.0,
            "the capped rail at the webhook",
        )
    wait_until(
        lambda: _resolved(deployment, "RailwatchLinkDegraded"), _RESOLVE_SECONDS, "its resolution"
    )

    places = {
        (alert.name, alert.labels["node"], alert.labels["rail"])
        for alert in deployment.stack.delivered.alerts()
    }
    assert places == {("RailwatchLinkDegraded", node_of(bad), "0")}
    description = _firing(deployment, "RailwatchLinkDegraded")[0].annotations["description"]
    assert "observed" in description
    assert "expected" in description
    assert "bandwidth" in description


@pytest.mark.timeout(420)
def test_a_rail_that_goes_down_is_named_within_ten_seconds(
    deployment: Deployment, cluster: Cluster
) -> None:
    bad = cluster.nodes[2]
    before = len(deployment.stack.delivered.alerts())

    with faults.link_down(cluster, bad, rail=1):
        wait_until(
            lambda: _firing(deployment, "RailwatchLinkDown"), 10.0, "the rail at the webhook"
        )
    wait_until(
        lambda: _resolved(deployment, "RailwatchLinkDown"), _RESOLVE_SECONDS, "its resolution"
    )

    places = {
        (alert.name, alert.labels["node"], alert.labels["rail"])
        for alert in deployment.stack.delivered.alerts()[before:]
    }
    assert places == {("RailwatchLinkDown", node_of(bad), "1")}
