"""railwatch as an operator installs it, on a lab cluster: an agent a node, one analyzer, the stack.

Everything but the agents lives in the fabric's namespace and reaches them over the management
network.
"""

from __future__ import annotations

import json
import sys
from contextlib import ExitStack
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from agent.program import read_metrics
from support.fetch import fetch_directly
from support.process import Process
from support.service import Service
from support.stack import Stack

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from agent.program import Metrics
    from lab.cluster import Cluster, Node

AGENT_PORT = 9810
ANALYZER = "127.0.0.1:9811"
# Programs are those of the environment that runs the tests.
_BIN = Path(sys.executable).parent


def _prefix(namespace: str) -> list[str]:
    return ["ip", "netns", "exec", namespace]


@dataclass(frozen=True, slots=True)
class Equipment:
    """What else a node has.

    Tables of agent.toml, keys of its [sampler], the agent's environment, what goes before its name.
    """

    toml: str = ""
    sampler: str = ""
    environment: Mapping[str, str] = field(default_factory=dict)
    prefix: Sequence[str] = ()


class Agents:
    """`railwatch-agent run` in every node of *cluster*, with *equipment* by the node's name."""

    def __init__(
        self,
        cluster: Cluster,
        directory: Path,
        window_seconds: float,
        equipment: Mapping[str, Equipment] | None = None,
    ) -> None:
        self.processes: dict[str, Process] = {}
        for node in cluster.nodes:
            folder = directory / f"agent-{node.name}"
            folder.mkdir()
            equipped = (equipment or {}).get(node.name, Equipment())
            sampler = f"window_seconds = {window_seconds}\n{equipped.sampler}"
            toml = _agent_toml(cluster, node, folder, sampler) + equipped.toml
            config = folder / "agent.toml"
            config.write_text(toml)
            argv = [str(_BIN / "railwatch-agent"), "run", "--config", str(config)]
            self.processes[node.name] = Process(
                [*_prefix(node.namespace), *equipped.prefix, *argv],
                log=folder / "agent.log",
                environment=equipped.environment,
            )
        self._open = ExitStack()

    def __enter__(self) -> Self:
        with ExitStack() as starting:
            for process in self.processes.values():
                starting.enter_context(process)
            self._open = starting.pop_all()
        return self

    def __exit__(self, *exception: object) -> None:
        self._open.close()


def agent_addresses(cluster: Cluster) -> list[str]:
    """Where the agents of *cluster* listen."""
    return [f"{node.management_address}:{AGENT_PORT}" for node in cluster.nodes]


def node_of(node: Node) -> str:
    """The name of *node* in railwatch: the agent's instance without its port."""
    return node.management_address


def scrape(cluster: Cluster, node: Node) -> Metrics:
    """Return what the agent of *node* exposes, asked from the fabric."""
    url = f"http://{node.management_address}:{AGENT_PORT}/metrics"
    fetch = partial(fetch_directly, url)
    return read_metrics(cluster.in_namespace(cluster.fabric, fetch).decode())


def _agent_toml(cluster: Cluster, node: Node, directory: Path, sampler: str) -> str:
    line_rate = cluster.rate_bits_per_second / 8
    rails = "".join(
        f'[[rails]]\ndevice = "{node.rail_device(rail)}"\nrail = {rail}\n'
        f"line_rate_bytes_per_second = {line_rate}\n"
        for rail in range(cluster.rails)
    )
    return (
        f'[server]\nlisten = "{node.management_address}:{AGENT_PORT}"\ninsecure = true\n'
        f'[paths]\nstate = "{directory}"\n'
        f"[sampler]\n{sampler}{rails}"
    )


class Analyzer(Service):
    """`railwatch-analyzer run` in the fabric, with *source* as the body of its [source] table."""

    name = "analyzer"

    def __init__(self, cluster: Cluster, directory: Path, source: str) -> None:
        prefix = _prefix(cluster.fabric.namespace)
        super().__init__(directory, listen=ANALYZER, prefix=prefix)
        (directory / "analyzer.toml").write_text(
            f"[source]\n{source}\n[cycle]\ninterval_seconds = 1\n"
            f'[server]\nlisten = "{ANALYZER}"\n[paths]\nstate = "{directory}"\n'
        )

    def arguments(self) -> list[str]:
        """The command line, program first."""
        config = str(self.directory / "analyzer.toml")
        return [str(_BIN / "railwatch-analyzer"), "run", "--config", config]

    def links(self) -> dict[str, Any]:
        """What `/api/v1/links` answers."""
        found: dict[str, Any] = json.loads(self.fetch(f"{self.url}/api/v1/links"))
        return found

    def has_learned(self) -> bool:
        """Whether every link is judged."""
        links = self.links()["links"]
        return bool(links) and all(link["verdict"] != "unknown" for link in links)


class Deployment:
    """Agents, the stack and an analyzer that reads the stack's Prometheus, at 1 s throughout."""

    def __init__(self, cluster: Cluster, directory: Path, *, window_seconds: float = 5.0) -> None:
        prefix = _prefix(cluster.fabric.namespace)
        targets = {
            "railwatch-agent": agent_addresses(cluster),
            "railwatch-analyzer": [ANALYZER],
        }
        self.agents = Agents(cluster, directory, window_seconds)
        self.stack = Stack(directory, targets, prefix=prefix)
        source = f'prometheus = "http://{self.stack.prometheus.address}"'
        self.analyzer = Analyzer(cluster, directory, source)
        self._open = ExitStack()

    def __enter__(self) -> Self:
        with ExitStack() as starting:
            for part in (self.agents, self.stack, self.analyzer):
                starting.enter_context(part)
            self._open = starting.pop_all()
        return self

    def __exit__(self, *exception: object) -> None:
        self._open.close()
