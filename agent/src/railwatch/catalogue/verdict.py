# SPDX-License-Identifier: Apache-2.0
"""The analyzer's metrics: verdicts on links, and what it says about itself."""

from __future__ import annotations

from railwatch.catalogue.metric import PREFIX, MetricSpec, MetricType, Scope

_LINK = ("node", "rail", "device")


def _link(
    what: str,
    kind: MetricType,
    text: str,
    more: tuple[str, ...] = (),
    values: tuple[str, ...] = (),
) -> MetricSpec:
    scope = Scope.ABNORMAL_LINK if more else Scope.LINK
    return MetricSpec(f"{PREFIX}link_{what}", kind, text, (*_LINK, *more), scope, values=values)


LINK_ANOMALY_SCORE = _link(
    "anomaly_score",
    MetricType.GAUGE,
    "How far the link is from its peers and its own healthy past; 1 = alarm.",
)
LINK_VERDICT = _link(
    "verdict",
    MetricType.GAUGE,
    "0 unknown, 1 normal, 2 suspect, 3 degraded, 4 down.",
)
LINK_DEGRADED = _link(
    "degraded",
    MetricType.GAUGE,
    "1 if the link is degraded; holds its last value for up to 15 minutes while unknown.",
)
LINK_CAUSE_INFO = _link(
    "cause_info",
    MetricType.INFO,
    "Why the link is degraded or down.",
    ("cause", "job_id"),
)
LINK_EVIDENCE = _link(
    "evidence",
    MetricType.GAUGE,
    "What was observed and what was expected, in the feature's base unit; five features at most.",
    ("feature", "kind"),
    ("observed", "expected"),
)


def _analyzer(
    what: str,
    kind: MetricType,
    text: str,
    labels: tuple[str, ...] = (),
    values: tuple[str, ...] = (),
) -> MetricSpec:
    return MetricSpec(f"{PREFIX}analyzer_{what}", kind, text, labels, Scope.ANALYZER, values=values)


ANALYZER_BUILD_INFO = _analyzer(
    "build_info", MetricType.INFO, "Version of the analyzer.", ("version", "python_version")
)
ANALYZER_ROUNDS = _analyzer("rounds_total", MetricType.COUNTER, "Rounds judged.")
ANALYZER_ROUND_ERRORS = _analyzer(
    "round_errors_total", MetricType.COUNTER, "Rounds that ended without a judgement."
)
ANALYZER_ROUND_SECONDS = _analyzer(
    "round_duration_seconds",
    MetricType.GAUGE,
    "How long the last round took, by phase.",
    ("phase",),
    ("fetch", "judge"),
)
ANALYZER_LAST_ROUND = _analyzer(
    "last_round_timestamp_seconds", MetricType.GAUGE, "End of the last round, Unix time."
)
ANALYZER_LINKS = _analyzer(
    "links",
    MetricType.GAUGE,
    "Links by verdict.",
    ("verdict",),
    ("unknown", "normal", "suspect", "degraded", "down"),
)
ANALYZER_TARGETS = _analyzer(
    "targets",
    MetricType.GAUGE,
    "Agents that the last round saw data of, and that it missed.",
    ("state",),
    ("seen", "missed"),
)
ANALYZER_TRAINED = _analyzer(
    "trained", MetricType.GAUGE, "1 once the anomaly detector has learned a healthy past."
)
ANALYZER_STATE_SAVE_ERRORS = _analyzer(
    "state_save_errors_total", MetricType.COUNTER, "Rounds whose state could not be saved."
)
