# SPDX-License-Identifier: Apache-2.0
"""What can be wrong with a simulated fleet, where, from when and until when.

A fault takes hold of the traffic with the next chunk that a ring begins, and of counters and
states at once.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

import numpy as np

from railwatch_analyzer.simulation.jobs import FOREVER

if TYPE_CHECKING:
    from numpy.typing import NDArray


def _check_share(share: float) -> None:
    if not 0.0 < share < 1.0:
        raise ValueError(f"share must be in (0, 1), got {share!r}")


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeFault:
    """A fault of a node; seconds since the simulation began, `end` None is for good."""

    node: str
    start: float
    end: float | None = None

    @property
    def stop(self) -> float:
        """When the fault ends."""
        return FOREVER if self.end is None else self.end

    def holds_at(self, seconds: NDArray[np.float64] | float) -> NDArray[np.bool_]:
        """Whether the fault is there, elementwise."""
        times = np.asarray(seconds)
        return (times >= self.start) & (times < self.stop)


@dataclass(frozen=True, slots=True, kw_only=True)
class SlowGpu(NodeFault):
    """A compute straggler: the node computes `factor` times as long. Its links are healthy."""

    factor: float = 1.5


@dataclass(frozen=True, slots=True, kw_only=True)
class LinkFault(NodeFault):
    """A fault of one rail of a node."""

    rail: int


@dataclass(frozen=True, slots=True, kw_only=True)
class TransmitCap(LinkFault):
    """The NIC sends at no more than `share` of line rate; bytes pile up in its own queue."""

    share: float

    def __post_init__(self) -> None:
        _check_share(self.share)


@dataclass(frozen=True, slots=True, kw_only=True)
class ReceiveCap(LinkFault):
    """The NIC is sent no more than `share` of line rate; no queue of a host shows it."""

    share: float

    def __post_init__(self) -> None:
        _check_share(self.share)


@dataclass(frozen=True, slots=True, kw_only=True)
class Loss(LinkFault):
    """`share` of the packets that the NIC sends are lost.

    It retransmits, and its ring successor sees packets out of sequence.
    """

    share: float

    def __post_init__(self) -> None:
        _check_share(self.share)


@dataclass(frozen=True, slots=True, kw_only=True)
class LinkDown(LinkFault):
    """The link is down from `start` to `end`; the job waits for it, however long."""

    @property
    def period_seconds(self) -> float:
        """Never again."""
        return 2 * FOREVER

    @property
    def down_seconds(self) -> float:
        """How long it stays down."""
        return self.stop - self.start


@dataclass(frozen=True, slots=True, kw_only=True)
class Flap(LinkFault):
    """The link goes down for `down_seconds`, again and again every `period_seconds`."""

    period_seconds: float = 20.0
    down_seconds: float = 1.0

    def __post_init__(self) -> None:
        if self.period_seconds < self.down_seconds + 1.0 or self.down_seconds <= 0:
            raise ValueError(f"a flapping link must be up for a second in between, got {self!r}")


@dataclass(frozen=True, slots=True, kw_only=True)
class CounterReset(LinkFault):
    """All counters of the link begin anew at `start`, as after a driver was reloaded."""


Outage: TypeAlias = LinkDown | Flap
Fault: TypeAlias = SlowGpu | TransmitCap | ReceiveCap | Loss | LinkDown | Flap | CounterReset


def is_down(fault: Outage, times: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Whether the link is down at each of *times*."""
    phase = np.mod(times - fault.start, fault.period_seconds)
    return fault.holds_at(times) & (phase < fault.down_seconds)


def downs(fault: Outage, times: NDArray[np.float64]) -> NDArray[np.float64]:
    """How often the link has gone down by each of *times*."""
    begun = np.floor((times - fault.start) / fault.period_seconds) + 1.0
    most = np.ceil((fault.stop - fault.start) / fault.period_seconds)
    return np.clip(begun, 0.0, most)


def down_seconds(fault: Outage, times: NDArray[np.float64]) -> NDArray[np.float64]:
    """How long the link has been down in all by each of *times*."""
    elapsed = np.clip(times, fault.start, fault.stop) - fault.start
    whole = np.floor(elapsed / fault.period_seconds)
    rest = elapsed - whole * fault.period_seconds
    return whole * fault.down_seconds + np.minimum(rest, fault.down_seconds)


def outage_end(fault: Outage, begin: float, end: float) -> float | None:
    """When the first outage that touches [*begin*, *end*) is over; None if there is none."""
    number = max(np.floor((begin - fault.start) / fault.period_seconds), 0.0)
    for at in (number, number + 1.0):
        down = fault.start + at * fault.period_seconds
        over = min(down + fault.down_seconds, fault.stop)
        if down < min(end, fault.stop) and over > begin:
            return float(over)
    return None
