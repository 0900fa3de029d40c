"""The ranks of a job, a program: one import of PyTorch, then a fork for each, in its namespace.

    python -m training.ranks --marks FOLDER --namespace NAME --namespace NAME …

A line of JSON on its input is a plan for all; each rank says `RANK JOB` on the output when it is
through. Importing takes six seconds of a processor: ranks stay for the next plan, until they are
killed.
"""

from __future__ import annotations

import argparse
import ctypes
import os
import signal
import sys
import traceback
from pathlib import Path
from typing import TYPE_CHECKING

import torch
import torch._dynamo.config  # DistributedDataParallel wants it: half of what importing costs
import torch.distributed as dist

from lab import namespaces
from railwatch_agent.hook import StepMarker
from support.nvml import join
from training.plan import Plan
from training.trainer import train

if TYPE_CHECKING:
    from argparse import Namespace
    from collections.abc import Iterable
    from typing import TextIO

_PR_SET_PDEATHSIG = 1  # linux/prctl.h
# The thread that writes the stage must not keep the one that computes waiting.
_SWITCH_SECONDS = 0.0005


def be(rank: int, options: Namespace, plans: Iterable[str]) -> None:
    """Be one rank, in this process, until its parent ends."""
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    namespaces.enter(options.namespace[rank])
    sys.setswitchinterval(_SWITCH_SECONDS)
    torch.set_num_threads(1)
    dist.init_process_group(
        "gloo",
        init_method=f"file://{options.marks / 'store'}",
        rank=rank,
        world_size=len(options.namespace),
    )
    gpu = join(options.stage[rank])[0] if options.stage else None
    socket = options.socket[rank] if options.socket else None
    _say(rank, "ready")
    for line in plans:
        plan = Plan.from_json(line)
        train(plan, rank, gpu, options.marks, StepMarker(rank, path=socket))
        _say(rank, plan.job_id)


def _say(rank: int, word: str) -> None:
    os.write(sys.stdout.fileno(), f"{rank} {word}\n".encode())


def _fork(rank: int, options: Namespace) -> TextIO:
    """Start a rank; return where its plans go."""
    its, ours = os.pipe()
    if os.fork() == 0:
        os.close(ours)
        # Whatever happens, this must not go on as a second parent.
        try:
            be(rank, options, os.fdopen(its))
        except BaseException:  # the log is all that is left of it
            traceback.print_exc()
        finally:
            sys.stderr.flush()
            os._exit(1)
    os.close(its)
    return os.fdopen(ours, "w", buffering=1)


def main() -> None:
    """Start the ranks and pass plans on; end as soon as one of them has ended."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--marks", type=Path, required=True)
    parser.add_argument("--namespace", action="append", required=True, help="of each rank")
    parser.add_argument("--stage", type=Path, action="append", default=[], help="of each rank")
    parser.add_argument("--socket", action="append", default=[], help="for markers, of each rank")
    options = parser.parse_args()
    pipes = [_fork(rank, options) for rank in range(len(options.namespace))]
    signal.signal(signal.SIGCHLD, lambda *_: os._exit(1))
    for line in sys.stdin:
        for pipe in pipes:
            pipe.write(line)


if __name__ == "__main__":
    main()
