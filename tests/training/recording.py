"""A recording of a job as a node's instruments see it, with what really happened beside it.

    PYTHONPATH=tests python -m training.recording [--steps 60] [CELL ...]

writes a file a cell and node into `training/recordings/`: arrays `rail_times`, `receive_bytes`,
`transmit_bytes` (counters of rail 0 at 50 Hz), `ideal_times`, `ideal_activity` (mean of the 10 ms
before), `gpm_times`, `gpm_activity` (10 Hz, mean of the 200 ms before, as the agent has them of an
H100; lag none), and of each step `start`, `forward_end`, `compute_end`, `optimizer_start`, `end`,
`compute_seconds`, `exposed_seconds`, `bytes`; `intervals` has the device's compute, two columns.
Exposed is what the communication hook says: waiting for gradients of others is part of it.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from lab.cluster import Cluster
from lab.counters import Meter, Traffic
from training.cells import CELLS
from training.job import Ranks

if TYPE_CHECKING:
    from collections.abc import Sequence

    from training.truth import Mark

RECORDINGS = Path(__file__).parent / "recordings"
_INTERVAL_SECONDS = 0.02
# Levels of the stand-in's H100: the SMs that a collective's kernels occupy are a tenth.
_COMPUTING, _OTHERWISE = 0.9, 0.12

Sample = tuple[float, list[dict[str, Traffic]]]
Arrays = dict[str, NDArray[np.generic]]


def activity(
    compute: NDArray[np.float64], times: NDArray[np.float64], window_seconds: float
) -> NDArray[np.float64]:
    """Return the mean activity over the window before each of *times*."""
    spent = _spent(compute, times) - _spent(compute, times - window_seconds)
    return np.asarray(_OTHERWISE + (_COMPUTING - _OTHERWISE) * spent / window_seconds)


def _spent(compute: NDArray[np.float64], times: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the seconds of compute until each of *times*."""
    within = np.clip(times[:, None], compute[:, 0], compute[:, 1]) - compute[:, 0]
    return np.asarray(within.sum(axis=1))


def arrays(marks: Sequence[Mark], samples: Sequence[Sample], node: int) -> Arrays:
    """Return what the file of one node holds; times and bytes count from its first sample."""
    origin = samples[0][0]
    rail = [counters[node]["rail0"] for _, counters in samples]
    times = np.array([moment for moment, _ in samples]) - origin
    seen = [mark for mark in marks if origin <= mark.start and mark.end <= samples[-1][0]]
    compute = np.array([span for mark in marks for span in mark.compute]) - origin
    found = {"rail_times": times, "intervals": compute}
    for name, every, window in (("ideal", 0.01, 0.01), ("gpm", 0.1, 0.2)):
        found[f"{name}_times"] = np.arange(window, times[-1], every)
        found[f"{name}_activity"] = activity(compute, found[f"{name}_times"], window)
    for name in ("start", "forward_end", "compute_end", "optimizer_start", "end"):
        found[name] = np.array([getattr(mark, name) for mark in seen]) - origin
    for name in ("compute_seconds", "exposed_seconds", "bytes"):
        found[name] = np.array([getattr(mark, name) for mark in seen], dtype=np.float64)
    for name in ("receive_bytes", "transmit_bytes"):
        counter = np.array([getattr(traffic, name) for traffic in rail])
        found[name] = counter - counter[0]
    return {name: _small(values) for name, values in found.items()}


def _small(values: NDArray[np.generic]) -> NDArray[np.generic]:
    """Return what needs half the room: a minute is known to 4 us."""
    return values.astype(np.float32 if values.dtype == np.float64 else np.int32)


def main() -> int:
    """Record the cells that are named, or all."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--steps", type=int, default=60)
    parser.add_argument("cells", nargs="*", help=", ".join(plan.job_id for plan in CELLS))
    options = parser.parse_args()
    RECORDINGS.mkdir(exist_ok=True)
    with (
        tempfile.TemporaryDirectory() as folder,
        Cluster(nodes=4, rails=1) as cluster,
        Ranks(cluster, Path(folder)) as ranks,
        Meter(cluster) as meter,
    ):
        for plan in CELLS:
            if options.cells and plan.job_id not in options.cells:
                continue
            run = ranks.begin(plan)
            run.await_steps(2, 30.0)
            samples: list[Sample] = []
            next_look = time.monotonic()
            while len(samples) % 50 or len(run.marks()) < options.steps:
                samples.append((time.monotonic(), meter.read()))
                next_look += _INTERVAL_SECONDS
                time.sleep(max(0.0, next_look - time.monotonic()))
            marks = run.stop()
            for node in range(2 if plan.slow or plan.late else 1):
                which = next(iter({**plan.slow, **plan.late})) if node else 0
                path = RECORDINGS / f"{plan.job_id}-{'culprit' if node else 'node'}.npz"
                np.savez_compressed(path, **arrays(marks[which], samples, which))
            _tell(plan.job_id, marks)
    return 0


def _tell(name: str, marks: Sequence[Sequence[Mark]]) -> None:
    for rank, of in enumerate(marks):
        lengths = sorted(mark.seconds for mark in of)
        exposed = sorted(mark.exposed_seconds / mark.seconds for mark in of)
        sys.stdout.write(
            f"{name} rank {rank}: {len(of)} steps, median {lengths[len(of) // 2]:.3f} s "
            f"({lengths[len(of) // 20]:.3f} to {lengths[-len(of) // 20]:.3f}), exposed "
            f"{exposed[len(of) // 2]:.3f} ({exposed[len(of) // 20]:.3f} to "
            f"{exposed[-len(of) // 20]:.3f}), compute "
            f"{sum(mark.compute_seconds for mark in of) / len(of):.3f}\n"
        )


if __name__ == "__main__":
    sys.exit(main())
