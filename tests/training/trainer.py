"""The steps of one plan on one rank, and what is told of each: its mark, and a step marker."""

from __future__ import annotations

import contextlib
import time
from typing import TYPE_CHECKING

import torch

from support.nvml import Activity
from training.device import Device
from training.model import distributed
from training.truth import Mark

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from railwatch_agent.hook import StepMarker
    from support.nvml import Gpu
    from training.plan import Plan


class Trainer:
    """Trains on this rank as a plan says."""

    def __init__(self, plan: Plan, rank: int, device: Device) -> None:
        self._plan, self._device = plan, device
        self._late_seconds = plan.late.get(rank, 0.0)
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
        if self._late_seconds:
            self._device.does(Activity.IDLE)
            time.sleep(self._late_seconds)
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

    def _gradients(self) -> float:
        """Go through the micro-batches; return when the last one was forward through."""
        forward_end = 0.0
        for batch in reversed(range(self._plan.micro_batches)):
            with self._parallel.no_sync() if batch else contextlib.nullcontext():
                loss = self._parallel(self._input)
                forward_end = time.monotonic()
                loss.backward()
        return forward_end


def train(plan: Plan, rank: int, gpu: Gpu | None, folder: Path, marker: StepMarker) -> None:
    """Carry out a plan: a line in `JOB-RANK.jsonl` a step, until its end or step `JOB.last`."""
    last_file = folder / f"{plan.job_id}.last"
    marks_file = folder / f"{plan.job_id}-{rank}.jsonl"
    device = Device(gpu, plan.lag_seconds, plan.slow.get(rank, 1.0))
    with device, marks_file.open("w", buffering=1, encoding="ascii") as marks:
        marker.step_end()
        for mark in Trainer(plan, rank, device).steps():
            marker.step_end(
                compute=mark.compute_seconds,
                exposed=mark.exposed_seconds,
                communication=mark.communication_seconds,
            )
            marks.write(f"{mark.to_json()}\n")
            if last_file.exists() and mark.step >= int(last_file.read_text(encoding="ascii")):
                break
