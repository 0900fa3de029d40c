# SPDX-License-Identifier: Apache-2.0
"""The GPUs' part of the tape: timed fast samples of their activity signals.

They come about once a second, all GPUs' of that second in one block, and blocks are kept as they
came: a reader picks what it wants. One thread writes, any thread reads, nobody waits.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray


@dataclass(frozen=True, slots=True)
class GpuSlice:
    """Consecutive samples of one GPU, oldest first; NaN where a value is unknown.

    `times` are seconds of CLOCK_MONOTONIC, each the end of what its sample averages. `activity` is
    of the signal that `railwatch_gpu_activity_info` names: a share, or watts. `tensor_activity` is
    a share, and known with GPM only.
    """

    times: NDArray[np.float64]
    activity: NDArray[np.float64]
    tensor_activity: NDArray[np.float64]

    def __len__(self) -> int:
        return len(self.times)


class GpuTape:
    """The newest *capacity* blocks of samples."""

    def __init__(self, capacity: int) -> None:
        # To append to a deque and to copy it are one step of the interpreter each.
        self._blocks: deque[NDArray[np.float64]] = deque(maxlen=capacity)

    def write(self, block: NDArray[np.float64]) -> None:
        """Add samples: shape (n, 4), number of the GPU, time, activity, tensor activity."""
        self._blocks.append(block)

    def slice(self, gpu: int, since: float) -> GpuSlice:
        """Return the samples of *gpu* taken at *since* or later."""
        return self.slices(since).get(gpu) or GpuSlice(*np.empty((3, 0)))

    def slices(self, since: float) -> dict[int, GpuSlice]:
        """Return the samples taken at *since* or later, of each GPU that has any."""
        blocks: list[NDArray[np.float64]] = []
        for block in reversed(self._blocks.copy()):
            if len(block) and float(block[:, 1].max()) < since:
                break
            blocks.append(block)
        if not blocks:
            return {}
        samples = np.concatenate(blocks[::-1])
        samples = samples[samples[:, 1] >= since]
        # Of each GPU all together, in the order in which they came.
        samples = samples[np.argsort(samples[:, 0], kind="stable")]
        edges = np.flatnonzero(np.diff(samples[:, 0])) + 1
        return {int(part[0, 0]): _slice(part) for part in np.split(samples, edges) if len(part)}


def _slice(samples: NDArray[np.float64]) -> GpuSlice:
    _, times, activity, tensor_activity = samples.T
    if (times[1:] > times[:-1]).all():
        return GpuSlice(times, activity, tensor_activity)
    # A child may say again what the one before it has said.
    is_new = np.diff(np.maximum.accumulate(times), prepend=-np.inf) > 0
    return GpuSlice(times[is_new], activity[is_new], tensor_activity[is_new])
