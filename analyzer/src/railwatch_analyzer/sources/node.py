# SPDX-License-Identifier: Apache-2.0
"""A node's name out of the `instance` label of its agent."""

from __future__ import annotations

import re
from collections import Counter
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Collection

_PORT = re.compile(r":\d+")


def node_name(instance: str) -> str:
    """Return *instance* without its port; an IPv6 address keeps its brackets, as in a URL.

    >>> [node_name(i) for i in ("gpu-003:9810", "gpu-003", "[2001:db8::1]:9810")]
    ['gpu-003', 'gpu-003', '[2001:db8::1]']

    Without brackets the last group of an IPv6 address only looks like a port.

    >>> node_name("2001:db8::1:9810")
    '2001:db8::1:9810'
    """
    host, colon, port = instance.rpartition(":")
    is_address = ":" in host and not host.endswith("]")
    if not host or is_address or not _PORT.fullmatch(colon + port):
        return instance
    return host


def shared_hosts(instances: Collection[str]) -> set[str]:
    """Return the node names that more than one of *instances*, which are distinct, would have.

    Where two agents share a host they keep their ports: mixed under one name, each would look
    like the other's restart.

    >>> shared_hosts(["a:1", "b:1", "b:2"])
    {'b'}
    """
    uses = Counter(node_name(instance) for instance in instances)
    return {name for name, count in uses.items() if count > 1}


def node_names(instances: Collection[str], shared: Collection[str] | None = None) -> dict[str, str]:
    """Return the node of each of *instances*; those on *shared* hosts stay whole.

    By default the hosts are those that *instances* share.

    >>> node_names(["a:1", "b:1"])
    {'a:1': 'a', 'b:1': 'b'}
    >>> node_names(["a:1", "b:1"], shared={"b"})
    {'a:1': 'a', 'b:1': 'b:1'}
    """
    shared = shared_hosts(instances) if shared is None else shared
    names = {instance: node_name(instance) for instance in instances}
    return {instance: instance if n in shared else n for instance, n in names.items()}
