# SPDX-License-Identifier: Apache-2.0
"""What a batch of steps wants of the network, and what it leaves behind."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


class Signal(IntEnum):
    """What is counted of every link; the first axis of `Trail.counted`."""

    SENT = 0
    """Bytes."""
    RECEIVED = 1
    """Bytes."""
    LOST = 2
    """Bytes that this link sent and nobody received."""
    MARKED = 3
    """Packets that arrived with a mark."""
    CNP_SENT = 4
    CNP_HANDLED = 5
    PAUSED = 6
    """Seconds for which this link was told to stop."""
    PAUSING = 7
    """Seconds for which it told the switch to stop."""
    QUEUED = 8
    """Seconds for which more wanted to leave the NIC than could."""
    RETRANSMIT = 9
    OUT_OF_SEQUENCE = 10
    TIMEOUT = 11


@dataclass(frozen=True, slots=True)
class Demand:
    """What a batch of steps wants of the network; seconds since each step began.

    Attributes
    ----------
    begin, full
        Shape (batch, links): when the first and when the last byte is ready to be sent.
    feed
        Shape (batch, flows), bytes per second that the GPU feeds a flow.
    gusts
        Shape (batch, ticks, links): share of a switch port that something else takes in a tick;
        repeated for as long as it takes. None: nothing else is there.
    rival_phase
        Shape (batch,), 0 to 1: where in their rhythm competing jobs are as a step begins.
    flow_bytes, chunk_bytes
        What each flow has to deliver, and in pieces of what size.
    """

    begin: NDArray[np.float64]
    full: NDArray[np.float64]
    feed: NDArray[np.float64]
    gusts: NDArray[np.float32] | None
    rival_phase: NDArray[np.float64]
    flow_bytes: float
    chunk_bytes: float


@dataclass(frozen=True, slots=True)
class Trail:
    """What a batch of steps left behind.

    Attributes
    ----------
    origin
        Shape (batch,), seconds from a step's beginning to the first of `times`.
    times
        Shape (notes,), ascending, from 0.
    counted
        Shape (notes, signals, batch, links), cumulative.
    moving
        Shape (notes, batch, nodes), seconds in which any rail of a node moved bytes, cumulative.
    end
        Shape (batch,), seconds from a step's beginning until all its bytes had arrived; inf if
        they never will.
    """

    origin: NDArray[np.float64]
    times: NDArray[np.float64]
    counted: NDArray[np.float64]
    moving: NDArray[np.float64]
    end: NDArray[np.float64]
