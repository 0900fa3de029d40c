# SPDX-License-Identifier: Apache-2.0
"""A job on the node, made of what several sources claim of it; pure."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterable

    from railwatch_agent.sources.claim import Claim

# Each job has a series here and a few elsewhere; nobody trains more on one node.
MOST_JOBS: Final = 32


@dataclass(frozen=True, slots=True)
class Job:
    """What is known of a job; what is empty or None is not known."""

    job_id: str
    user: str = ""
    partition: str = ""
    uid: int | None = None
    gpus: frozenset[int] = frozenset()


def merge(claims: Iterable[Claim]) -> tuple[Job, ...]:
    """Return the jobs that *claims* are about, in their order: the first is trusted most.

    What one leaves open, the next may say. Of GPUs all are believed, words left out: one that was
    given to a job and is used by another is shared, whoever is right. What is only a job's word is
    about nothing but itself: it takes no GPU that is known to be another's, and adds no job.
    """
    jobs: dict[str, Job] = {}
    words: list[Claim] = []
    for claim in claims:
        if claim.is_word:
            words.append(claim)
        else:
            job = jobs.get(claim.job_id, Job(claim.job_id))
            jobs[claim.job_id] = _completed(job, claim, job.gpus | claim.gpus)
    taken = {gpu for job in jobs.values() for gpu in job.gpus}
    for claim in words:
        if claim.job_id in jobs:
            job = jobs[claim.job_id]
            jobs[claim.job_id] = _completed(job, claim, job.gpus or claim.gpus - taken)
    return tuple(jobs.values())


def _completed(job: Job, claim: Claim, gpus: frozenset[int]) -> Job:
    return replace(
        job,
        user=job.user or claim.user,
        partition=job.partition or claim.partition,
        uid=claim.uid if job.uid is None else job.uid,
        gpus=gpus,
    )
