# SPDX-License-Identifier: Apache-2.0
"""The end of the demonstration: what was injected, what was named, how soon, and how wrongly."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.text import Text

from railwatch_analyzer.demonstration.narration import injected
from railwatch_analyzer.terminal.palette import DIM, assemble
from railwatch_analyzer.terminal.wording import compared, feature, time_of_day

if TYPE_CHECKING:
    from railwatch_analyzer.demonstration.reckoning import Match, Reckoning
    from railwatch_analyzer.findings import Finding

_GOOD = "bold green"
_BAD = "bold red"


def summary(reckoning: Reckoning | None, *, links: int) -> list[Text]:
    """Return the last lines of a demonstration of *links* links; None if it was stopped."""
    if reckoning is None:
        return [Text("stopped before its end; nothing is claimed")]
    lines = [Text("what was simulated, and what railwatch said of it", "bold"), Text()]
    for match in reckoning.matches:
        lines += [*_match(match), Text()]
    for finding in reckoning.wrong:
        lines += [assemble(("wrong      ", _BAD), _words(finding)), Text()]
    return [*lines, _verdict(reckoning, links)]


def _match(match: Match) -> list[Text]:
    fault = match.fault
    span = f"           from {time_of_day(fault.start)} to {time_of_day(fault.stop)}"
    lines = [assemble(("simulated  ", DIM), injected(fault)), Text(span)]
    if match.named is None:
        return [*lines, assemble(("railwatch  ", DIM), ("did not name it", _BAD))]
    delay = f", {match.named.time - fault.start:.0f} s after it began"
    lines.append(assemble(("railwatch  ", DIM), (_words(match.named), "bold"), delay))
    wide = max((len(feature(item.feature)) for item in match.named.evidence), default=0)
    lines += [
        Text(
            f"           {feature(item.feature):<{wide}}  observed "
            f"{compared(item.observed, item.expected, item.unit, between=', expected ')}"
        )
        for item in match.named.evidence
    ]
    if match.resolved is None:
        return [*lines, Text("           not yet resolved when the demonstration ended")]
    after = f"resolved {match.resolved.time - fault.stop:.0f} s after the repair"
    return [*lines, Text(f"           {after}")]


def _words(finding: Finding) -> str:
    where = f"{finding.node} rail {finding.rail} ({finding.device})"
    kind = "down" if finding.kind == "link_down" else f"degraded, cause {finding.cause}"
    return f"{where} {kind}"


def _verdict(reckoning: Reckoning, links: int) -> Text:
    faulty = {(match.fault.node, match.fault.rail) for match in reckoning.matches}
    named = sum(match.named is not None for match in reckoning.matches)
    accused = {(finding.node, finding.rail) for finding in reckoning.wrong}
    words = f"{named} of {len(reckoning.matches)} faults named, "
    words += f"{len(accused)} wrong accusations among {links - len(faulty)} healthy links"
    return Text(words, _GOOD if reckoning.exact else _BAD)
