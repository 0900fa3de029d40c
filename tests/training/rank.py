"""One rank of the job, a program: a line of JSON on its input is a plan, then come its steps.

    ip netns exec NODE python -m training.rank --rank 0 --world 4 --store FILE --marks FOLDER

Every step is a line in `FOLDER/JOB-RANK.jsonl` as it ends. A plan ends after its steps, or at the
step that `FOLDER/JOB.last` names; a line on the output says so. Importing torch takes seconds:
ranks stay for the next plan, until their input ends.
"""

from __future__ import annotations

import argparse
import contextlib
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

import torch
import torch.distributed as dist

from support.nvml import Activity, join
from training.device import Device
from training.model import distributed
from training.plan import Plan
from training.truth import Mark

if TYPE_CHECKING:
    from collections.abc import Iterator

    from torch.nn.parallel import DistributedDataParallel

    from support.nvml import Gpu
    from training.model import Model, Watch

# The thread that writes the stage must not keep the one that computes waiting.
_SWITCH_SECONDS = 0.0005


class Trainer:
    """The steps of one plan on this rank."""

    def __init__(self, plan: Plan, rank: int, device: Device) -> None:
        self._plan, self._rank, self._device = plan, rank, device
        self._model: Model
        self._parallel: DistributedDataParallel
        self._watch: Watch
        self._model, self._parallel, self._watch = distributed(plan, device)
        self._optimizer = torch.optim.SGD(self._model.parameters(), lr=1e-6)
        self._input = torch.ones(1)

    def steps(self) -> Iterator[Mark]:
        """Do step after step."""
        start = time.monotonic()
        for number in range(self._plan.steps):
            mark = self._step(number, start)
            start = mark.end
            yield mark

    def _step(self, number: int, start: float) -> Mark:
        self._await_input()
        forward_start = self._device.does(Activity.COMPUTE)
        forward_end = self._gradients()
        optimizer_start = self._device.does(Activity.COMPUTE)
        self._optimizer.step()
        self._optimizer.zero_grad()
        end = self._device.work(self._plan.optimizer_seconds)
        return Mark(
            step=number,
            start=start,
            forward_start=forward_start,
            forward_end=forward_end,
            compute_end=self._model.compute_end,
            optimizer_start=optimizer_start,
            end=end,
            buckets=self._watch.take(),
        )

    def _await_input(self) -> None:
        late = self._plan.late.get(self._rank, 0.0)
        if late:
            self._device.does(Activity.IDLE)
            time.sleep(late)

    def _gradients(self) -> float:
        """Go through the micro-batches; return when the last one was forward through."""
        forward_end = 0.0
        for batch in reversed(range(self._plan.micro_batches)):
            with self._parallel.no_sync() if batch else contextlib.nullcontext():
                loss = self._parallel(self._input)
                forward_end = time.monotonic()
                loss.backward()
        return forward_end


def run(plan: Plan, rank: int, gpu: Gpu | None, folder: Path) -> None:
    """Carry out one plan."""
    last_file = folder / f"{plan.job_id}.last"
    marks_file = folder / f"{plan.job_id}-{rank}.jsonl"
    device = Device(gpu, plan.lag_seconds, plan.slow.get(rank, 1.0))
    with device, marks_file.open("w", buffering=1, encoding="ascii") as marks:
        for mark in Trainer(plan, rank, device).steps():
            marks.write(f"{mark.to_json()}\n")
            if last_file.exists() and mark.step >= int(last_file.read_text(encoding="ascii")):
                break


def main() -> None:
    """Meet the other ranks, then carry out plans."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--rank", type=int, required=True)
    parser.add_argument("--world", type=int, required=True)
    parser.add_argument("--store", required=True, help="file through which the ranks meet")
    parser.add_argument("--marks", type=Path, required=True)
    parser.add_argument("--stage", type=Path, help="of the stand-in for NVML")
    options = parser.parse_args()
    sys.setswitchinterval(_SWITCH_SECONDS)
    torch.set_num_threads(1)
    dist.init_process_group(
        "gloo",
        init_method=f"file://{options.store}",
        rank=options.rank,
        world_size=options.world,
    )
    gpu = join(options.stage)[0] if options.stage else None
    _say("ready")
    for line in sys.stdin:
        plan = Plan.from_json(line)
        run(plan, options.rank, gpu, options.marks)
        _say(plan.job_id)
    dist.destroy_process_group()


def _say(word: str) -> None:
    sys.stdout.write(f"{word}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main()
