"""Faults of one rail of a lab cluster, each a context manager that lifts it again.

Transmit and receive are the node's. `share` is a share of the rail's line rate or of its frames.
Knowledge: tc-tbf(8), tc-mirred(8), tc-bpf(8), linux/filter.h.
"""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

from lab.cluster import tbf
from lab.namespaces import batch

if TYPE_CHECKING:
    from collections.abc import Iterator

    from lab.cluster import Cluster, Node

# Preferences keep the filters of different faults on one port apart.
_HIDDEN_CAP_PREFERENCE = 10
_LOSS_PREFERENCE = 20
# SKF_AD_OFF + SKF_AD_RANDOM: loading from here gives 32 random bits.
_RANDOM = 0x1_0000_0000 - 0x1000 + 56
_PASS, _DROP = 0, 2  # TC_ACT_OK, TC_ACT_SHOT


@contextmanager
def cap_transmit(cluster: Cluster, node: Node, rail: int, share: float) -> Iterator[None]:
    """Slow what the node sends, in the node: its own queue fills."""
    with _slower(cluster, node.namespace, node.rail_device(rail), share):
        yield


@contextmanager
def cap_receive(cluster: Cluster, node: Node, rail: int, share: float) -> Iterator[None]:
    """Slow what the node receives, at the switch: no queue of the node shows it."""
    with _slower(cluster, cluster.fabric.namespace, cluster.fabric.port(node, rail), share):
        yield


@contextmanager
def hidden_cap(cluster: Cluster, node: Node, rail: int, share: float) -> Iterator[None]:
    """Slow what the node sends once it has left it: it passes an ifb device behind the port."""
    fabric, port = cluster.fabric.namespace, cluster.fabric.port(node, rail)
    device = f"ifb-{port}"
    rate = tbf(cluster.rate_bits_per_second * _checked(share))
    where = f"dev {port} ingress pref {_HIDDEN_CAP_PREFERENCE}"
    redirect = f"u32 match u32 0 0 action mirred egress redirect dev {device}"
    batch("ip", [f"link add name {device} type ifb", f"link set dev {device} up"], fabric)
    try:
        add = [f"qdisc add dev {device} root {rate}", f"filter add {where} protocol all {redirect}"]
        batch("tc", add, fabric)
        try:
            yield
        finally:
            batch("tc", [f"filter del {where}"], fabric)
    finally:
        batch("ip", [f"link del dev {device}"], fabric)


@contextmanager
def link_down(cluster: Cluster, node: Node, rail: int) -> Iterator[None]:
    """Take the switch port down: the node loses its carrier."""
    fabric, port = cluster.fabric.namespace, cluster.fabric.port(node, rail)
    batch("ip", [f"link set dev {port} down"], fabric)
    try:
        yield
    finally:
        batch("ip", [f"link set dev {port} up"], fabric)


@contextmanager
def loss_transmit(cluster: Cluster, node: Node, rail: int, share: float) -> Iterator[None]:
    """Lose a share of the frames that the node sends, at the switch port: it counts them as sent.

    A frame is lost whole, with up to eleven TCP segments in it.
    """
    with _loss(cluster, f"dev {cluster.fabric.port(node, rail)} ingress", share):
        yield


@contextmanager
def loss_receive(cluster: Cluster, node: Node, rail: int, share: float) -> Iterator[None]:
    """Lose a share of the frames towards the node, before its switch port has sent them."""
    with _loss(cluster, f"dev {cluster.fabric.port(node, rail)} egress", share):
        yield


@contextmanager
def _slower(cluster: Cluster, namespace: str, device: str, share: float) -> Iterator[None]:
    change = f"qdisc change dev {device} root"
    batch("tc", [f"{change} {tbf(cluster.rate_bits_per_second * _checked(share))}"], namespace)
    try:
        yield
    finally:
        batch("tc", [f"{change} {tbf(cluster.rate_bits_per_second)}"], namespace)


@contextmanager
def _loss(cluster: Cluster, hook: str, share: float) -> Iterator[None]:
    where = f"{hook} pref {_LOSS_PREFERENCE}"
    program = f"bpf bytecode '{_drop_program(_checked(share))}' direct-action"
    batch("tc", [f"filter add {where} protocol all {program}"], cluster.fabric.namespace)
    try:
        yield
    finally:
        batch("tc", [f"filter del {where}"], cluster.fabric.namespace)


def _drop_program(share: float) -> str:
    """Classic BPF that drops `share` of the frames: no compiler, no package, no netem.

    >>> _drop_program(0.5)
    '4,32 0 0 4294963256,53 0 1 2147483648,6 0 0 0,6 0 0 2'
    """
    threshold = int(share * 0x1_0000_0000)
    load_random = f"32 0 0 {_RANDOM}"
    unless_at_least_skip_one = f"53 0 1 {threshold}"
    return f"4,{load_random},{unless_at_least_skip_one},6 0 0 {_PASS},6 0 0 {_DROP}"


def _checked(share: float) -> float:
    if not 0.0 < share < 1.0:
        raise ValueError(f"share must be between 0 and 1, got {share!r}")
    return share
