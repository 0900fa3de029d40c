# SPDX-License-Identifier: Apache-2.0
"""The jobs of the node and whose each rail is, as the census has them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from railwatch.catalogue.metric import ReadFailure, Sample
from railwatch.catalogue.rail import RAIL_JOB_INFO
from railwatch.catalogue.step import JOB_INFO

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from railwatch_agent.inventory import Rail
    from railwatch_agent.jobs.census import JobCensus


class JobCollector:
    """Has *census* look, and says what it saw."""

    name = "job"
    interval_seconds = 5.0

    def __init__(self, census: JobCensus, rails: Callable[[], tuple[Rail, ...]]) -> None:
        self._census = census
        self._rails = rails

    def collect(self) -> Iterator[Sample | ReadFailure]:
        """Yield the jobs; a rail has one at most."""
        yield from self._census.look()
        for job in self._census.jobs():
            yield Sample(JOB_INFO, (job.job_id, job.user, job.partition), 1)
        labels = {rail.number: rail.labels for rail in self._rails()}
        for place in self._census.places():
            for number in place.rails:
                if place.job_id and number in labels:
                    yield Sample(RAIL_JOB_INFO, (*labels[number], place.job_id), 1)
