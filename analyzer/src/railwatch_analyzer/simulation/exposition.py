# SPDX-License-Identifier: Apache-2.0
"""A simulated node as its agent would expose it, for a cluster of fake agents."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from railwatch.catalogue.metric import Sample, Scope
from railwatch.catalogue.node import AGENT_WINDOW_END, AGENT_WINDOW_SECONDS
from railwatch_analyzer.frame import FETCHED, KIND_LABEL, column

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from railwatch_analyzer.frame import Frame


def exposition(frame: Frame, node: str) -> Iterable[Sample]:
    """Yield what the agent of *node* says at the time of *frame*; the unknown is left out."""
    rows = [row for row, link in enumerate(frame.links) if link.node == node]
    if not rows:
        raise ValueError(f"no node {node!r} in the frame")
    for row in rows:
        yield from _rail(frame, row)
    yield Sample(AGENT_WINDOW_SECONDS, (), frame.window_seconds)
    yield Sample(AGENT_WINDOW_END, (), float(frame.window_end[rows[0]]))


def _rail(frame: Frame, row: int) -> Iterator[Sample]:
    labels = (frame.links[row].rail, frame.links[row].device)
    for spec in FETCHED:
        if spec.scope is not Scope.RAIL:
            continue
        kinds = spec.values if spec in KIND_LABEL else (None,)
        for kind in kinds:
            value = float(frame[column(spec, kind)][row])
            if not np.isnan(value):
                yield Sample(spec, labels if kind is None else (*labels, kind), value)
