# SPDX-License-Identifier: Apache-2.0
"""`railwatch-analyzer plan`: what a job's network has to carry, and what that leaves exposed."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import orjson

from railwatch.settings import ConfigError
from railwatch_analyzer.plan.demand import demand_ratio
from railwatch_analyzer.plan.description import described, line_rate
from railwatch_analyzer.plan.estimate import estimate
from railwatch_analyzer.plan.flags import FLAGS, Given
from railwatch_analyzer.plan.report import Measured, as_json, write

if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterator

    from railwatch_analyzer.plan.estimate import Estimate
    from railwatch_analyzer.plan.job import Job

_DESCRIPTIVE = ("model", "parameters", "layers")


def plan(options: argparse.Namespace) -> int:
    """Write what the flags ask for; return the exit code.

    Raises
    ------
    ConfigError
        If a flag is wrong; the message begins with it.
    """
    given = Given(vars(options))
    measured = _measured(given) if given.has("measured-bytes-per-step") else None
    planned = None
    if measured is None or any(given.has(name) for name in _DESCRIPTIVE):
        job = described(given, sequence_parallel=options.sequence_parallel)
        planned = (job, estimate(job))
    assumptions = list(_assumptions(given, planned))
    if options.json:
        sys.stdout.buffer.write(orjson.dumps(as_json(planned, measured, assumptions)) + b"\n")
    else:
        write(planned, measured, assumptions)
    return 0


def _measured(given: Given) -> Measured:
    step, exposed = given.real("step-seconds"), given.real("exposed-seconds")
    if exposed >= step:
        raise ConfigError(f"--exposed-seconds: must be below the step's {step:g}, got {exposed:g}")
    sent, rate = given.real("measured-bytes-per-step"), line_rate(given)
    ratio = demand_ratio(sent, step_seconds=step, line_rate=rate, exposed_seconds=exposed)
    if ratio is None:
        raise ConfigError("--measured-bytes-per-step: makes no ratio of these numbers")
    return Measured(sent, step, exposed, rate, given.real("efficiency", most=1.0), ratio)


def _unused(given: Given, job: Job) -> set[str]:
    split = job.parallelism
    unused = set()
    if given.has("compute-seconds"):
        unused.add("mfu")
    if not split.zero:
        unused.add("parameter-bytes")
    if split.tensor == split.pipeline == split.expert == 1:
        unused.add("activation-bytes")
    return unused


def _assumptions(given: Given, planned: tuple[Job, Estimate] | None) -> Iterator[str]:
    if planned is None:
        if not given.is_given("efficiency"):
            yield f"--efficiency {given.text('efficiency')}"
        return
    job, found = planned
    unused = _unused(given, job)
    for flag in FLAGS:
        if flag.assumed and flag.name not in unused and not given.is_given(flag.name):
            yield f"--{flag.name} {flag.default}: {flag.text}"
    if not given.has("compute-seconds"):
        yield "6 FLOPs a parameter and token; attention and recomputation are not counted"
    yield "rails of a node share its bytes evenly; stages are alike; nothing else uses the rails"
    if found.inside and not job.cluster.nvlink:
        yield "what stays within nodes takes no time: --nvlink-gbyte is not given"
    if job.parallelism.zero >= 2 and job.work.micro_batches > 1:
        yield "gradients are reduced after each micro-batch, as only a share of them is kept"
