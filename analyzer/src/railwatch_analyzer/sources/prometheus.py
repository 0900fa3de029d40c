# SPDX-License-Identifier: Apache-2.0
"""Reads the agents' series back from a Prometheus, each sample with its own time.

An instant query for `metric` answers with the time of evaluation, so a range selector is asked
for instead (`metric[30s]`): raw samples, of which the newest counts. Stale markers are not among
them, hence a series is missing by the age of its newest sample. Facts from
https://prometheus.io/docs/prometheus/latest/querying/api/.
"""

from __future__ import annotations

import math
import statistics
from typing import TYPE_CHECKING

import httpx

from railwatch.catalogue.node import AGENT_WINDOW_SECONDS
from railwatch_analyzer.frame import Frame, FrameBuilder
from railwatch_analyzer.sources.base import EXPECTED_SECONDS, FETCHED_NAMES, stale_after_seconds
from railwatch_analyzer.sources.errors import SourceError
from railwatch_analyzer.sources.http_client import Access, FetchError, HttpClient
from railwatch_analyzer.sources.node import node_names, shared_hosts
from railwatch_analyzer.sources.prometheus_api import RangeSeries, parse_matrix

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from railwatch.clock import Clock

_MOST_BYTES = 512 * 2**20
_TIMEOUT_SECONDS = 10.0
# Where to look for two samples of one series while the scrape interval is unknown, and what to
# take for it if there are none yet.
_FIRST_LOOKBACK_SECONDS = 300.0
_ASSUMED_INTERVAL_SECONDS = 15.0


class PrometheusSource:
    """Asks the Prometheus (or what speaks its API) at *url*.

    Parameters
    ----------
    url
        What stands before `/api/v1/query`.
    clock
        The times at which the questions are put; a backtest brings one of its own.
    matchers
        Label matchers that every series must satisfy, such as `cluster="a"`.
    node_label
        The label that names the node; by default `instance` without its port does.
    access
        Secret headers and TLS.
    timeout_seconds
        For one whole answer.
    """

    def __init__(
        self,
        url: str,
        clock: Clock,
        *,
        matchers: Sequence[str] = (),
        node_label: str | None = None,
        access: Access | None = None,
        timeout_seconds: float = _TIMEOUT_SECONDS,
    ) -> None:
        self._url = f"{url.rstrip('/')}/api/v1/query"
        self._shown_url = _without_password(url)
        self._clock = clock
        self._matchers = tuple(matchers)
        self._node_label = node_label
        self._timeout_seconds = timeout_seconds
        self._client = HttpClient(access or Access(), clock, most_bytes=_MOST_BYTES)
        self._interval_seconds: float | None = None
        self._last_seen: dict[str, float] = {}
        self._shared_hosts: set[str] = set()

    def fetch(self) -> Frame:
        """Return the newest samples of every agent that Prometheus scraped lately.

        Raises
        ------
        SourceError
            If Prometheus does not answer, or not with all that it should have.
        """
        now = self._clock.wall()
        if self._interval_seconds is None:
            self._interval_seconds = self._first_interval(now)
        interval = self._interval_seconds or _ASSUMED_INTERVAL_SECONDS
        patience = stale_after_seconds(interval)
        # One more interval, so that even the oldest sample that counts shows its spacing.
        found = self._query(FETCHED_NAMES, patience + interval, now)
        self._interval_seconds = sample_spacing(found) or self._interval_seconds
        fresh = [series for series in found if now - series.newest_at <= patience]
        return self._frame(fresh, now, interval)

    def close(self) -> None:
        """Close the connection to Prometheus."""
        self._client.close()

    def _first_interval(self, now: float) -> float | None:
        """Ask one small family for its spacing; what a lookback must span depends on it."""
        names = {AGENT_WINDOW_SECONDS.name}
        return sample_spacing(self._query(names, _FIRST_LOOKBACK_SECONDS, now))

    def _frame(self, fresh: list[RangeSeries], now: float, interval: float) -> Frame:
        builder = FrameBuilder(now, interval)
        nodes = self._nodes({series.labels.get("instance", "") for series in fresh})
        # In order of time: of two series for one cell, such as two jobs, the younger one stays.
        for series in sorted(fresh, key=lambda series: series.newest_at):
            node = series.labels.get(self._node_label or "")
            node = node or nodes[series.labels.get("instance", "")]
            builder.add(node, series.name, series.labels, series.newest, series.newest_at)
            self._last_seen[node] = now
        self._last_seen = {
            node: seen for node, seen in self._last_seen.items() if now - seen <= EXPECTED_SECONDS
        }
        missed = (node for node, seen in self._last_seen.items() if seen < now)
        return builder.build(missed=tuple(sorted(missed)))

    def _nodes(self, instances: set[str]) -> dict[str, str]:
        """Name of each instance's node, which does not change when its neighbour goes away."""
        for host in shared_hosts(instances) - self._shared_hosts:
            self._shared_hosts.add(host)
            self._last_seen.pop(host, None)
        return node_names(instances, self._shared_hosts)

    def _query(
        self, names: Iterable[str], lookback_seconds: float, at_seconds: float
    ) -> list[RangeSeries]:
        matchers = (f'__name__=~"{"|".join(sorted(names))}"', *self._matchers)
        parameters = {
            "query": f"{{{','.join(matchers)}}}[{math.ceil(lookback_seconds)}s]",
            "time": f"{at_seconds:.3f}",
        }
        try:
            answer = self._client.run(
                self._client.get(
                    self._url, within_seconds=self._timeout_seconds, parameters=parameters
                )
            )
            return parse_matrix(answer.status, answer.body)
        except FetchError as exc:
            raise SourceError(f"{self._shown_url}: {exc}") from exc


def sample_spacing(found: Iterable[RangeSeries]) -> float | None:
    """Return the usual spacing of the samples, None if no series has two."""
    spacings = [s.spacing_seconds for s in found if s.spacing_seconds is not None]
    return statistics.median(spacings) if spacings else None


def _without_password(url: str) -> str:
    return str(httpx.URL(url).copy_with(username=None, password=None))
