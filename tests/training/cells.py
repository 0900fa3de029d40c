"""The jobs of the proof: shares of exposed communication from none to most of a step, and faults.

Buckets and device times are for four ranks at 200 Mbit/s, where a ring carries about 16 MB of
gradients a second. The names say the share; what it really is, each run measures.
"""

from __future__ import annotations

from dataclasses import replace

from training.plan import MEGABYTE, Plan

_SMALL = 8_000


def _equal(bucket_bytes: int, buckets: int) -> tuple[int, ...]:
    """Layers of which each fills a bucket."""
    return (bucket_bytes,) * buckets


HIDDEN = Plan(
    job_id="hidden",
    # The last gradient is tiny: the buckets before it are through when it comes.
    layer_bytes=(_SMALL, *_equal(MEGABYTE // 4, 5)),
    bucket_bytes=MEGABYTE // 4,
    forward_seconds=0.1,
    backward_seconds=0.28,
)
SLIGHT = Plan(
    job_id="slight",
    layer_bytes=_equal(400_000, 5),
    bucket_bytes=400_000,
    forward_seconds=0.11,
    backward_seconds=0.25,
)
MIDDLING = Plan(
    job_id="middling",
    layer_bytes=_equal(MEGABYTE // 2, 4),
    bucket_bytes=MEGABYTE // 2,
    forward_seconds=0.05,
    backward_seconds=0.1,
)
BOUND = Plan(
    job_id="bound",
    layer_bytes=_equal(MEGABYTE, 4),
    bucket_bytes=MEGABYTE,
    forward_seconds=0.04,
    backward_seconds=0.08,
)
WIDE = Plan(
    job_id="wide",
    layer_bytes=_equal(4 * MEGABYTE, 2),
    bucket_bytes=4 * MEGABYTE,
    forward_seconds=0.1,
    backward_seconds=0.25,
)
ACCUMULATED = Plan(
    job_id="accumulated",
    layer_bytes=_equal(MEGABYTE // 2, 4),
    bucket_bytes=MEGABYTE // 2,
    forward_seconds=0.03,
    backward_seconds=0.05,
    micro_batches=4,
)
STRAGGLER = replace(SLIGHT, job_id="straggler", slow={2: 1.5})
LATE_INPUT = replace(SLIGHT, job_id="late-input", late={1: 0.15})


def stretched(plan: Plan, factor: int) -> Plan:
    """Return the same job on a larger scale: steps and bytes are *factor* times as large."""
    return replace(
        plan,
        job_id=f"{plan.job_id}-{factor}",
        layer_bytes=tuple(size * factor for size in plan.layer_bytes),
        bucket_bytes=plan.bucket_bytes * factor,
        forward_seconds=plan.forward_seconds * factor,
        backward_seconds=plan.backward_seconds * factor,
        optimizer_seconds=plan.optimizer_seconds * factor,
        late={rank: seconds * factor for rank, seconds in plan.late.items()},
    )


LONG = replace(
    stretched(BOUND, 6),
    job_id="long",
    layer_bytes=_equal(4 * MEGABYTE, 6),
    bucket_bytes=4 * MEGABYTE,
)
CELLS = (HIDDEN, SLIGHT, MIDDLING, BOUND, WIDE, LONG, ACCUMULATED, STRAGGLER, LATE_INPUT)
