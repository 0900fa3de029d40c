"""Every fault bites as much as it says, where it says, and can be lifted."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING

import pytest

from lab import counters, faults
from lab.counters import Meter, quantile
from support.conditions import wait_until

if TYPE_CHECKING:
    from lab.cluster import Cluster
    from lab.counters import Rates
    from lab.job import Job

Fault = Callable[..., AbstractContextManager[None]]

_RECORD_SECONDS = 2.5


def _shares(cluster: Cluster, values: tuple[float, ...], quantile_share: float) -> float:
    return quantile(values, quantile_share) / cluster.rate_bits_per_second


def _record(cluster: Cluster) -> list[dict[str, Rates]]:
    with Meter(cluster) as meter:
        return meter.record(_RECORD_SECONDS)


def _configuration(cluster: Cluster) -> str:
    """The faulty node's rail and its switch port, as ip and tc describe them, without counters."""
    node, port = cluster.nodes[1], cluster.fabric.port(cluster.nodes[1], 0)
    return "\n".join(
        [
            cluster.run(node, ["tc", "qdisc", "show", "dev", "rail0"]),
            cluster.run(node, ["cat", "/sys/class/net/rail0/carrier"]),
            cluster.run(cluster.fabric, ["tc", "qdisc", "show", "dev", port]),
            cluster.run(cluster.fabric, ["tc", "filter", "show", "dev", port, "ingress"]),
            cluster.run(cluster.fabric, ["tc", "filter", "show", "dev", port, "egress"]),
            cluster.run(cluster.fabric, ["ls", "/sys/class/net"]),
            cluster.run(cluster.fabric, ["cat", f"/sys/class/net/{port}/brport/state"]),
        ]
    )


def test_a_transmit_cap_holds_the_sender_and_fills_its_queue(cluster: Cluster, job: Job) -> None:
    with faults.cap_transmit(cluster, cluster.nodes[1], 0, 0.25):
        job.wait_for_steps(1, 20.0)
        rates = _record(cluster)
        wait_until(
            lambda: counters.queue(cluster, cluster.nodes[1], "rail0").backlog_bytes > 30_000,
            10.0,
            "a full queue on the capped rail",
        )

    assert 0.20 < _shares(cluster, rates[1]["rail0"].transmit, 0.90) < 0.30
    assert 0.20 < _shares(cluster, rates[2]["rail0"].receive, 0.90) < 0.30
    for healthy in (rates[0]["rail0"], rates[2]["rail0"], rates[3]["rail0"], rates[1]["rail1"]):
        assert _shares(cluster, healthy.transmit, 0.95) > 0.60


def test_a_receive_cap_holds_the_receiver_and_spares_its_queue(cluster: Cluster, job: Job) -> None:
    """A busy machine may flatten the others' bursts for a while; the cap holds all the time."""
    port = cluster.fabric.port(cluster.nodes[1], 0)

    def others_burst() -> bool:
        rates = _record(cluster)
        assert 0.20 < _shares(cluster, rates[1]["rail0"].receive, 0.90) < 0.30
        others = (rates[0]["rail0"], rates[2]["rail0"], rates[3]["rail0"], rates[1]["rail1"])
        bursts = [rates[1]["rail0"].transmit, *(healthy.receive for healthy in others)]
        return all(_shares(cluster, values, 0.95) > 0.60 for values in bursts)

    with faults.cap_receive(cluster, cluster.nodes[1], 0, 0.25):
        job.wait_for_steps(1, 20.0)
        wait_until(others_burst, 30.0, "the others to burst beside a capped receiver")
        wait_until(
            lambda: counters.queue(cluster, cluster.fabric, port).backlog_bytes > 30_000,
            10.0,
            "a full queue at the switch port",
        )


def test_a_hidden_cap_slows_what_arrives_and_not_the_senders_queue(
    cluster: Cluster, job: Job
) -> None:
    with faults.hidden_cap(cluster, cluster.nodes[1], 0, 0.25):
        job.wait_for_steps(2, 20.0)
        rates = _record(cluster)
        backlogs = [
            counters.queue(cluster, cluster.nodes[1], "rail0").backlog_bytes for _ in range(20)
        ]

    assert 0.20 < _shares(cluster, rates[2]["rail0"].receive, 0.90) < 0.30
    assert sum(backlog > 30_000 for backlog in backlogs) <= 4
    assert _shares(cluster, rates[1]["rail1"].transmit, 0.95) > 0.60


@pytest.mark.parametrize(
    ("fault", "share"),
    [
        (faults.cap_transmit, (0.25,)),
        (faults.cap_receive, (0.25,)),
        (faults.hidden_cap, (0.25,)),
        (faults.loss_transmit, (0.01,)),
        (faults.loss_receive, (0.01,)),
        (faults.link_down, ()),
    ],
)
def test_a_lifted_fault_leaves_no_trace(
    cluster: Cluster, fault: Fault, share: tuple[float, ...]
) -> None:
    """It is lifted even if what ran under it failed."""
    healthy = _configuration(cluster)
    faulty = []

    def fail() -> None:
        with fault(cluster, cluster.nodes[1], 0, *share):
            faulty.append(_configuration(cluster))
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()

    assert faulty != [healthy]
    wait_until(lambda: _configuration(cluster) == healthy, 5.0, "the configuration from before")


@pytest.mark.parametrize(("fault", "sender"), [(faults.loss_transmit, 1), (faults.loss_receive, 0)])
def test_loss_has_the_share_asked_for_and_makes_the_sender_retransmit(
    cluster: Cluster, job: Job, fault: Fault, sender: int
) -> None:
    node = cluster.nodes[1]
    port = cluster.fabric.port(node, 0)

    def frames() -> int:
        (devices,) = meter.read()
        # The node's receive is what the port sent: as veth counts it, what was not dropped.
        device = devices["rail0"]
        return device.transmit_packets if sender == 1 else device.receive_packets

    with Meter(cluster, [node]) as meter, fault(cluster, node, 0, 0.02):
        start = frames()
        wait_until(lambda: frames() - start > 5000, 30.0, "5000 frames")
        offered = frames() - start
        drops = counters.queue(cluster, cluster.fabric, port, "clsact").drops
    job.stop()
    retransmitted = [result.rails[0].retransmitted_segments for result in job.results(20.0)]

    assert 0.01 < drops / offered < 0.03
    assert retransmitted[sender] > 50
    assert all(
        retransmitted[sender] > 5 * count
        for rank, count in enumerate(retransmitted)
        if rank != sender
    )


def test_a_job_survives_a_link_flap(cluster: Cluster, job: Job) -> None:
    node = cluster.nodes[1]
    before = counters.carrier_changes(cluster, node, 0)

    with faults.link_down(cluster, node, 0):
        wait_until(lambda: time.monotonic() - job.steps()[-1].end > 1.5, 10.0, "the ring to stall")
        state = cluster.run(node, ["cat", "/sys/class/net/rail0/operstate"]).strip()
        down = counters.carrier_changes(cluster, node, 0)
        stalled_number = len(job.steps())

    assert (state, down - before) == ("down", 1)
    job.wait_for_steps(3, 20.0)
    assert counters.carrier_changes(cluster, node, 0) - before == 2
    assert counters.carrier_changes(cluster, node, 1) == before
    stalled = job.steps()[stalled_number]
    assert stalled.end - stalled.start > 1.5
    job.stop()
    assert len(job.results(20.0)) == 4
