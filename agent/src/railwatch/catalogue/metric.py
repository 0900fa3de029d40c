# SPDX-License-Identifier: Apache-2.0
"""What a metric is: its spec, and what is read of it."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

PREFIX = "railwatch_"


class MetricType(StrEnum):
    """Types of the Prometheus text format, and `info`, which is a gauge of constant 1.

    Summaries have no quantiles: a sum and a count.

    Untyped is what nobody vouches for: a driver's number that may be a counter or a gauge.
    """

    COUNTER = "counter"
    GAUGE = "gauge"
    HISTOGRAM = "histogram"
    SUMMARY = "summary"
    INFO = "info"
    UNTYPED = "untyped"


class Scope(StrEnum):
    """What a family has one set of series for; METRICS.md adds them up."""

    NODE = "node"
    JOB = "job and source"
    RAIL = "rail"
    GPU = "GPU"
    GPU_JOB = "job on a GPU"
    MIG_DEVICE = "MIG device"
    COLLECTOR = "collector"
    ALLOWED = "rail and name on an allow-list"
    PRIORITY = "rail and priority named in [ethtool] priorities"
    MODULE = "rail whose module is read"
    LANE = "optical lane of such a module"
    LINK = "link"
    ABNORMAL_LINK = "link that is not normal"
    FLEET_JOB = "job of the fleet"
    ANALYZER = "analyzer"


@dataclass(frozen=True, slots=True, eq=False)
class MetricSpec:
    """One metric family; compared by identity, as each exists once.

    `source` says where the number comes from; `scale` is what the source's unit is multiplied by
    to reach the base unit. `values` lists the values of the last label where they are a closed
    set, `edges` the upper bounds of a histogram's buckets without +Inf.
    """

    name: str
    type: MetricType
    help: str
    labels: tuple[str, ...] = ()
    scope: Scope = Scope.NODE
    source: str = ""
    scale: float = 1.0
    values: tuple[str, ...] = ()
    edges: tuple[float, ...] = ()

    @property
    def series(self) -> int:
        """Series of this family for one of its scope."""
        if self.type is MetricType.HISTOGRAM:
            return len(self.edges) + 3
        if self.type is MetricType.SUMMARY:
            return 2
        return max(len(self.values), 1)

    @property
    def series_labels(self) -> dict[str, tuple[str, ...]]:
        """Labels of its series by their names: histograms and summaries expose several."""
        if self.type not in (MetricType.HISTOGRAM, MetricType.SUMMARY):
            return {self.name: self.labels}
        found = {f"{self.name}_count": self.labels, f"{self.name}_sum": self.labels}
        if self.type is MetricType.HISTOGRAM:
            found[f"{self.name}_bucket"] = (*self.labels, "le")
        return found


@dataclass(frozen=True, slots=True)
class Distribution:
    """A histogram's state: cumulative count per edge (without +Inf), count and sum of all.

    A summary's has no edges.
    """

    buckets: tuple[int, ...]
    count: int
    sum: float


@dataclass(frozen=True, slots=True)
class Sample:
    """A number that was read, in base units."""

    spec: MetricSpec
    labels: tuple[str, ...]
    value: float | Distribution


@dataclass(frozen=True, slots=True)
class ReadFailure:
    """A number that should have been there and could not be read, and why."""

    what: str
    reason: str
