# SPDX-License-Identifier: Apache-2.0
"""Which families of the catalogue the rails show here; each that they do not is named too."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from railwatch.catalogue import METRICS
from railwatch.catalogue.metric import Scope
from railwatch.catalogue.rail import (
    ETHTOOL_STATISTIC,
    RAIL_RECEIVE_BYTES,
    RAIL_RECEIVE_UTILIZATION,
    RAIL_SPEED,
    RAIL_TRANSMIT_UTILIZATION,
    RDMA_COUNTER,
    RECEIVE_WINDOW,
    TRANSMIT_WINDOW,
)
from railwatch_agent.collectors.window import WindowCollector
from railwatch_agent.doctor.checks import Answer
from railwatch_agent.doctor.findings import Finding, Section, Status

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator, Mapping

    from railwatch.catalogue.metric import MetricSpec, Sample
    from railwatch_agent.inventory import Rail
    from railwatch_agent.settings import AgentSettings

# How the catalogue says that a family is computed and not read.
_COMPUTED: Final = "fast samples"
_SHARES_OF_LINE_RATE: Final = (
    RECEIVE_WINDOW["duty"],
    TRANSMIT_WINDOW["duty"],
    RAIL_RECEIVE_UTILIZATION,
    RAIL_TRANSMIT_UTILIZATION,
)


def metric_findings(
    rail: Rail,
    samples: Iterable[Sample],
    disabled: Collection[str],
    *,
    why: Mapping[MetricSpec, Answer],
    has_failures: bool,
) -> Iterator[Finding]:
    """Yield for each family of the rails whether *samples* have it for this one.

    *why* says of some families why they are absent, if they are; of any other a rail that
    *has_failures* of reading may lack it for that reason.
    """
    seen: dict[MetricSpec, set[str]] = {}
    for sample in samples:
        if sample.labels[: len(rail.labels)] == rail.labels:
            seen.setdefault(sample.spec, set()).add(sample.labels[-1])
    reason = f"neither {rail.driver or 'its driver'} nor the kernel keeps it"
    if has_failures:
        reason += ", or its reading failed (see sources)"
    absent = Answer(Status.ABSENT, reason, _off(disabled))
    for spec in METRICS:
        if spec.scope is Scope.RAIL:
            if spec.source.startswith(_COMPUTED):
                yield _finding(rail, spec, _computed(spec, seen, disabled))
            else:
                yield from _read(rail, spec, seen.get(spec), why.get(spec, absent))


def _read(
    rail: Rail, spec: MetricSpec, seen: Collection[str] | None, absent: Answer
) -> Iterator[Finding]:
    """Yield what was *seen* of a family, by the values of its last label where those are known."""
    if seen is None or not spec.values:
        yield _finding(rail, spec, absent if seen is None else Answer(Status.OK))
        return
    for answer, is_kept in ((Answer(Status.OK), True), (absent, False)):
        values = tuple(value for value in spec.values if (value in seen) is is_kept)
        if values:
            yield _finding(rail, spec, answer, values)


def _finding(rail: Rail, spec: MetricSpec, answer: Answer, values: tuple[str, ...] = ()) -> Finding:
    return Finding(Section.METRICS, spec.name, *answer, rail.number, values, spec.source)


def _off(disabled: Collection[str]) -> str:
    """Return that a collector which is off may have what is absent."""
    names = ", ".join(sorted(disabled))
    return f"unless it is of what [collectors] disable names: {names}" if names else ""


def _computed(
    spec: MetricSpec, seen: Mapping[MetricSpec, object], disabled: Collection[str]
) -> Answer:
    if WindowCollector.name in disabled:
        return Answer(Status.OFF, change=f"take {WindowCollector.name} out of [collectors] disable")
    if RAIL_RECEIVE_BYTES not in seen:
        return Answer(Status.ABSENT, "there are no bytes to sample")
    if spec in _SHARES_OF_LINE_RATE and RAIL_SPEED not in seen:
        change = "[[rails]] line_rate_bytes_per_second"
        return Answer(Status.ABSENT, "a share of the line rate, which nothing tells", change)
    return Answer(Status.OK)


def allowed_findings(samples: Iterable[Sample], settings: AgentSettings) -> Iterator[Finding]:
    """Yield what became of the vendors' counters that configuration names."""
    seen = {(sample.spec, sample.labels[-1]) for sample in samples if sample.labels}
    for spec, key, names in (
        (RDMA_COUNTER, "[rdma] counters", settings.rdma.counters),
        (ETHTOOL_STATISTIC, "[ethtool] statistics", settings.ethtool.statistics),
    ):
        if not names:
            yield Finding(Section.METRICS, spec.name, Status.OFF, f"{key} names none", key)
        for name in names:
            found = (spec, name) in seen
            status = Status.OK if found else Status.ABSENT
            detail = "" if found else "no rail's driver has it"
            yield Finding(Section.METRICS, spec.name, status, detail, values=(name,))


def optional_findings(
    rail: Rail, samples: Iterable[Sample], settings: AgentSettings
) -> Iterator[Finding]:
    """Yield for each family that a key turns on whether it is on and *samples* have it."""
    seen = {sample.spec for sample in samples if sample.labels[: len(rail.labels)] == rail.labels}
    module = ("[ethtool] module", settings.ethtool.module, "false; true needs CAP_NET_ADMIN")
    keys = {
        Scope.MODULE: module,
        Scope.LANE: module,
        Scope.PRIORITY: ("[ethtool] priorities", bool(settings.ethtool.priorities), "empty"),
    }
    for spec in METRICS:
        if spec.scope not in keys:
            continue
        key, is_on, what_it_is = keys[spec.scope]
        if not is_on:
            answer = Answer(Status.OFF, f"{key} is {what_it_is}", key)
        elif spec in seen:
            answer = Answer(Status.OK)
        else:
            answer = Answer(Status.ABSENT, "the hardware does not tell it, or may not be asked")
        yield _finding(rail, spec, answer)
