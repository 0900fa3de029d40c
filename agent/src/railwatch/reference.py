# SPDX-License-Identifier: Apache-2.0
"""METRICS.md and CONFIGURATION.md, written from the catalogue and the settings."""

from __future__ import annotations

import dataclasses
import typing
from typing import TYPE_CHECKING, Any

from railwatch.catalogue import METRICS
from railwatch.catalogue.metric import PREFIX, Scope
from railwatch.settings import kind_name

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from railwatch.catalogue.metric import MetricSpec

# What METRICS.md says of each subsystem, the word after the prefix.
_SUBSYSTEMS = {
    "rail": "Rails: the vendor-neutral view of the NICs that carry training traffic",
    "gpu": "GPUs, through NVML; what each means on which GPU is in [GPU.md](GPU.md)",
    "step": "Training steps of the jobs on the node",
    "rdma": "Counters of RDMA drivers: for people, off by default",
    "ethtool": "Driver statistics: for people, off by default",
    "host": "Host",
    "agent": "The agent about itself",
    "link": "Verdicts on links, by the analyzer",
    "job": "Jobs: who runs on a node, by the agent; what bounds them, by the analyzer",
    "straggler": "Who keeps a job waiting, by the analyzer",
    "analyzer": "The analyzer about itself",
}


def metrics_page() -> str:
    """Return METRICS.md."""
    lines = [
        "# Metrics",
        "",
        "Generated from the catalogue by `make golden`. Series: of one family, for one of its",
        "scope. Counters are cumulative, and a fall is a reset. What the hardware does not keep",
        "has no series: absent, zero and unknown are three things.",
        "",
    ]
    for subsystem, title in _SUBSYSTEMS.items():
        specs = [s for s in METRICS if s.name.startswith(f"{PREFIX}{subsystem}_")]
        lines += [f"## {title}", "", *_metric_table(specs), ""]
    return "\n".join([*lines, *_series_table()]) + "\n"


def _metric_table(specs: list[MetricSpec]) -> Iterator[str]:
    yield "| metric | type | labels | series | meaning | source |"
    yield "|---|---|---|---|---|---|"
    for spec in specs:
        labels = ", ".join(spec.labels)
        meaning = spec.help
        if spec.values:
            meaning += f" `{spec.labels[-1]}`: {', '.join(spec.values)}."
        cells = (f"`{spec.name}`", spec.type, labels, f"{spec.series} per {spec.scope}")
        yield f"| {' | '.join((*cells, meaning, _escaped(spec.source)))} |"


def _escaped(text: str) -> str:
    return text.replace("|", r"\|").replace("*", r"\*")


def _series_table() -> Iterator[str]:
    yield "## Series in all"
    yield ""
    yield "| scope | series each |"
    yield "|---|---|"
    for scope, total in counts_by_scope().items():
        yield f"| {scope} | {total} |"


def configuration_page(files: Mapping[str, type]) -> str:
    """Return CONFIGURATION.md for *files*, file name → dataclass that describes it."""
    lines = [
        "# Configuration",
        "",
        "Generated from the settings by `make golden`. Flag before environment before file before",
        "default: `--sampler.interval_seconds 0.05` is `RAILWATCH_AGENT_SAMPLER_INTERVAL_SECONDS`",
        "(the analyzer's variables begin with `RAILWATCH_ANALYZER_`). Unknown keys are refused.",
        "Reload: a change holds after `systemctl reload` or SIGHUP; others need a restart.",
        "",
    ]
    for name, schema in files.items():
        lines += [f"## {name}", "", "| key | type | default | range | reload | meaning |"]
        lines += ["|---|---|---|---|---|---|", *_keys(schema, ""), ""]
    return "\n".join(lines)


def _keys(schema: Any, path: str) -> Iterator[str]:
    hints = typing.get_type_hints(schema)
    for field in dataclasses.fields(schema):
        kind = hints[field.name]
        item = typing.get_args(kind)[0] if typing.get_origin(kind) is tuple else None
        if dataclasses.is_dataclass(kind):
            yield from _keys(kind, f"{path}[{field.name}] ")
        elif item is not None and dataclasses.is_dataclass(item):
            yield from _keys(item, f"{path}[[{field.name}]] ")
        else:
            yield _key_row(field, kind, path)


def _key_row(field: dataclasses.Field[Any], kind: Any, path: str) -> str:
    facts = field.metadata
    low, high = facts["minimum"], facts["maximum"]
    bounds = "" if low is None and high is None else f"{_bound(low)} to {_bound(high)}"
    cells = (
        f"`{path}{field.name}`",
        _kind_name(kind),
        _default(field),
        bounds,
        "yes" if facts["live"] else "",
        facts["doc"],
    )
    return f"| {' | '.join(cells)} |"


def _bound(value: float | None) -> str:
    return "any" if value is None else f"{value:g}"


def _kind_name(kind: Any) -> str:
    if typing.get_origin(kind) is tuple:
        return f"array, each {kind_name(typing.get_args(kind)[0])}"
    return kind_name(kind)


def _default(field: dataclasses.Field[Any]) -> str:
    if field.default is dataclasses.MISSING:
        return "required"
    if field.default is None or field.default == ():
        return "none"
    if isinstance(field.default, tuple):
        return ", ".join(f"`{value}`" for value in field.default)
    text = str(field.default).lower() if isinstance(field.default, bool) else str(field.default)
    return f"`{text}`"


def counts_by_scope() -> dict[Scope, int]:
    """Return how many series the catalogue has for one of each scope."""
    return {scope: sum(spec.series for spec in METRICS if spec.scope is scope) for scope in Scope}
