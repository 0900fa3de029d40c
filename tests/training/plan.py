"""What a training job is to do, as the test says it and every rank reads it. Standard library."""

from __future__ import annotations

import json
from collections.abc import Mapping  # noqa: TC003  # dataclasses that are read back from JSON
from dataclasses import asdict, dataclass, field

MEGABYTE = 1_000_000


@dataclass(frozen=True, slots=True)
class Plan:
    """A model, how long its device works on it, and what goes wrong.

    `layer_bytes` are gradients, the layer next to the input first: its gradient comes last. Device
    time is slept: `forward_seconds` and `backward_seconds` of all layers together, of every
    micro-batch; only the last micro-batch of a step is all-reduced.
    """

    job_id: str
    layer_bytes: tuple[int, ...]
    bucket_bytes: int
    forward_seconds: float
    backward_seconds: float
    optimizer_seconds: float = 0.008
    micro_batches: int = 1
    broadcasts: bool = False
    """Whether rank 0 sends its weights to all others first, as DDP does by itself."""
    steps: int = 100_000
    slow: Mapping[int, float] = field(default_factory=dict)
    """Ranks whose device takes so many times as long."""
    late: Mapping[int, float] = field(default_factory=dict)
    """Ranks whose input comes so many seconds late in every step."""
    lag_seconds: float = 0.0
    """How long after the fact the device's counters show what it does."""

    def to_json(self) -> str:
        """One line."""
        return json.dumps(asdict(self))

    @classmethod
    def from_json(cls, line: str) -> Plan:
        """Return the plan in a line; JSON has neither tuples nor numbers as keys."""
        values = json.loads(line)
        values["layer_bytes"] = tuple(values["layer_bytes"])
        for name in ("slow", "late"):
            values[name] = {int(rank): value for rank, value in values[name].items()}
        return cls(**values)
