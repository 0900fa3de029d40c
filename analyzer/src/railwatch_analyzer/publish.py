# SPDX-License-Identifier: Apache-2.0
"""The analyzer's metrics: verdicts out of a state, and what it says about itself."""

from __future__ import annotations

import platform
from collections import Counter
from dataclasses import dataclass
from importlib.metadata import version
from typing import TYPE_CHECKING

import numpy as np

from railwatch.catalogue.metric import Sample
from railwatch.catalogue.verdict import (
    ANALYZER_BUILD_INFO,
    ANALYZER_LAST_ROUND,
    ANALYZER_LINKS,
    ANALYZER_ROUND_ERRORS,
    ANALYZER_ROUND_SECONDS,
    ANALYZER_ROUNDS,
    ANALYZER_STATE_SAVE_ERRORS,
    ANALYZER_TARGETS,
    ANALYZER_TRAINED,
    LINK_ANOMALY_SCORE,
    LINK_CAUSE_INFO,
    LINK_DEGRADED,
    LINK_EVIDENCE,
    LINK_VERDICT,
)
from railwatch_analyzer.detectors.state import Rule
from railwatch_analyzer.round import verdicts_of
from railwatch_analyzer.verdicts import Verdict

if TYPE_CHECKING:
    from collections.abc import Iterator

    from railwatch_analyzer.findings import Evidence
    from railwatch_analyzer.state import State


@dataclass(frozen=True, slots=True)
class Meters:
    """What the analyzer counts of itself; seconds, Unix time, and numbers of rounds and nodes."""

    rounds: int = 0
    round_errors: int = 0
    save_errors: int = 0
    fetch_seconds: float = 0.0
    judge_seconds: float = 0.0
    last_round: float | None = None
    seen: int = 0
    missed: int = 0


def link_samples(state: State) -> Iterator[Sample]:
    """Yield the series of every link of *state*."""
    verdicts = verdicts_of(state).tolist()
    scores = state.status.score.tolist()
    degraded = state.status.degraded.tolist()
    for row, link in enumerate(state.links):
        labels = (link.node, link.rail, link.device)
        ruling = state.ruled.get(link)
        by_rule = ruling is not None and ruling.rule is not Rule.DOWN
        down = ruling is not None and not by_rule
        yield Sample(LINK_VERDICT, labels, verdicts[row])
        # A link that is down is worse than degraded, and one alert is enough for it.
        yield Sample(LINK_DEGRADED, labels, int((degraded[row] or by_rule) and not down))
        if np.isfinite(scores[row]):
            yield Sample(LINK_ANOMALY_SCORE, labels, scores[row])
    for finding in state.standing.values():
        labels = (finding.node, finding.rail, finding.device)
        yield Sample(LINK_CAUSE_INFO, (*labels, finding.cause, finding.job_id), 1)
        yield from _evidence_samples(labels, finding.evidence)


def _evidence_samples(labels: tuple[str, ...], evidence: tuple[Evidence, ...]) -> Iterator[Sample]:
    for item in evidence:
        yield Sample(LINK_EVIDENCE, (*labels, item.feature, "observed"), item.observed)
        yield Sample(LINK_EVIDENCE, (*labels, item.feature, "expected"), item.expected)


def self_samples(state: State, meters: Meters) -> Iterator[Sample]:
    """Yield the series about the analyzer itself; counters are there from the start."""
    about = (version("railwatch-analyzer"), platform.python_version())
    yield Sample(ANALYZER_BUILD_INFO, about, 1)
    yield Sample(ANALYZER_ROUNDS, (), meters.rounds)
    yield Sample(ANALYZER_ROUND_ERRORS, (), meters.round_errors)
    yield Sample(ANALYZER_STATE_SAVE_ERRORS, (), meters.save_errors)
    yield Sample(ANALYZER_ROUND_SECONDS, ("fetch",), meters.fetch_seconds)
    yield Sample(ANALYZER_ROUND_SECONDS, ("judge",), meters.judge_seconds)
    yield Sample(ANALYZER_TRAINED, (), int(state.detector is not None))
    yield Sample(ANALYZER_TARGETS, ("seen",), meters.seen)
    yield Sample(ANALYZER_TARGETS, ("missed",), meters.missed)
    counts = Counter(verdicts_of(state).tolist())
    for verdict in Verdict:
        yield Sample(ANALYZER_LINKS, (verdict.name.lower(),), counts.get(int(verdict), 0))
    if meters.last_round is not None:
        yield Sample(ANALYZER_LAST_ROUND, (), meters.last_round)
