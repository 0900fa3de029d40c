# SPDX-License-Identifier: Apache-2.0
"""Which driver statistics say what of a rail: one table a driver, nothing but data.

Names and units: Documentation/networking/device_drivers/ethernet/mellanox/mlx5/counters.rst for
mlx5_core; bnxt_ethtool.c and ionic_stats.c in drivers/net/ethernet for bnxt_en and ionic.

Left to the netdev collector: CRC errors (rx_crc_errors_phy), which the kernel has in rx_errors.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, TypeAlias

from railwatch.catalogue.rail import (
    RAIL_FAULTS,
    RAIL_FEC_CORRECTED_BITS,
    RAIL_PAUSE_SECONDS,
    RAIL_PCIE_STALLED,
    RAIL_PRIORITY_PAUSE_FRAMES,
    RAIL_PRIORITY_PAUSE_SECONDS,
    RAIL_RECEIVED_BITS,
    Direction,
    Fault,
)

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from railwatch.catalogue.metric import MetricSpec

_MICROSECOND: Final = 1e-6
_PERCENT: Final = 0.01
_PRIORITIES: Final = range(8)


@dataclass(frozen=True, slots=True)
class Rule:
    """What one series is made of.

    Of *groups* the first counts of which the driver has any statistic, so that two views of one
    counter are not added up; the statistics of a group are. `scale` leads to the base unit.
    """

    spec: MetricSpec
    label: tuple[str, ...]
    groups: tuple[tuple[str, ...], ...]
    scale: float | None = None

    def value(self, statistics: Mapping[str, int]) -> float | None:
        """Return the number in base units, None if the driver keeps nothing of it."""
        for group in self.groups:
            kept = [statistics[name] for name in group if name in statistics]
            if kept:
                total = sum(kept)
                return total if self.scale is None else total * self.scale
        return None


Table: TypeAlias = tuple[Rule, ...]


def _each_priority(pattern: str) -> tuple[str, ...]:
    return tuple(pattern.format(priority) for priority in _PRIORITIES)


def _fault(kind: Fault, *groups: tuple[str, ...]) -> Rule:
    return Rule(RAIL_FAULTS, (kind,), groups)


def _pauses(receive: tuple[tuple[str, ...], ...], transmit: tuple[tuple[str, ...], ...]) -> Table:
    return (
        Rule(RAIL_PAUSE_SECONDS, (Direction.RECEIVE,), receive, _MICROSECOND),
        Rule(RAIL_PAUSE_SECONDS, (Direction.TRANSMIT,), transmit, _MICROSECOND),
    )


_MLX5: Final[Table] = (
    # The global counter is that of priority 0 again (en_stats.c).
    *_pauses(
        (_each_priority("rx_prio{}_pause_duration"), ("rx_global_pause_duration",)),
        (_each_priority("tx_prio{}_pause_duration"), ("tx_global_pause_duration",)),
    ),
    Rule(RAIL_FEC_CORRECTED_BITS, (), (("rx_corrected_bits_phy",),)),
    Rule(RAIL_RECEIVED_BITS, (), (("rx_bits_phy",),)),
    _fault(Fault.SYMBOL_ERROR, ("rx_pcs_symbol_err_phy",), ("rx_symbol_err_phy",)),
    _fault(Fault.PORT_RECEIVE_DISCARD, ("rx_discards_phy",)),
    _fault(Fault.PORT_TRANSMIT_DISCARD, ("tx_discards_phy",)),
    # Percent of the last second, and not cumulative. What the NIC writes it has received.
    Rule(RAIL_PCIE_STALLED, (Direction.RECEIVE,), (("outbound_pci_stalled_wr",),), _PERCENT),
    Rule(RAIL_PCIE_STALLED, (Direction.TRANSMIT,), (("outbound_pci_stalled_rd",),), _PERCENT),
)

_BNXT: Final[Table] = (
    *_pauses(
        (_each_priority("pfc_pri{}_rx_duration_us"),),
        (_each_priority("pfc_pri{}_tx_duration_us"),),
    ),
    Rule(RAIL_FEC_CORRECTED_BITS, (), (("rx_corrected_bits",),)),
    _fault(Fault.FEC_UNCORRECTED, ("rx_fec_uncorrectable_blocks",)),
    _fault(Fault.SYMBOL_ERROR, ("rx_pcs_symbol_err",)),
    _fault(Fault.PORT_RECEIVE_DISCARD, _each_priority("rx_discard_packets_cos{}")),
)

# The one that is no priority's is of global pause, which a port has instead of theirs.
_IONIC: Final[Table] = (
    *_pauses(
        ((*_each_priority("rx_pripause_{}_1us_count"), "rx_pause_1us_count"),),
        (_each_priority("tx_pripause_{}_1us_count"),),
    ),
    Rule(RAIL_RECEIVED_BITS, (), (("rx_bits_phy",),)),
    _fault(Fault.PORT_RECEIVE_DISCARD, ("frames_rx_dropped",)),
)

TABLES: Final[dict[str, Table]] = {"mlx5_core": _MLX5, "bnxt_en": _BNXT, "ionic": _IONIC}


def _by_priority(*, frames: str, seconds: str) -> dict[int, Table]:
    """Return the rules of each priority, of names with a place for direction and priority."""
    directions = {Direction.RECEIVE: "rx", Direction.TRANSMIT: "tx"}
    kinds = (
        (RAIL_PRIORITY_PAUSE_FRAMES, frames, None),
        (RAIL_PRIORITY_PAUSE_SECONDS, seconds, _MICROSECOND),
    )
    return {
        priority: tuple(
            Rule(spec, (str(priority), direction), ((pattern.format(short, priority),),), scale)
            for spec, pattern, scale in kinds
            if pattern
            for direction, short in directions.items()
        )
        for priority in _PRIORITIES
    }


PRIORITY_TABLES: Final[dict[str, dict[int, Table]]] = {
    "mlx5_core": _by_priority(frames="{}_prio{}_pause", seconds="{}_prio{}_pause_duration"),
    "bnxt_en": _by_priority(frames="{}_pfc_ena_frames_pri{}", seconds="pfc_pri{1}_{0}_duration_us"),
    # Its frames_rx_pri_N are all frames of the priority; pause frames it adds up over all.
    "ionic": _by_priority(frames="", seconds="{}_pripause_{}_1us_count"),
}


def names(table: Table) -> Iterator[str]:
    """Yield every statistic that a table looks at."""
    for rule in table:
        for group in rule.groups:
            yield from group
