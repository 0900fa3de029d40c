"""The lab is what it claims to be: places, counters, a job that is a ring."""

from __future__ import annotations

import http.client
import http.server
import itertools
import socket
import statistics
import threading
from typing import TYPE_CHECKING

import pytest

from lab.cluster import Cluster
from lab.counters import Meter, quantile
from lab.job import Job, Workload
from lab.traffic import Pause

if TYPE_CHECKING:
    from lab.counters import Rates
    from lab.traffic import Step

# Ethernet 14, IPv4 20, TCP 20 and its time stamps 12.
_HEADER_BYTES = 66
_RECORD_SECONDS = 2.5


def _shares(cluster: Cluster, values: tuple[float, ...], quantile_share: float) -> float:
    return quantile(values, quantile_share) / cluster.rate_bits_per_second


def _record(cluster: Cluster) -> list[dict[str, Rates]]:
    with Meter(cluster) as meter:
        return meter.record(_RECORD_SECONDS)


def _durations(steps: list[Step]) -> list[float]:
    return [step.end - step.start for step in steps]


def test_a_node_sees_its_own_devices_and_no_others(cluster: Cluster) -> None:
    devices = cluster.run(cluster.nodes[2], ["ls", "/sys/class/net"]).split()

    assert sorted(devices) == ["lo", "mgmt0", "rail0", "rail1"]


def test_two_clusters_use_the_same_addresses_side_by_side(cluster: Cluster) -> None:
    def listen() -> socket.socket:
        return socket.create_server((cluster.nodes[0].management_address, 9810))

    with (
        Cluster(nodes=1) as other,
        cluster.in_namespace(cluster.nodes[0], listen),
        other.in_namespace(other.nodes[0], listen),
    ):
        assert other.prefix != cluster.prefix


def test_the_fabric_reaches_a_server_in_a_node_over_the_management_network(
    cluster: Cluster,
) -> None:
    node = cluster.nodes[3]
    address = (node.management_address, 9810)

    def serve() -> http.server.HTTPServer:
        return http.server.HTTPServer(address, http.server.SimpleHTTPRequestHandler)

    def ask() -> int:
        connection = http.client.HTTPConnection(*address, timeout=5.0)
        try:
            connection.request("HEAD", "/")
            return connection.getresponse().status
        finally:
            connection.close()

    with cluster.in_namespace(node, serve) as server:
        threading.Thread(target=server.handle_request, daemon=True).start()
        status = cluster.in_namespace(cluster.fabric, ask)

    assert status == 200


def test_an_error_inside_a_namespace_is_raised_outside(cluster: Cluster) -> None:
    with pytest.raises(ZeroDivisionError):
        cluster.in_namespace(cluster.fabric, lambda: 1 // 0)


def test_rails_use_cubic_whatever_the_machine_uses(cluster: Cluster) -> None:
    sender, receiver = cluster.nodes[:2]
    address = (receiver.rail_address(1), 5000)

    def algorithm() -> bytes:
        with socket.create_connection(address, timeout=5.0) as connection:
            return connection.getsockopt(socket.IPPROTO_TCP, socket.TCP_CONGESTION, 16)

    with cluster.in_namespace(receiver, lambda: socket.create_server(address)):
        assert cluster.in_namespace(sender, algorithm).rstrip(b"\0") == b"cubic"


def test_kernel_counters_agree_with_what_the_job_moved(cluster: Cluster) -> None:
    """The job counts payload, the device frames: the rest must be headers, and nothing else.

    veth counts a GSO frame once and with one set of headers, so headers are 66 bytes times its own
    packet counter, acknowledgements (which are nothing but headers) included. A retransmission is
    payload the device moves twice; the sender's kernel tells how much. What is left is handshakes,
    ARP and SACK blocks. Headers are 0.8 % of the bytes: with a tolerance of 0.1 % the test fails
    if they are not accounted for.
    """
    with Job(cluster, Workload(seconds=4.0)) as job:
        results = job.results()
    with Meter(cluster) as meter:
        devices = meter.read()

    for rank, result in enumerate(results):
        for rail in range(cluster.rails):
            traffic = devices[rank][f"rail{rail}"]
            sent, received = result.rails[rail], results[rank - 1].rails[rail]
            transmitted = traffic.transmit_bytes - _HEADER_BYTES * traffic.transmit_packets
            arrived = traffic.receive_bytes - _HEADER_BYTES * traffic.receive_packets
            assert sent.sent_bytes == result.rails[rail].received_bytes == received.sent_bytes
            assert transmitted == pytest.approx(
                sent.sent_bytes + sent.retransmitted_bytes, rel=0.001
            )
            assert arrived == pytest.approx(
                received.sent_bytes + received.retransmitted_bytes, rel=0.001
            )


def test_a_healthy_job_is_steady_and_fills_every_rail(cluster: Cluster, job: Job) -> None:
    before = len(job.steps())
    for node in _record(cluster):
        for rail in range(cluster.rails):
            rates = node[f"rail{rail}"]
            for values in (rates.transmit, rates.receive):
                assert _shares(cluster, values, 0.90) > 0.85
                assert _shares(cluster, values, 0.95) < 1.10
    job.stop()
    results = job.results(20.0)

    durations = _durations(job.steps()[before:])
    assert quantile(durations, 0.9) < 1.3 * statistics.median(durations)
    for result in results:
        for moved in result.rails:
            # A busy machine's timers make TCP send a tail again that was not lost, up to 0.12 % of
            # the bytes as seen. The faults of the lab lose 1 %, and what is lost comes on top.
            assert moved.retransmitted_bytes < 0.005 * moved.sent_bytes


def test_all_ranks_pause_after_the_same_step(cluster: Cluster) -> None:
    with Job(cluster, Workload(seconds=2.8, pauses=[Pause(0.5, 1.0)])) as job:
        job.results()
        ranks = [job.steps(rank) for rank in range(4)]

    gaps = [
        {later.step: later.start - step.end for step, later in itertools.pairwise(steps)}
        for steps in ranks
    ]
    paused = [[step for step, gap in rank.items() if gap > 0.5] for rank in gaps]
    assert paused[0] != []
    assert paused == [paused[0]] * 4
    assert all(1.0 <= rank[paused[0][0]] < 1.3 for rank in gaps)


def test_one_slow_rank_slows_every_rank(cluster: Cluster) -> None:
    """The ring is the barrier: only the slow rank computes longer, but all steps last longer."""
    with Job(cluster, Workload(seconds=2.5, slow_seconds={2: 0.2})) as job:
        job.results()
        ranks = [job.steps(rank) for rank in range(4)]

    compute = [statistics.median(s.compute_end - s.start for s in steps) for steps in ranks]
    steps = [statistics.median(_durations(steps)) for steps in ranks]
    assert compute == pytest.approx([0.15, 0.15, 0.35, 0.15], abs=0.05)
    assert min(steps) > 0.35 + 0.2
    assert max(steps) < 1.1 * min(steps)


def test_two_jobs_share_the_cluster_on_nodes_of_their_own(cluster: Cluster) -> None:
    workload = Workload(seconds=1.5)
    with (
        Job(cluster, workload, cluster.nodes[:2]) as first,
        Job(cluster, workload, cluster.nodes[2:]) as second,
    ):
        results = [first.results(), second.results()]

    assert all(rank.steps >= 3 for ranks in results for rank in ranks)
