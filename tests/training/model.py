"""A model whose gradients are real bytes and whose layers take device time, under PyTorch's DDP.

Knowledge: torch.autograd.Function, DistributedDataParallel.register_comm_hook and GradBucket
(docs of torch.nn.parallel and torch.distributed.algorithms.ddp_comm_hooks).
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import torch
import torch.distributed as dist
from torch.nn.parallel import DistributedDataParallel

from support.nvml import Activity

if TYPE_CHECKING:
    from training.device import Device
    from training.plan import Plan

_FLOAT_BYTES = 4


class _Layer(torch.autograd.Function):
    """Passes its input on and takes its time, both ways; its gradient is as large as its weight."""

    @staticmethod
    def forward(ctx: Any, x: Any, weight: Any, model: Model) -> Any:
        ctx.model, ctx.shape = model, weight.shape
        model.device.work(model.forward_seconds)
        return x + weight[0]

    @staticmethod
    def backward(ctx: Any, gradient: Any) -> Any:
        model = ctx.model
        model.compute_end = model.device.work(model.backward_seconds)
        return gradient, torch.ones(ctx.shape), None


class Model(torch.nn.Module):
    """Layers in a row; `compute_end` is when the last gradient of this step was there."""

    def __init__(self, plan: Plan, device: Device) -> None:
        super().__init__()
        self.device = device
        self.forward_seconds = plan.forward_seconds / len(plan.layer_bytes)
        self.backward_seconds = plan.backward_seconds / len(plan.layer_bytes)
        self.compute_end = 0.0
        sizes = [size // _FLOAT_BYTES for size in plan.layer_bytes]
        self.weights = torch.nn.ParameterList([torch.zeros(size) for size in sizes])

    def forward(self, x: Any) -> Any:
        """Go through the layers from the input on."""
        for weight in self.weights:
            x = _Layer.apply(x, weight, self)
        return x.sum()


class Watch:
    """The communication hook: an all-reduce for each bucket, and when it began and ended."""

    def __init__(self, model: Model) -> None:
        self._model = model
        self._called = 0
        self._buckets: list[tuple[float, float, int]] = []

    def reduce(self, bucket: Any) -> Any:
        """Return the future of the bucket's mean over all ranks (the hook)."""
        buffer, start = bucket.buffer(), time.monotonic()
        self._called += 1
        if bucket.is_last():
            # Nothing is left to compute.
            self._model.device.does(Activity.COMMUNICATION)

        def done(future: Any) -> Any:
            self._buckets.append((start, time.monotonic(), buffer.numel() * _FLOAT_BYTES))
            return future.value()[0].div_(dist.get_world_size())

        return dist.all_reduce(buffer, async_op=True).get_future().then(done)

    def take(self) -> tuple[tuple[float, float, int], ...]:
        """Return the buckets since the last call, which all are done."""
        found, self._buckets = self._buckets, []
        if len(found) != self._called:
            raise RuntimeError(f"{self._called} buckets began and {len(found)} ended")
        self._called = 0
        return tuple(found)


def distributed(plan: Plan, device: Device) -> tuple[Model, DistributedDataParallel, Watch]:
    """Return the model, the same under DDP, and what watches its communication."""
    model = Model(plan, device)
    parallel = DistributedDataParallel(
        model,
        bucket_cap_mb=plan.bucket_bytes / 2**20,
        gradient_as_bucket_view=True,
        broadcast_buffers=False,
        init_sync=plan.broadcasts,
    )
    watch = Watch(model)
    parallel.register_comm_hook(watch, lambda state, bucket: state.reduce(bucket))
    return model, parallel, watch
