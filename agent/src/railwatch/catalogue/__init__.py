# SPDX-License-Identifier: Apache-2.0
"""Every metric of railwatch, written once.

METRICS.md, the exposition, the analyzer's queries and the checks of rules are derived from here.
A label set, a unit or a help text stands nowhere else.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from railwatch.catalogue import gpu, job, module, node, rail, step, verdict
from railwatch.catalogue.metric import MetricSpec

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import ModuleType


def _specs(room: ModuleType) -> Iterator[MetricSpec]:
    """Yield the specs of *room* in the order in which they are written there."""
    for value in vars(room).values():
        if isinstance(value, MetricSpec):
            yield value
        elif isinstance(value, dict):
            yield from (spec for spec in value.values() if isinstance(spec, MetricSpec))


METRICS: tuple[MetricSpec, ...] = (
    *_specs(rail),
    *_specs(module),
    *_specs(gpu),
    *_specs(step),
    *_specs(node),
    *_specs(verdict),
    *_specs(job),
)
