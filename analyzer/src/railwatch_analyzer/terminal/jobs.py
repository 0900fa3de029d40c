# SPDX-License-Identifier: Apache-2.0
"""The jobs of a picture, a compact line each."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.text import Text

from railwatch_analyzer.terminal.palette import DIM, WARNING, assemble

if TYPE_CHECKING:
    from railwatch_analyzer.terminal.picture import JobPicture

# More are counted and not shown.
_MOST_JOBS = 6


def job_lines(jobs: tuple[JobPicture, ...]) -> list[Text]:
    """Return a line for each of *jobs*, those in trouble first, and one that counts the rest."""
    ordered = sorted(jobs, key=lambda job: (not job.is_troubled, job.job_id))
    lines = [_line(job) for job in ordered[:_MOST_JOBS]]
    left = len(jobs) - len(lines)
    if left:
        lines.append(Text(f"and {left} more {'job' if left == 1 else 'jobs'}", DIM))
    return lines


def told(job: JobPicture) -> str:
    """Return what is known of a job in words.

    >>> from railwatch_analyzer.terminal.picture import JobPicture
    >>> told(JobPicture("77", 8, 0.5, 0.3, True, 1.3, "straggler", ()))
    'step 0.5 s (1.30 times the usual), 30 % exposed, communication-bound: straggler'
    """
    parts = [_length(job)]
    if job.exposed is not None:
        parts.append(f"{100 * job.exposed:.0f} % exposed")
    if job.is_bound:
        parts.append(f"communication-bound: {job.cause or 'unknown'}")
    elif job.cause:
        parts.append(f"slow: {job.cause}")
    parts += [f"waits for {node} ({kind})" for node, kind in job.waits_for]
    return ", ".join(parts)


def _length(job: JobPicture) -> str:
    if job.step_seconds is None:
        return "no step yet"
    usual = "" if job.slowdown is None else f" ({job.slowdown:.2f} times the usual)"
    return f"step {job.step_seconds:.3g} s{usual}"


def _line(job: JobPicture) -> Text:
    noun = "node" if job.nodes == 1 else "nodes"
    words = (told(job), WARNING if job.is_troubled else "")
    return assemble((f"job {job.job_id}", "bold"), f"  {job.nodes} {noun}  ", words)
