# SPDX-License-Identifier: Apache-2.0
"""The netlink sources against the real kernel: a node, a switch that loses packets, a peer.

Everything is in three network namespaces of the test's own; flows are below 50 Mbit/s and end.
"""

from __future__ import annotations

import json
import os
import socket
import struct
import subprocess
import threading
import time
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING, Any

import pytest

from lab.namespaces import batch, call, delete
from railwatch.catalogue.metric import Sample
from railwatch_agent.collectors.tcp import TcpCollector
from railwatch_agent.sources.addresses import AddressReader
from railwatch_agent.sources.errors import SourceError
from railwatch_agent.sources.inet_diag import SocketReader, packed_address
from railwatch_agent.sources.netlink import NETLINK_ROUTE, NETLINK_SOCK_DIAG, DumpRequest, Netlink
from railwatch_agent.sources.qdisc import Queue, QueueReader

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

NODE_IP, PEER_IP, NODE_IP6, PEER_IP6 = "10.77.0.1", "10.77.0.2", "fd77::1", "fd77::2"
LABELS = ("0", "rail0")
DEADLINE_SECONDS = 15.0


class Wire:
    """Names of the three namespaces; interfaces are rail0 at the ends, node and peer between."""

    def __init__(self, stack: ExitStack) -> None:
        prefix = f"rwnl{os.getpid()}"
        self.node, self.switch, self.peer = (f"{prefix}{end}" for end in "nsp")
        for name in (self.node, self.switch, self.peer):
            batch("ip", [f"netns add {name}"])
            stack.callback(delete, name)
        self._link(self.node, "node", (NODE_IP, NODE_IP6))
        self._link(self.peer, "peer", (PEER_IP, PEER_IP6))
        bridge = ["link add name br0 type bridge", "link set br0 up"]
        ports = [f"link set {port} master br0 up" for port in ("node", "peer")]
        batch("ip", bridge + ports, self.switch)

    def _link(self, end: str, port: str, addresses: tuple[str, str]) -> None:
        ends = f"name {port} type veth peer name rail0 numtxqueues 4 netns {end}"
        batch("ip", [f"link add {ends}"], self.switch)
        own = [
            f"addr add {address}/{'64' if ':' in address else '24'} dev rail0 {extra}"
            for address, extra in zip(addresses, ("", "nodad"), strict=True)
        ]
        batch("ip", [*own, "link set lo up", "link set rail0 up"], end)

    def index(self, namespace: str) -> int:
        """Index of rail0 there."""
        return call(namespace, lambda: socket.if_nametoindex("rail0"))

    def queue(self, namespace: str, command: str) -> None:
        """Change the queueing disciplines there."""
        batch("tc", [f"qdisc {command}"], namespace)

    def kernel_says(self, namespace: str) -> Queue:
        """Root queue of rail0 as tc(8) prints it."""
        command = ["tc", "-n", namespace, "-s", "-j", "qdisc", "show", "dev", "rail0"]
        listed = json.loads(subprocess.run(command, capture_output=True, check=True).stdout)
        root = next(each for each in listed if each.get("root"))
        return Queue(root["backlog"], root["drops"])

    @contextmanager
    def connection(
        self, server: str = PEER_IP, mapped: str | None = None
    ) -> Iterator[tuple[socket.socket, socket.socket]]:
        """Return the node's and the peer's end of a TCP connection."""
        family = socket.AF_INET6 if ":" in server else socket.AF_INET
        listening = call(self.peer, lambda: socket.create_server((server, 0), family=family))
        target = (mapped or server, listening.getsockname()[1])
        with listening, call(self.node, lambda: connected(target)) as client:
            accepted, _ = listening.accept()
            with accepted:
                yield client, accepted


def connected(target: tuple[str, int]) -> socket.socket:
    """Return a socket of the target's family: IPv6 also where it is an IPv4 address, mapped."""
    family = socket.AF_INET6 if ":" in target[0] else socket.AF_INET
    opened = socket.socket(family)
    opened.settimeout(DEADLINE_SECONDS)
    opened.connect(target)
    return opened


@contextmanager
def flow(sender: socket.socket, receiver: socket.socket) -> Iterator[None]:
    """Send as fast as it goes until the end of the block."""
    stop = threading.Event()
    sender.settimeout(0.2)
    receiver.settimeout(0.2)
    # Otherwise megabytes wait in the socket when the flow is to end.
    sender.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 131072)

    def repeat(work: Callable[[], object]) -> None:
        while not stop.is_set():
            try:
                work()
            except TimeoutError:
                continue

    threads = [
        threading.Thread(target=repeat, args=(lambda: sender.send(bytes(65536)),)),
        threading.Thread(target=repeat, args=(lambda: receiver.recv(1 << 20),)),
    ]
    for thread in threads:
        thread.start()
    try:
        yield
    finally:
        stop.set()
        for thread in threads:
            thread.join()


def eventually(holds: Callable[[], bool]) -> bool:
    """Whether something came true before the deadline."""
    end = time.monotonic() + DEADLINE_SECONDS
    while time.monotonic() < end:
        if holds():
            return True
        time.sleep(0.01)
    return False


def shower(wire: Wire, datagrams: int) -> None:
    """Send UDP datagrams of 1,000 bytes to the peer at once, each from a port of its own."""

    def send() -> None:
        for _ in range(datagrams):
            with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
                sender.sendto(bytes(1000), (PEER_IP, 9))

    # Until the peer's hardware address is known, nothing gets as far as the queue.
    with wire.connection():
        call(wire.node, send)


def info(connection: socket.socket, offset: int) -> int:
    """Return a u32 of the socket's tcp_info."""
    data = connection.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 256)
    return int(struct.unpack_from("=I", data, offset)[0])


@pytest.fixture
def wire() -> Iterator[Wire]:
    """Return a node, a switch and a peer without queues."""
    with ExitStack() as stack:
        yield Wire(stack)


def queue_reader(wire: Wire) -> QueueReader:
    """Return a reader whose socket is in the node."""
    reader = QueueReader()
    call(wire.node, reader.read)
    return reader


def test_an_interface_without_a_queue_is_absent(wire: Wire) -> None:
    assert queue_reader(wire).read() == {}


def test_a_capped_flow_is_seen_waiting_at_the_root(wire: Wire) -> None:
    wire.queue(wire.node, "add dev rail0 root tbf rate 20mbit burst 16kb limit 200kb")
    reader, index = queue_reader(wire), wire.index(wire.node)
    assert reader.read() == {index: Queue(0, 0)}

    with wire.connection() as (sender, receiver), flow(sender, receiver):
        assert eventually(lambda: reader.read()[index].backlog_bytes > 0)
    assert eventually(lambda: reader.read()[index].backlog_bytes == 0)


@pytest.mark.parametrize(
    "commands",
    [
        ["add dev rail0 root tbf rate 1mbit burst 2kb limit 8kb"],
        ["add dev rail0 root handle 1: mq"]
        + [
            f"add dev rail0 parent 1:{queue} handle {queue}0: tbf rate 1mbit burst 2kb limit 8kb"
            for queue in (1, 2, 3, 4)
        ],
    ],
    ids=["tbf", "mq over tbf"],
)
def test_drops_and_backlog_of_the_root_are_those_that_tc_shows(
    wire: Wire, commands: list[str]
) -> None:
    for command in commands:
        wire.queue(wire.node, command)
    reader, index = queue_reader(wire), wire.index(wire.node)
    shower(wire, 200)
    waiting = reader.read()[index]
    assert waiting.backlog_bytes > 0
    assert eventually(lambda: reader.read()[index].backlog_bytes == 0)

    shown = reader.read()[index]
    assert shown.drops >= waiting.drops > 0
    assert shown == wire.kernel_says(wire.node)


def test_a_queue_that_comes_and_goes_is_followed(wire: Wire) -> None:
    reader, index = queue_reader(wire), wire.index(wire.node)
    for _ in range(3):
        wire.queue(wire.node, "add dev rail0 root tbf rate 1mbit burst 2kb limit 8kb")
        assert list(reader.read()) == list(reader.read()) == [index]
        wire.queue(wire.node, "del dev rail0 root")
        assert reader.read() == reader.read() == {}


def collector(wire: Wire, end: str) -> Callable[[], dict[str, float]]:
    """Return the totals of rail0 at one end by kind, from a collector that lives there."""
    index = wire.index(end)
    addresses = AddressReader()
    made = TcpCollector(
        lambda: dict.fromkeys(addresses.read()[index], LABELS), SocketReader(), cpu_share=1.0
    )

    def totals() -> dict[str, float]:
        found: dict[str, float] = {}
        for each in made.collect():
            assert isinstance(each, Sample)
            assert isinstance(each.value, int)
            found[each.labels[2]] = each.value
        return found

    call(end, totals)
    return totals


def test_losses_on_the_way_are_counted_at_both_ends_as_the_sockets_count_them(wire: Wire) -> None:
    """The switch's queue towards the peer holds six packets; what does not fit is lost."""
    wire.queue(wire.switch, "add dev peer root tbf rate 20mbit burst 4kb limit 9kb")
    node, peer = collector(wire, wire.node), collector(wire, wire.peer)
    assert node() == peer() == {"retransmit": 0, "out_of_sequence": 0}

    with wire.connection() as (sender, receiver):
        with flow(sender, receiver):
            assert eventually(lambda: node()["retransmit"] > 5 and peer()["out_of_sequence"] > 5)
        receiver.settimeout(0.5)
        while _received(receiver):
            pass

        assert eventually(lambda: node()["retransmit"] == info(sender, 100))
        assert eventually(lambda: peer()["out_of_sequence"] == info(receiver, 224))
    assert node()["retransmit"] > 5


def _received(receiver: socket.socket) -> bool:
    try:
        return bool(receiver.recv(1 << 20))
    except TimeoutError:
        return False


def test_a_socket_that_was_there_before_counts_from_then_on_only(wire: Wire) -> None:
    wire.queue(wire.switch, "add dev peer root tbf rate 20mbit burst 4kb limit 9kb")
    with wire.connection() as (sender, receiver):
        with flow(sender, receiver):
            assert eventually(lambda: info(sender, 100) > 5)
        before = info(sender, 100)
        totals = collector(wire, wire.node)
        with flow(sender, receiver):
            assert eventually(lambda: totals()["retransmit"] > 0)

        assert 0 < totals()["retransmit"] <= info(sender, 100) - before


@pytest.mark.parametrize(
    ("server", "mapped", "local"),
    [
        (PEER_IP, None, NODE_IP),
        (PEER_IP, f"::ffff:{PEER_IP}", NODE_IP),
        (PEER_IP6, None, NODE_IP6),
    ],
    ids=["IPv4", "mapped IPv4", "IPv6"],
)
def test_the_kernel_lists_the_sockets_of_an_address_and_no_others(
    wire: Wire, server: str, mapped: str | None, local: str
) -> None:
    reader = SocketReader()
    wanted = [packed_address(each) for each in (local, "192.0.2.9", "2001:db8::9")]

    def listed(*addresses: bytes) -> list[bytes]:
        return call(wire.node, lambda: [each.local for each in reader.read(addresses)])

    with wire.connection(server, mapped):
        assert listed(*wanted) == [packed_address(local)]
        assert listed(*wanted[1:]) == []
        assert listed() == []


def test_addresses_are_listed_by_interface(wire: Wire) -> None:
    found = call(wire.node, AddressReader().read)

    assert set(found[wire.index(wire.node)]) >= {NODE_IP, NODE_IP6}


def test_a_kernel_that_does_not_answer_costs_the_timeout() -> None:
    """NLMSG_NOOP is a request that the kernel passes over without a word."""
    netlink = Netlink(NETLINK_ROUTE, timeout_seconds=0.1)
    began = time.monotonic()
    with pytest.raises(SourceError, match=r"no answer within 0\.1 s"):
        netlink.dump(DumpRequest("nothing", 1, 99, b""))

    assert 0.1 <= time.monotonic() - began < 2.0


def test_a_refusal_of_the_kernel_is_named() -> None:
    """There is no address family 200."""
    with Netlink(NETLINK_SOCK_DIAG) as netlink, pytest.raises(SourceError, match="EINVAL"):
        netlink.dump(DumpRequest("socket dump", 20, 20, struct.pack("=BB54x", 200, 6)))


def test_the_socket_hears_the_kernel_only() -> None:
    """Another process cannot slip a false answer in."""
    with Netlink(NETLINK_ROUTE) as netlink:
        netlink.dump(DumpRequest("address dump", 22, 20, bytes(8)))
        ours: Any = netlink._socket
        with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, NETLINK_ROUTE) as stranger:
            stranger.bind((0, 0))
            with pytest.raises(ConnectionRefusedError):
                stranger.sendto(bytes(16), (ours.getsockname()[0], 0))
