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
class TimedFault:
    """A fault with a beginning; seconds since the simulation began, `end` None is for good."""

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
class NodeFault(TimedFault):
    """A fault of a node."""

    node: str


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
class Downtrain(LinkFault):
    """The NIC came up at `share` of its rate, both ways, or its PCIe link did.

    A NIC says so in its speed. A PCIe link does not: what it cannot take in time fills the NIC's
    buffer, which tells the switch to stop.
    """

    share: float
    pcie: bool = True

    def __post_init__(self) -> None:
        _check_share(self.share)


@dataclass(frozen=True, slots=True, kw_only=True)
class SlowReceiver(LinkFault):
    """The host takes no more than `share` of line rate off the NIC; it sends at full rate."""

    share: float

    def __post_init__(self) -> None:
        _check_share(self.share)


@dataclass(frozen=True, slots=True, kw_only=True)
class PauseStorm(LinkFault):
    """Misconfigured priority flow control: the NIC pauses its switch port this share of time."""

    share: float

    def __post_init__(self) -> None:
        _check_share(self.share)


@dataclass(frozen=True, slots=True, kw_only=True)
class BitErrors(LinkFault):
    """The cable: this ratio of the bits that the NIC receives is wrong before FEC.

    FEC corrects nearly all of them up to a limit; what it cannot correct is lost.
    """

    ratio: float

    def __post_init__(self) -> None:
        _check_share(self.ratio)


@dataclass(frozen=True, slots=True, kw_only=True)
class LateInput(NodeFault):
    """Every step of the node begins `seconds` late, as its input is. Nothing else is wrong."""

    seconds: float


@dataclass(frozen=True, slots=True, kw_only=True)
class BusyHost(NodeFault):
    """Something else takes `share` of the host's processors: all its rails stutter and are late."""

    share: float

    def __post_init__(self) -> None:
        _check_share(self.share)


@dataclass(frozen=True, slots=True, kw_only=True)
class SwitchFault(TimedFault):
    """A fault of a leaf switch, named as in `Topology.switches`."""

    switch: str


@dataclass(frozen=True, slots=True, kw_only=True)
class SlowSwitch(SwitchFault):
    """Every port of the leaf passes no more than `share` of line rate."""

    share: float

    def __post_init__(self) -> None:
        _check_share(self.share)


@dataclass(frozen=True, slots=True, kw_only=True)
class Congestion(SwitchFault):
    """Another job's `flows` want `share` of each uplink of the leaf, in bursts of its own rhythm.

    That job's nodes are not part of the fleet: all that is seen of it is what it leaves.
    """

    share: float = 1.0
    flows: int = 2
    period_seconds: float = 0.37
    duty: float = 0.6

    def __post_init__(self) -> None:
        if self.share <= 0 or self.flows < 1 or not 0 < self.duty <= 1 or self.period_seconds <= 0:
            raise ValueError(f"a competing job needs flows, a share and a rhythm, got {self!r}")


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
# What the paced model knows, and what takes flows, queues and pauses to tell apart.
PacedFault: TypeAlias = SlowGpu | TransmitCap | ReceiveCap | Loss | LinkDown | Flap | CounterReset
Fault: TypeAlias = (
    PacedFault
    | Downtrain
    | SlowReceiver
    | PauseStorm
    | BitErrors
    | LateInput
    | BusyHost
    | SlowSwitch
    | Congestion
)


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
