"""What `ethtool -S` lists of real drivers, in their order and with their names; numbers are ours.

Knowledge: the kernel's mlx5 counters.rst, bnxt_ethtool.c and ionic_stats.c. A degraded port: FEC
works hard, some blocks are lost, the peer paused us and we paused it.
"""

from collections.abc import Mapping

_PRIORITIES = range(8)


def mlx5(queues: int = 4) -> dict[str, int]:
    """A ConnectX-7 port with PFC on all priorities; *queues* as many as it has channels."""
    found = {"rx_packets": 1000, "rx_bytes": 64000, "tx_packets": 900, "tx_bytes": 54000}
    found |= {"rx_out_of_buffer": 3, "dev_out_of_buffer": 0}
    found |= {"rx_vport_rdma_unicast_bytes": 7 * 10**12, "tx_vport_rdma_unicast_bytes": 10**12}
    found |= {"rx_bytes_phy": 8 * 10**12, "tx_bytes_phy": 9 * 10**12, "rx_crc_errors_phy": 5}
    found |= {"rx_symbol_err_phy": 2, "rx_pause_ctrl_phy": 11, "tx_pause_ctrl_phy": 12}
    found |= {"rx_discards_phy": 17, "tx_discards_phy": 1, "link_down_events_phy": 4}
    found |= {"rx_pcs_symbol_err_phy": 6, "rx_bits_phy": 64 * 10**15}
    found |= {"rx_corrected_bits_phy": 31 * 10**9}
    found |= {f"rx_err_lane_{lane}_phy": 7 * 10**9 for lane in range(4)}
    found |= {"rx_pci_signal_integrity": 0, "tx_pci_signal_integrity": 0}
    found |= {"outbound_pci_stalled_rd": 40, "outbound_pci_stalled_wr": 5}
    found |= {"outbound_pci_stalled_rd_events": 9, "outbound_pci_stalled_wr_events": 0}
    for priority in _PRIORITIES:
        found |= {f"rx_prio{priority}_bytes": 10**9, f"rx_prio{priority}_discards": 17}
        found |= {f"rx_prio{priority}_pause": 2, f"rx_prio{priority}_pause_duration": 0}
        found |= {f"tx_prio{priority}_pause": 1, f"tx_prio{priority}_pause_duration": 0}
    found |= {"rx_prio3_pause_duration": 2_500_000, "rx_prio4_pause_duration": 500_000}
    found |= {"tx_prio3_pause_duration": 7, "module_high_temp": 0}
    for queue in range(queues):
        found |= {f"rx{queue}_packets": 250, f"rx{queue}_bytes": 16000}
        found |= {f"tx{queue}_packets": 225, f"tx{queue}_bytes": 13500}
    return found


def bnxt() -> dict[str, int]:
    """A Thor port."""
    found = {"[0]: rx_ucast_packets": 10, "[0]: tx_ucast_packets": 10, "rx_total_ring_discards": 1}
    found |= {"rx_fcs_err_frames": 2, "rx_stat_discard": 8, "link_down_events": 1}
    for priority in _PRIORITIES:
        found |= {f"rx_pfc_ena_frames_pri{priority}": 3, f"tx_pfc_ena_frames_pri{priority}": 4}
        found |= {f"pfc_pri{priority}_rx_duration_us": 0, f"pfc_pri{priority}_tx_duration_us": 0}
        found |= {f"rx_discard_packets_cos{priority}": 1}
    found |= {"pfc_pri3_rx_duration_us": 1_000_000, "pfc_pri3_tx_duration_us": 250_000}
    found |= {"rx_corrected_bits": 10**9, "rx_pcs_symbol_err": 3}
    return found | {"rx_fec_corrected_blocks": 10**6, "rx_fec_uncorrectable_blocks": 2}


def ionic() -> dict[str, int]:
    """A Pensando port."""
    found = {"tx_packets": 1, "rx_packets": 2, "frames_rx_ok": 100, "frames_rx_bad_fcs": 1}
    found |= {"frames_rx_pripause": 9, "frames_tx_pripause": 8, "frames_rx_dropped": 5}
    for priority in _PRIORITIES:
        found |= {f"frames_rx_pri_{priority}": 12, f"frames_tx_pri_{priority}": 11}
        found |= {f"tx_pripause_{priority}_1us_count": 0, f"rx_pripause_{priority}_1us_count": 0}
    found |= {"rx_pripause_3_1us_count": 1_500_000, "tx_pripause_3_1us_count": 125_000}
    return found | {"rx_pause_1us_count": 250_000, "rx_bits_phy": 10**15}


class FakeStatistics:
    """Answers with what is `kept`, and only with what is wanted, or raises `error`."""

    def __init__(self, kept: Mapping[str, int] | None) -> None:
        self.kept = kept
        self.error: Exception | None = None
        self.wanted: frozenset[str] = frozenset()
        self.asked: list[int] = []
        self.opened = 0

    def open(self, wanted: frozenset[str]) -> "FakeStatistics":
        """Return itself as the reader of *wanted*."""
        self.wanted = wanted
        self.opened += 1
        return self

    def read(self, ifindex: int) -> Mapping[str, int] | None:
        """Return what is kept."""
        self.asked.append(ifindex)
        if self.error is not None:
            raise self.error
        if self.kept is None:
            return None
        return {name: number for name, number in self.kept.items() if name in self.wanted}
