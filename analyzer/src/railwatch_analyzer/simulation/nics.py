# SPDX-License-Identifier: Apache-2.0
"""What stays with a NIC for good: its small offset, its habits and where its counters stood."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from railwatch_analyzer.simulation.model import Stream, stream

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from railwatch_analyzer.simulation.model import Range, Simulation

# Bytes that a NIC may have counted before the simulation began.
_MOST_BYTES = 10**14


@dataclass(frozen=True, slots=True)
class Nics:
    """Traits of all NICs, shape (links,) each.

    Attributes
    ----------
    rate
        Factor on the rate of a transmitting edge.
    queue_occupied
        Share of samples with an occupied queue while the job runs healthily.
    retransmits, out_of_sequence
        Spurious events per second while the job runs; a node's number spread over its rails.
    background
        Shape (2, links), bytes per second beside the job; transmit, receive.
    counted
        Shape (2, links), bytes counted before the simulation; transmit, receive.
    """

    rate: NDArray[np.float64]
    queue_occupied: NDArray[np.float64]
    retransmits: NDArray[np.float64]
    out_of_sequence: NDArray[np.float64]
    background: NDArray[np.float64]
    counted: NDArray[np.float64]


def nics(simulation: Simulation) -> Nics:
    """Draw the NICs of *simulation*; a change of its noise scales them and draws no others."""
    topology, noise = simulation.topology, simulation.noise
    nodes, rails = topology.nodes, topology.rails
    draw = stream(simulation, Stream.NIC)
    offset = np.clip(draw.standard_normal(nodes * rails), -3.0, 3.0)
    queue = _between(noise.queue_occupied, draw.random(nodes * rails))
    retransmits = _between(noise.retransmits_per_second, draw.random(nodes)) / rails
    out_of_sequence = _between(noise.out_of_sequence_per_second, draw.random(nodes)) / rails
    background = draw.uniform(0.5, 1.5, (2, nodes * rails)) * noise.background_bytes_per_second
    return Nics(
        rate=1.0 + noise.nic_offset * offset,
        queue_occupied=queue,
        retransmits=np.repeat(retransmits, rails),
        out_of_sequence=np.repeat(out_of_sequence, rails),
        background=background,
        counted=draw.integers(0, _MOST_BYTES, (2, nodes * rails)).astype(np.float64),
    )


def _between(bounds: Range, share: NDArray[np.float64]) -> NDArray[np.float64]:
    return bounds[0] + (bounds[1] - bounds[0]) * share
