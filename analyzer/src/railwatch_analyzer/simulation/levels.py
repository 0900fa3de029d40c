# SPDX-License-Identifier: Apache-2.0
"""How bad each kind of simulated fault is: levels for development, and others kept for measuring.

Whoever tunes a detector may look at `LEVELS_SEEN` only. A figure that is reported says which of
the two it was measured at.
"""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping


class FaultKind(StrEnum):
    """What is injected; the comments say what a level is."""

    TRANSMIT_CAP = "transmit_cap"  # share of line rate
    RECEIVE_CAP = "receive_cap"  # share of line rate: one port of the switch
    NIC_DOWNTRAIN = "nic_downtrain"  # share of line rate; the speed says so
    PCIE_DOWNTRAIN = "pcie_downtrain"  # share of line rate; the speed does not
    SLOW_RECEIVER = "slow_receiver"  # share of line rate
    LOSS = "loss"  # share of packets
    BIT_ERRORS = "bit_errors"  # ratio before FEC
    FLAP = "flap"  # seconds between outages of a second
    PAUSE_STORM = "pause_storm"  # share of time
    SLOW_SWITCH = "slow_switch"  # share of line rate of every port of a leaf
    CONGESTION = "congestion"  # share of each uplink that another job wants
    SLOW_GPU = "slow_gpu"  # factor on compute time
    LATE_INPUT = "late_input"  # seconds in each step
    BUSY_HOST = "busy_host"  # share of processors


LEVELS_SEEN: Mapping[FaultKind, tuple[float, ...]] = {
    FaultKind.TRANSMIT_CAP: (0.75, 0.5, 0.25),
    FaultKind.RECEIVE_CAP: (0.75, 0.5, 0.25),
    FaultKind.NIC_DOWNTRAIN: (0.5, 0.25),
    FaultKind.PCIE_DOWNTRAIN: (0.5, 0.25),
    FaultKind.SLOW_RECEIVER: (0.75, 0.5),
    FaultKind.LOSS: (1e-4, 1e-3, 1e-2),
    FaultKind.BIT_ERRORS: (1e-5, 1e-4, 2.4e-4),
    FaultKind.FLAP: (20.0,),
    FaultKind.PAUSE_STORM: (0.1, 0.3),
    FaultKind.SLOW_SWITCH: (0.5,),
    FaultKind.CONGESTION: (1.0, 2.0),
    FaultKind.SLOW_GPU: (1.1, 1.5),
    FaultKind.LATE_INPUT: (0.1, 0.4),
    FaultKind.BUSY_HOST: (0.3,),
}
LEVELS_UNSEEN: Mapping[FaultKind, tuple[float, ...]] = {
    FaultKind.TRANSMIT_CAP: (0.85, 0.6, 0.35),
    FaultKind.RECEIVE_CAP: (0.85, 0.6, 0.35),
    FaultKind.NIC_DOWNTRAIN: (0.125,),
    FaultKind.PCIE_DOWNTRAIN: (0.7, 0.35),
    FaultKind.SLOW_RECEIVER: (0.85, 0.6, 0.35),
    FaultKind.LOSS: (3e-5, 3e-4, 3e-3),
    FaultKind.BIT_ERRORS: (3e-6, 3e-5, 2.2e-4),
    FaultKind.FLAP: (12.0, 35.0),
    FaultKind.PAUSE_STORM: (0.05, 0.2),
    FaultKind.SLOW_SWITCH: (0.7, 0.35),
    FaultKind.CONGESTION: (0.7, 1.4),
    FaultKind.SLOW_GPU: (1.05, 1.25),
    FaultKind.LATE_INPUT: (0.05, 0.2),
    FaultKind.BUSY_HOST: (0.15, 0.5),
}
