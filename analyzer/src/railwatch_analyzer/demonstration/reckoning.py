# SPDX-License-Identifier: Apache-2.0
"""What was injected against what was named: pure, and the only place that sees both."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from railwatch_analyzer.findings import FindingKind, FindingState
from railwatch_analyzer.simulation.faults import LinkDown, TransmitCap

if TYPE_CHECKING:
    from collections.abc import Sequence

    from railwatch_analyzer.findings import Finding

# A fault that ended within the window of the last round may still be named in it.
_GRACE_SECONDS = 5.0


@dataclass(frozen=True, slots=True)
class Match:
    """One injected fault and what was said of it; seconds are those of the simulation.

    Attributes
    ----------
    named
        The first line that named it, None if none did.
    resolved
        The line that took it back, None if none did.
    """

    fault: TransmitCap | LinkDown
    named: Finding | None
    resolved: Finding | None


@dataclass(frozen=True, slots=True)
class Reckoning:
    """All faults, and the findings that are about none of them."""

    matches: tuple[Match, ...]
    wrong: tuple[Finding, ...]

    @property
    def exact(self) -> bool:
        """Whether exactly the injected links were named."""
        return not self.wrong and all(match.named is not None for match in self.matches)


def reckon(faults: Sequence[TransmitCap | LinkDown], lines: Sequence[Finding]) -> Reckoning:
    """Compare *faults* with all *lines* that were said; times of both on one clock."""
    begun: dict[str, Finding] = {}
    ended: dict[str, Finding] = {}
    for line in lines:
        seen = begun if line.state is FindingState.FIRING else ended
        seen.setdefault(line.id, line)
    matches: list[Match] = []
    accounted: set[str] = set()
    for fault in faults:
        about = [line for line in begun.values() if _is_about(line, fault)]
        accounted.update(line.id for line in about)
        first = min(about, key=lambda line: line.time, default=None)
        # The fault is taken back when the last of what was said of it is.
        last = ended.get(about[-1].id) if about else None
        matches.append(Match(fault, first, last))
    wrong = tuple(line for line in begun.values() if line.id not in accounted)
    return Reckoning(tuple(matches), wrong)


def _is_about(line: Finding, fault: TransmitCap | LinkDown) -> bool:
    down = isinstance(fault, LinkDown)
    kind = FindingKind.LINK_DOWN if down else FindingKind.LINK_DEGRADED
    here = (line.node, line.rail, line.kind) == (fault.node, str(fault.rail), kind)
    return here and fault.start <= line.time < fault.stop + _GRACE_SECONDS
