"""A training cluster out of network namespaces: nodes with rails, a fabric, a management network.

Every node is a namespace with one veth per rail (`rail0`, `rail1`, …) and `mgmt0`. Their peers are
ports of bridges in one fabric namespace, which also has an address on the management network. tbf
shapes both ends of every rail, so that a rail has a line rate in each direction.
"""

from __future__ import annotations

import itertools
import os
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self, TypeVar

from lab import namespaces

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from types import TracebackType

T = TypeVar("T")

_clusters = itertools.count()
_FABRIC_HOST = 254
_FIRST_RAIL_NETWORK = 100
_MAX_NODES = 200
_TERMINATE_GRACE_SECONDS = 3.0
# Frames of TCP segments that the kernel keeps together (GSO). Whole, they cost a fifth of the CPU;
# at the kernel's own 64 KiB they would be 3 ms of a 200 Mbit/s rail each.
_FRAME_BYTES = 16 * 1024
# What a port lets through at once, as time at its rate, and always more than one frame: tbf cuts
# longer ones into packets, and the mean size of a frame must not give a slow port away.
_BURST_SECONDS = 0.001
_MIN_BURST_BYTES = 20_000
# A port's buffer is bytes, not time: a slower port queues for longer.
_PORT_BUFFER_BYTES = 512 * 1024
_SYSCTLS = {
    # A finished job must not teach its congestion window to the next one.
    "ipv4/tcp_no_metrics_save": "1",
    # Neighbour discovery would be the only packets of an idle rail.
    "ipv6/conf/all/disable_ipv6": "1",
    "ipv6/conf/default/disable_ipv6": "1",
}


@dataclass(frozen=True, slots=True)
class Fabric:
    """The switches: one bridge per rail and one for management."""

    namespace: str
    management_address: str = f"10.99.0.{_FABRIC_HOST}"

    @staticmethod
    def port(node: Node, rail: int) -> str:
        """Name of the switch port that `node`'s rail is plugged into."""
        return f"{node.name}-rail{rail}"


@dataclass(frozen=True, slots=True)
class Node:
    """One machine of the cluster."""

    index: int
    namespace: str

    @property
    def name(self) -> str:
        """What people call it: `n0`, `n1`, and so on."""
        return f"n{self.index}"

    @property
    def management_address(self) -> str:
        """Address on the management network, which no rail shares."""
        return f"10.99.0.{self.index + 1}"

    @staticmethod
    def rail_device(rail: int) -> str:
        """Name of the rail's network device inside the node."""
        return f"rail{rail}"

    def rail_address(self, rail: int) -> str:
        """Address on one rail."""
        return f"10.{_FIRST_RAIL_NETWORK + rail}.0.{self.index + 1}"


Place = Node | Fabric


def tbf(rate_bits_per_second: float) -> str:
    """Parameters of the token bucket that gives a port this line rate."""
    burst_bytes = max(_MIN_BURST_BYTES, int(rate_bits_per_second / 8 * _BURST_SECONDS))
    rate = int(rate_bits_per_second)
    return f"tbf rate {rate}bit burst {burst_bytes}b limit {_PORT_BUFFER_BYTES}b"


class Cluster:
    """A cluster that exists while its `with` block runs; it needs root.

    Nothing survives the block: no process, namespace or link, whatever ended it. If this very
    process is killed, a guardian process clears away within about a second.
    """

    def __init__(
        self, nodes: int = 4, rails: int = 2, rate_bits_per_second: int = 200_000_000
    ) -> None:
        if not 1 <= nodes <= _MAX_NODES:
            raise ValueError(f"nodes must be in 1..{_MAX_NODES}, got {nodes!r}")
        # The trailing dash keeps cluster 1 from owning the names of cluster 10.
        self.prefix = f"rw{os.getpid()}-{next(_clusters)}-"
        self.rails = rails
        self.rate_bits_per_second = rate_bits_per_second
        self.fabric = Fabric(f"{self.prefix}fabric")
        self.nodes = tuple(Node(index, f"{self.prefix}n{index}") for index in range(nodes))
        self._processes: list[subprocess.Popen[Any]] = []
        self._guardian: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        try:
            self._guardian = namespaces.guard(self.prefix)
            self._build()
        except BaseException:
            self._tear_down()
            raise
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._tear_down()

    def popen(self, place: Place, argv: Sequence[str], **kwargs: Any) -> subprocess.Popen[Any]:
        """Start `argv` in `place`; `kwargs` are Popen's. The process ends with the cluster.

        It sees the namespace's own `/sys/class/net`: `ip netns exec` mounts sysfs afresh.
        """
        inside = ["ip", "netns", "exec", place.namespace, *argv]
        process = subprocess.Popen(inside, **kwargs)
        self._processes.append(process)
        return process

    def run(self, place: Place, argv: Sequence[str], deadline_seconds: float = 30.0) -> str:
        """Return what `argv` printed in `place`; a failure or a missed deadline raises."""
        inside = ["ip", "netns", "exec", place.namespace, *argv]
        done = subprocess.run(
            inside, stdout=subprocess.PIPE, text=True, check=True, timeout=deadline_seconds
        )
        return done.stdout

    def in_namespace(self, place: Place, function: Callable[[], T]) -> T:
        """Return `function()` as called by a thread inside `place`, or raise what it raised."""
        return namespaces.call(place.namespace, function)

    def _build(self) -> None:
        places: list[Place] = [self.fabric, *self.nodes]
        namespaces.batch("ip", [f"netns add {place.namespace}" for place in places])
        for place in places:
            namespaces.call(place.namespace, _set_sysctls)
        namespaces.batch("ip", self._cables())
        namespaces.batch("ip", self._switches(), self.fabric.namespace)
        namespaces.batch("tc", self._switch_rates(), self.fabric.namespace)
        for node in self.nodes:
            namespaces.batch("ip", self._node_links(node), node.namespace)
            rates = [f"qdisc add dev rail{r} root {self._line_rate}" for r in range(self.rails)]
            namespaces.batch("tc", rates, node.namespace)

    @property
    def _line_rate(self) -> str:
        return tbf(self.rate_bits_per_second)

    @property
    def _networks(self) -> list[str]:
        return ["mgmt0", *(f"rail{rail}" for rail in range(self.rails))]

    def _cables(self) -> Iterator[str]:
        """Create both ends where they belong, so that the outer machine never sees them."""
        for node, network in itertools.product(self.nodes, self._networks):
            yield (
                f"link add name {network} netns {node.namespace} type veth "
                f"peer name {node.name}-{network} netns {self.fabric.namespace}"
            )

    def _switches(self) -> Iterator[str]:
        yield "link set dev lo up"
        for network in self._networks:
            yield f"link add name {network} type bridge forward_delay 0 mcast_snooping 0"
            for node in self.nodes:
                yield f"link set dev {node.name}-{network} master {network} up"
            yield f"link set dev {network} up"
        yield f"address add {self.fabric.management_address}/24 dev mgmt0"

    def _switch_rates(self) -> Iterator[str]:
        for node, rail in itertools.product(self.nodes, range(self.rails)):
            port = self.fabric.port(node, rail)
            yield f"qdisc add dev {port} root {self._line_rate}"
            yield f"qdisc add dev {port} clsact"  # where faults hang their filters

    def _node_links(self, node: Node) -> Iterator[str]:
        yield "link set dev lo up"
        yield f"address add {node.management_address}/24 dev mgmt0"
        yield "link set dev mgmt0 up"
        for rail in range(self.rails):
            device, address = node.rail_device(rail), node.rail_address(rail)
            yield f"address add {address}/24 dev {device}"
            yield f"link set dev {device} gso_max_size {_FRAME_BYTES} up"
            # A namespace may not make cubic its default where the machine's own default is another
            # (the sysctl answers EPERM), but the route may name it, for every socket that uses it.
            yield f"route replace {_subnet(rail)} dev {device} src {address} congctl cubic"

    def _tear_down(self) -> None:
        try:
            _end(self._processes)
        finally:
            for name in namespaces.names(self.prefix):
                namespaces.delete(name)
            if self._guardian is not None:
                namespaces.dismiss(self._guardian)


def _subnet(rail: int) -> str:
    return f"10.{_FIRST_RAIL_NETWORK + rail}.0.0/24"


def _set_sysctls() -> None:
    """Set the namespace's own kernel settings: /proc/sys/net shows those of the calling thread."""
    for key, value in _SYSCTLS.items():
        Path("/proc/sys/net", key).write_text(value, encoding="ascii")


def _end(processes: Sequence[subprocess.Popen[Any]]) -> None:
    """Terminate each process, kill those that outlive the grace, and close their pipes."""
    running = [process for process in processes if process.poll() is None]
    for process in running:
        process.terminate()
    deadline = time.monotonic() + _TERMINATE_GRACE_SECONDS
    for process in running:
        try:
            process.wait(max(0.0, deadline - time.monotonic()))
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
    for process in processes:
        for pipe in (process.stdin, process.stdout, process.stderr):
            if pipe is not None:
                pipe.close()
