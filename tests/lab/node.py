"""A node and what it is plugged into: two network namespaces, a veth, an agent on the node."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import urllib.error
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Self

from agent.program import Program
from lab.namespaces import batch, call, delete
from support.fetch import fetch_directly

if TYPE_CHECKING:
    from collections.abc import Sequence

_SUBNET = "10.78.0"
_DISCARD_PORT = 9


@dataclass(frozen=True)
class _Machine:
    """What a process inside a namespace sees: ip-netns(8) mounts the namespace's /sys."""

    sysfs: Path = Path("/sys")
    procfs: Path = Path("/proc")


class Plugged:
    """The namespaces `node` with rail0 and `leaf` with swp1, and a cable that can be pulled out."""

    def __init__(self) -> None:
        prefix = f"rwplug{os.getpid()}"
        self.node, self.leaf = f"{prefix}n", f"{prefix}l"
        self._open = ExitStack()

    def __enter__(self) -> Self:
        with ExitStack() as building:
            for namespace in (self.node, self.leaf):
                batch("ip", [f"netns add {namespace}"])
                building.callback(delete, namespace)
                batch("ip", ["link set lo up"], namespace)
            self.plug_in()
            self._open = building.pop_all()
        return self

    def __exit__(self, *exception: object) -> None:
        self._open.close()

    def plug_in(self) -> None:
        """Make the cable, with addresses and the node's default route through it."""
        batch("ip", [f"link add rail0 type veth peer name swp1 netns {self.leaf}"], self.node)
        batch("ip", [f"addr add {_SUBNET}.2/24 dev swp1", "link set swp1 up"], self.leaf)
        batch("ip", [f"addr add {_SUBNET}.1/24 dev rail0"], self.node)
        self._bring_up("rail0")

    def pull_out(self) -> None:
        """Take the node's interface away, and so the cable."""
        batch("ip", ["link delete rail0"], self.node)

    def rename(self, name: str, to: str) -> None:
        """Rename an interface of the node, which has to be down for that, as udev does it."""
        batch("ip", [f"link set {name} down", f"link set {name} name {to}"], self.node)
        self._bring_up(to)

    def _bring_up(self, name: str) -> None:
        route = f"route add default via {_SUBNET}.2 dev {name}"
        batch("ip", [f"link set {name} up", route], self.node)

    def send(self, datagrams: int, size: int = 1000) -> None:
        """Send as many datagrams from the node to nobody."""

        def shower() -> None:
            with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
                for _ in range(datagrams):
                    sender.sendto(bytes(size), (f"{_SUBNET}.2", _DISCARD_PORT))

        call(self.node, shower)

    def transmitted_bytes(self, name: str) -> int:
        """What the kernel says that an interface of the node has sent."""
        command = ["ip", "-n", self.node, "-s", "-j", "link", "show", "dev", name]
        listed = json.loads(subprocess.run(command, capture_output=True, check=True).stdout)
        return int(listed[0]["stats64"]["tx"]["bytes"])

    def prefix(self, namespace: str) -> list[str]:
        """What goes before a command line that is to run in *namespace*."""
        return ["ip", "netns", "exec", namespace]

    def agent(self, directory: Path, *arguments: str, toml: str = "") -> Program:
        """Return an agent on the node, to be entered."""
        prefix: Sequence[str] = self.prefix(self.node)
        return Program(
            directory,
            _Machine(),
            *arguments,
            toml=toml,
            prefix=prefix,
            fetch=self._fetch,
        )

    def _fetch(self, url: str) -> bytes:
        answer = call(self.node, lambda: _answer(url))
        if isinstance(answer, str):
            raise ConnectionError(answer)
        return answer


def _answer(url: str) -> bytes | str:
    """Return the body, or what went wrong: an error would carry its socket to another thread."""
    try:
        return fetch_directly(url)
    except urllib.error.HTTPError as exc:
        exc.close()
        return str(exc)
    except OSError as exc:
        return str(exc)
