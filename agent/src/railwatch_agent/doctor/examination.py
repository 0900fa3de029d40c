# SPDX-License-Identifier: Apache-2.0
"""The whole examination of a node: everything is looked at once, and nothing is changed."""

from __future__ import annotations

import os
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Final

from railwatch.catalogue.rail import RAIL_RECEIVE_BYTES
from railwatch_agent.doctor.checks import answer_of, examine
from railwatch_agent.doctor.deadline import ask_all
from railwatch_agent.doctor.findings import Finding, Section
from railwatch_agent.doctor.gpu import gpu_checks
from railwatch_agent.doctor.jobs import job_checks
from railwatch_agent.doctor.looks import look, shown_findings, source_findings
from railwatch_agent.doctor.metrics import allowed_findings
from railwatch_agent.doctor.node import node_checks
from railwatch_agent.doctor.permissions import permission_checks
from railwatch_agent.doctor.rails import (
    left_out_findings,
    look_for_rails,
    namespace_findings,
    rail_findings,
)

if TYPE_CHECKING:
    from railwatch_agent.settings import AgentSettings

# As the agent's own: what takes longer does not return.
PATIENCE_SECONDS: Final = 5.0


@dataclass(frozen=True, slots=True)
class Examination:
    """All findings, and of how many rails the bytes can be read."""

    version: str
    node: str
    rails: int
    watched: int
    findings: tuple[Finding, ...]


def examine_node(
    settings: AgentSettings, version: str, seconds: float = PATIENCE_SECONDS
) -> Examination:
    """Look at everything; each look has *seconds* to return."""
    sysfs, procfs = Path(settings.paths.sysfs), Path(settings.paths.procfs)
    checks = [
        *node_checks(settings.paths),
        *permission_checks(procfs),
        *gpu_checks(sysfs, procfs),
        *job_checks(settings),
    ]
    found = examine(checks, seconds)
    (stock,) = ask_all([partial(look_for_rails, settings)], seconds)
    if isinstance(stock, Exception):
        found.append(Finding(Section.RAILS, "rails", *answer_of(stock)))
        return Examination(version, os.uname().nodename, 0, 0, tuple(found))
    found += rail_findings(stock.rails)
    found += left_out_findings(stock)
    rails = tuple(rail for rail in stock.rails if rail.is_present)
    looks = look(settings, rails, seconds)
    sources = [*namespace_findings(rails), *source_findings(looks, settings, seconds)]
    found += [*sources, *shown_findings(looks, settings, sources)]
    found += allowed_findings(looks.samples(), settings)
    watched = {s.labels for s in looks.samples() if s.spec is RAIL_RECEIVE_BYTES}
    return Examination(version, os.uname().nodename, len(stock.rails), len(watched), tuple(found))
