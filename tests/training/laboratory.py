"""A cluster that trains: an agent and a GPU in every node, ranks on all of them, and what is seen.

GPUs are the stand-in for NVML, of a kind of instrument each; what the ranks' devices do is replayed
on them as it happens.
"""

from __future__ import annotations

import json
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Self

from agent.program import read_metrics
from lab.cluster import Cluster
from lab.deployment import Agents, Analyzer, Equipment, agent_addresses, scrape
from support.conditions import wait_until
from support.fetch import fetch_directly
from support.nvml import Stage, a100, h100
from training.job import FIRST, Ranks

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from agent.program import Metrics
    from lab.cluster import Node
    from support.nvml import Profile
    from training.job import Run
    from training.plan import Plan

_JOB_INFO = "railwatch_job_info"
_PATIENCE_SECONDS = 60.0
_NANOSECONDS = 1e9
_WINDOW_SECONDS = 2.0
# As often as rails are sampled; the default of 0.1 s is for steps of seconds.
_FAST_INTERVAL_SECONDS = 0.02
# Caches are cold where everything is on two cores; `make bench` measures what an agent costs.
_SAMPLER = "cpu_budget_ratio = 1.0\n"


@dataclass(frozen=True, slots=True)
class Instrument:
    """How a node's GPU shows that it computes, and over how long what it shows is a mean."""

    name: str
    profile: Callable[[], Profile]
    energy_seconds: float


# Its counter moves often beside the interval: a reading that is late by less says little wrong.
ENERGY = Instrument("energy, 20 ms", a100, 0.005)
GPM = Instrument("GPM, 120 ms", h100, 0.005)
SLOW_POWER = Instrument("power, 1 s", a100, 1.0)


class Laboratory:
    """Everything up, as long as the context lasts; node *i* has the *i*-th of the instruments."""

    def __init__(self, directory: Path, instruments: Sequence[Instrument]) -> None:
        self._directory = directory
        self.instruments = tuple(instruments)
        self.cluster = Cluster(nodes=len(self.instruments), rails=1)
        targets = json.dumps(agent_addresses(self.cluster))
        self.analyzer = Analyzer(self.cluster, directory, f"targets = {targets}")
        self._open = ExitStack()
        self.ranks: Ranks

    def __enter__(self) -> Self:
        with ExitStack() as starting:
            starting.enter_context(self.cluster)
            equipment = {}
            stages = []
            for node, instrument in zip(self.nodes, self.instruments, strict=True):
                stage = starting.enter_context(self._stage(node, instrument))
                stages.append(stage.path)
                equipment[node.name] = Equipment(
                    toml=self._toml(node),
                    sampler=_SAMPLER,
                    environment=stage.environment(),
                    prefix=FIRST,
                )
            sockets = [self.socket(node) for node in self.nodes]
            self.ranks = Ranks(self.cluster, self._directory / "ranks", stages, sockets)
            starting.enter_context(self.ranks)
            agents = Agents(self.cluster, self._directory, _WINDOW_SECONDS, equipment)
            starting.enter_context(agents)
            # Importing takes all there is of two cores.
            self.ranks.await_ready()
            starting.enter_context(self.analyzer)
            self._open = starting.pop_all()
        return self

    def __exit__(self, *exception: object) -> None:
        self._open.close()

    @property
    def nodes(self) -> tuple[Node, ...]:
        """The nodes of the cluster, one a rank."""
        return self.cluster.nodes

    def begin(self, plan: Plan) -> Run:
        """Let all ranks train, once all agents know whose the nodes are, as after a prolog."""
        for node in self.nodes:
            self._id_file(node).write_text(f"{plan.job_id}\n", encoding="ascii")

        def known() -> bool:
            return all(
                any(("job_id", plan.job_id) in labels for labels in of.get(_JOB_INFO, ()))
                for of in self.scrape()
            )

        wait_until(known, _PATIENCE_SECONDS, f"all agents know {plan.job_id}", poll_seconds=0.5)
        run = self.ranks.begin(plan)
        run.await_steps(1, _PATIENCE_SECONDS)
        return run

    def scrape(self) -> list[Metrics]:
        """Return what the agent of each node exposes now."""
        return [scrape(self.cluster, node) for node in self.nodes]

    def verdicts(self) -> Metrics:
        """Return what the analyzer exposes now."""
        fetch = partial(fetch_directly, f"{self.analyzer.url}/metrics")
        return read_metrics(self.cluster.in_namespace(self.cluster.fabric, fetch).decode())

    def _stage(self, node: Node, instrument: Instrument) -> Stage:
        stage = Stage(self._directory / f"{node.name}.nvml", [instrument.profile()])
        stage.gpus[0].values.energy_period = round(instrument.energy_seconds * _NANOSECONDS)
        return stage

    def _toml(self, node: Node) -> str:
        return (
            f'[job]\nid_file = "{self._id_file(node)}"\n'
            f'[steps]\nsocket = "{self.socket(node)}"\n'
            f"[gpus]\nfast_interval_seconds = {_FAST_INTERVAL_SECONDS}\n"
        )

    def socket(self, node: Node) -> Path:
        """Where the agent of *node* hears the job's markers."""
        return self._directory / f"{node.name}.sock"

    def _id_file(self, node: Node) -> Path:
        return self._directory / f"{node.name}.job"
