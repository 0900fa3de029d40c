# SPDX-License-Identifier: Apache-2.0
"""Which rails and GPUs are whose; pure.

One job on the node has all rails. Where there are several, a rail is a job's if all GPUs that it
could serve, those below the bridge where it meets the nearest one, are that job's alone: NCCL may
use any NIC that is as near as the nearest. What is left is nobody's.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from railwatch_agent.jobs.place import JobPlace

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from railwatch_agent.inventory import Rail
    from railwatch_agent.jobs.job import Job


def places_of(
    jobs: Sequence[Job], rails: Sequence[Rail], gpus: Iterable[int]
) -> tuple[JobPlace, ...]:
    """Return where each job is, among the *rails* and *gpus* of the node.

    Where no job is known, everything is in the place of a job without a name.
    """
    numbers = tuple(rail.number for rail in rails)
    everything = JobPlace("", numbers, tuple(sorted(gpus)))
    if not jobs:
        return (everything,)
    if len(jobs) == 1:
        (job,) = jobs
        return (JobPlace(job.job_id, numbers, tuple(sorted(job.gpus)) or everything.gpus),)
    owners = _owners(jobs)
    served = {rail.number: {owners.get(gpu) for gpu in rail.near_gpus} for rail in rails}
    return tuple(
        JobPlace(
            job.job_id,
            tuple(rail for rail, of in served.items() if of == {job.job_id}),
            tuple(sorted(gpu for gpu, owner in owners.items() if owner == job.job_id)),
        )
        for job in jobs
    )


def _owners(jobs: Iterable[Job]) -> Mapping[int, str | None]:
    """The job of each GPU, None of those that jobs share."""
    owners: dict[int, str | None] = {}
    for job in jobs:
        for gpu in job.gpus:
            owners[gpu] = None if gpu in owners else job.job_id
    return owners
