# SPDX-License-Identifier: Apache-2.0
"""What `plan` found, as a table and as JSON."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from rich.console import Console
from rich.table import Table

from railwatch_analyzer.plan.collectives import Algorithm
from railwatch_analyzer.plan.estimate import seconds
from railwatch_analyzer.plan.job import GBIT

if TYPE_CHECKING:
    from railwatch_analyzer.plan.estimate import Estimate
    from railwatch_analyzer.plan.job import Job
    from railwatch_analyzer.plan.traffic import Flow

_WIDTH = 112
_COLUMNS = ("for", "collective", "GPUs", "nodes", "a step", "array", "a rail sends", *Algorithm)


@dataclass(frozen=True, slots=True)
class Measured:
    """What is known of a running job, and what it asks of its rails."""

    bytes_per_step: float
    step_seconds: float
    exposed_seconds: float
    line_rate: float
    efficiency: float
    demand_ratio: float

    @property
    def least_seconds(self) -> float:
        """What a rail needs for these bytes."""
        return self.bytes_per_step / (self.line_rate * self.efficiency)

    @property
    def sufficient_line_rate(self) -> float:
        """At which all could be hidden, if overlap were perfect."""
        return self.demand_ratio * self.line_rate / self.efficiency


def as_json(
    planned: tuple[Job, Estimate] | None, measured: Measured | None, assumptions: list[str]
) -> dict[str, object]:
    """Return what was found, in bytes, seconds and ratios."""
    found: dict[str, object] = {"assumptions": assumptions}
    if planned is not None:
        found["plan"] = _plan_json(*planned)
    if measured is not None:
        found["measured"] = {
            "bytes_per_step": measured.bytes_per_step,
            "step_seconds": measured.step_seconds,
            "exposed_seconds": measured.exposed_seconds,
            "least_network_seconds": measured.least_seconds,
            "bandwidth_demand_ratio": measured.demand_ratio,
            "sufficient_line_rate_bytes_per_second": measured.sufficient_line_rate,
        }
    return found


def _plan_json(job: Job, found: Estimate) -> dict[str, object]:
    flows = [timed.flow for timed in found.flows] + list(found.inside)
    return {
        "parameters": job.model.parameters,
        "data_parallel": job.parallelism.data,
        "flows": [_flow_json(job, flow) for flow in flows],
        "bytes_per_step_and_rail": found.rail_bytes,
        "network_seconds": found.network_seconds,
        "compute_seconds": found.compute_seconds,
        "bubble_seconds": found.bubble_seconds,
        "node_seconds": found.node_seconds,
        "least_step_seconds": found.step_seconds(1.0),
        "expected_step_seconds": found.step_seconds(found.overlap),
        "exposed_ratio": {
            "all_hideable_hidden": found.exposed_share(1.0),
            "expected": found.exposed_share(found.overlap),
            "none_hidden": found.exposed_share(0.0),
        },
        "never_hidden_seconds": found.never_hidden_seconds,
        "sufficient_line_rate_bytes_per_second": found.sufficient_line_rate,
    }


def _flow_json(job: Job, flow: Flow) -> dict[str, object]:
    sent = flow.node_bytes(job.cluster.algorithm) / job.cluster.nics_per_node
    return {
        "source": flow.source,
        "collective": flow.collective,
        "ranks": flow.group.size,
        "nodes": flow.group.nodes,
        "times": flow.times,
        "array_bytes": flow.message_bytes,
        "rail_bytes": sent,
        "hidden_under": flow.window,
        "seconds": {item.value: sum(seconds(job, flow, item)) for item in Algorithm},
    }


def write(
    planned: tuple[Job, Estimate] | None, measured: Measured | None, assumptions: list[str]
) -> None:
    """Write what was found for a person."""
    console = Console(width=_WIDTH, highlight=False, soft_wrap=True)
    if planned is not None:
        job, found = planned
        console.print(_table(job, found))
        for line in (_totals(found), _steps(found), *_shares(found), *_remedy(found)):
            console.print(line, markup=False)
    if measured is not None:
        for line in _measured_lines(measured, planned):
            console.print(line, markup=False)
    for text in assumptions:
        console.print(f"assumed: {text}", markup=False)


def _table(job: Job, found: Estimate) -> Table:
    table = Table(box=None, pad_edge=False)
    for name in _COLUMNS:
        table.add_column(name, justify="left" if name in _COLUMNS[:2] else "right", no_wrap=True)
    for flow in [*(timed.flow for timed in found.flows), *found.inside]:
        sent = flow.node_bytes(job.cluster.algorithm) / job.cluster.nics_per_node
        times = [f"{sum(seconds(job, flow, item)):.3g} s" for item in Algorithm]
        table.add_row(
            flow.source,
            flow.collective,
            str(flow.group.size),
            str(flow.group.nodes),
            f"{flow.times} x",
            _size(flow.message_bytes),
            *((_size(sent), *times) if flow.group.crosses else ("-", "-", "-", "-")),
        )
    return table


def _totals(found: Estimate) -> str:
    return (
        f"a rail sends {_size(found.rail_bytes)} a step, in {found.network_seconds:.3g} s at least"
    )


def _steps(found: Estimate) -> str:
    parts = [f"compute {found.compute_seconds:.3g}"]
    if found.bubble_seconds:
        parts.append(f"bubble {found.bubble_seconds:.3g}")
    if found.node_seconds:
        parts.append(f"within nodes {found.node_seconds:.3g}")
    parts.append(f"exposed {found.exposed_seconds(1.0):.3g}")
    return f"least step {found.step_seconds(1.0):.3g} s: {', '.join(parts)}"


def _shares(found: Estimate) -> tuple[str, str]:
    shares = [found.exposed_share(overlap) for overlap in (1.0, found.overlap, 0.0)]
    least, expected, most = (f"{100 * share:.2g} %" for share in shares)
    return (
        f"exposed share {expected} expected, at an overlap of {found.overlap:g}",
        f"  between {least} (all hidden that can be) and {most} (nothing hidden)",
    )


def _remedy(found: Estimate) -> list[str]:
    lines = []
    rate = found.sufficient_line_rate
    if rate is None:
        lines.append("no line rate hides all that can be hidden at this overlap")
    elif rate:
        lines.append(f"what can be hidden is, at this overlap, from {_gbit(rate)} a rail")
    if found.never_hidden_seconds:
        lines.append(
            f"{found.never_hidden_seconds:.3g} s of tensor or expert parallelism are never hidden"
        )
    return lines


def _measured_lines(measured: Measured, planned: tuple[Job, Estimate] | None) -> list[str]:
    mean = measured.bytes_per_step / measured.step_seconds
    usable = measured.line_rate * measured.efficiency
    need = _gbit(measured.sufficient_line_rate)
    share = 100 * measured.least_seconds / measured.step_seconds
    lines = [
        f"measured: {_size(measured.bytes_per_step)} a rail and step",
        f"  a step takes {measured.step_seconds:.4g} s, exposed {measured.exposed_seconds:.3g} s",
        f"  {_gbit(mean)} on average, {_gbit(usable)} provided",
        f"  {measured.least_seconds:.3g} s at that rate, {share:.2g} % of the step",
        f"  demand ratio {measured.demand_ratio:.3g}",
        f"  with perfect overlap all is hidden from {need} a rail",
    ]
    if planned is not None:
        ratio = measured.bytes_per_step / planned[1].rail_bytes if planned[1].rail_bytes else None
        if ratio is not None:
            lines.append(f"  {ratio:.3g} times the bytes of the plan")
    return lines


def _gbit(rate: float) -> str:
    rate /= GBIT
    return f"{rate:.0f} Gbit/s" if rate >= 100 else f"{rate:.3g} Gbit/s"


def _size(size: float) -> str:
    for unit, scale in (("TB", 1e12), ("GB", 1e9), ("MB", 1e6), ("kB", 1e3)):
        if size >= scale:
            return f"{size / scale:.3g} {unit}"
    return f"{size:.3g} B"
