# SPDX-License-Identifier: Apache-2.0
"""Steps as jobs mark them, as they are known at the moment of a scrape; reads nothing."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from railwatch.catalogue.metric import Distribution, Sample
from railwatch.catalogue.node import AGENT_MARKERS, MarkerOutcome
from railwatch.catalogue.step import (
    STEP_COMMUNICATION,
    STEP_COMPUTE,
    STEP_CONFIDENCE,
    STEP_EXPOSED,
    STEP_IDLE,
    STEP_PERIOD,
    STEP_SECONDS,
    STEP_SOURCE_INFO,
    STEP_STALLED,
    STEP_TRANSMIT_BYTES,
    StepSource,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

    from railwatch_agent.markers.desk import Desk, MarkedJob

_ACTIVITY: Final = "marker"


def marker_samples(desk: Desk) -> Iterator[Sample]:
    """Yield what became of the markers, and the steps of the jobs that sent them."""
    for outcome in MarkerOutcome:
        yield Sample(AGENT_MARKERS, (outcome,), desk.outcomes[outcome])
    for job in desk.jobs:
        yield from _steps(job)


def _steps(job: MarkedJob) -> Iterator[Sample]:
    labels, totals = (job.job_id, StepSource.MARKER), job.totals
    yield Sample(STEP_SECONDS, labels, Distribution((), totals.steps, totals.seconds))
    for spec, total in (
        (STEP_COMPUTE, totals.compute),
        (STEP_COMMUNICATION, totals.communication),
        (STEP_EXPOSED, totals.exposed),
        (STEP_STALLED, totals.stalled),
        (STEP_IDLE, totals.idle),
        (STEP_TRANSMIT_BYTES, totals.transmit_bytes),
    ):
        if total is not None:
            yield Sample(spec, labels, total)
    if job.period_seconds is not None:
        yield Sample(STEP_PERIOD, labels, job.period_seconds)
        yield Sample(STEP_CONFIDENCE, labels, 1)
    if totals.compute is not None:
        yield Sample(STEP_SOURCE_INFO, (*labels, _ACTIVITY), 1)
