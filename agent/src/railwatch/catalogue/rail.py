# SPDX-License-Identifier: Apache-2.0
"""The rails' metrics: the vendor-neutral view of the NICs that carry training traffic."""

from __future__ import annotations

from enum import StrEnum

from railwatch.catalogue.metric import PREFIX, MetricSpec, MetricType, Scope

_RAIL = ("rail", "device")


def _rail(
    what: str, kind: MetricType, text: str, *, source: str, labels: tuple[str, ...] = _RAIL
) -> MetricSpec:
    return MetricSpec(f"{PREFIX}rail_{what}", kind, text, labels, Scope.RAIL, source)


RAIL_INFO = _rail(
    "info",
    MetricType.INFO,
    "What a rail is; joins rail and device to the hardware behind them.",
    labels=(
        *_RAIL,
        "netdev",
        "kind",
        "driver",
        "pci_address",
        "numa_node",
        "gpu",
        "selected_by",
    ),
    source="/sys/class/net/*/device, /sys/class/infiniband/*; selected_by says why it is a rail; "
    "gpu: the number of the GPU that is nearest on PCIe, counted by PCI address as NVML does, from "
    "/sys/bus/pci/devices/*",
)
RAIL_NEIGHBOR_INFO = _rail(
    "neighbor_info",
    MetricType.INFO,
    "The switch and its port at the other end of a rail's cable.",
    labels=(*_RAIL, "switch", "switch_port"),
    source="the file of [topology] file, which on InfiniBand is the only way; else LLDP, by lldpd",
)
RAIL_JOB_INFO = _rail(
    "job_info",
    MetricType.INFO,
    "The job that a rail carries traffic of; absent where jobs share it, or it is not known.",
    labels=(*_RAIL, "job_id"),
    source="as job_info; where several jobs are on the node, the owner of the GPUs beside the rail",
)
RAIL_PRESENT = _rail(
    "present",
    MetricType.GAUGE,
    "1 if the device of this rail exists; 0 if it was there once and is gone.",
    source="/sys/class/net/*, /sys/class/infiniband/*",
)
RAIL_ADMIN_UP = _rail(
    "admin_up",
    MetricType.GAUGE,
    "1 if the administrator wants the rail up.",
    source="/sys/class/net/*/flags, IFF_UP; on InfiniBand phys_state, not Disabled",
)
RAIL_UP = _rail(
    "up",
    MetricType.GAUGE,
    "1 if the rail can carry traffic.",
    source="/sys/class/net/*/carrier, operstate, and the RDMA port's state, ACTIVE",
)
RAIL_SPEED = _rail(
    "speed_bytes_per_second",
    MetricType.GAUGE,
    "Line rate of the rail.",
    source="/sys/class/net/*/speed (Mbit/s), the RDMA port's rate, or configured",
)
RAIL_RECEIVE_BYTES = _rail(
    "receive_bytes_total",
    MetricType.COUNTER,
    "Bytes received on the wire, RDMA and TCP.",
    source="/sys/class/net/*/statistics/rx_bytes, plus what the RDMA driver counts apart from it",
)
RAIL_TRANSMIT_BYTES = _rail(
    "transmit_bytes_total",
    MetricType.COUNTER,
    "Bytes sent on the wire, RDMA and TCP.",
    source="/sys/class/net/*/statistics/tx_bytes, plus what the RDMA driver counts apart from it",
)
RAIL_RECEIVE_PACKETS = _rail(
    "receive_packets_total",
    MetricType.COUNTER,
    "Packets received.",
    source="/sys/class/net/*/statistics/rx_packets and the RDMA driver's, as for bytes",
)
RAIL_TRANSMIT_PACKETS = _rail(
    "transmit_packets_total",
    MetricType.COUNTER,
    "Packets sent.",
    source="/sys/class/net/*/statistics/tx_packets and the RDMA driver's, as for bytes",
)


def _window(direction: str, statistic: str, text: str) -> MetricSpec:
    return _rail(
        f"{direction}_window_{statistic}",
        MetricType.GAUGE,
        text,
        source="fast samples of the last complete window",
    )


def _window_family(direction: str, verb: str) -> dict[str, MetricSpec]:
    rate = "bytes_per_second"
    return {
        "max": _window(direction, f"max_{rate}", f"Highest fast-sample rate {verb} in the window."),
        "top_decile": _window(
            direction,
            f"top_decile_{rate}",
            f"Mean rate {verb} over the busiest tenth of the window.",
        ),
        "std": _window(
            direction,
            f"std_{rate}",
            f"Standard deviation of the rate {verb} within the window.",
        ),
        "duty": _window(
            direction,
            "duty_ratio",
            f"Share of the window in which the rate {verb} was above 5 % of line rate.",
        ),
    }


RECEIVE_WINDOW = _window_family("receive", "received")
TRANSMIT_WINDOW = _window_family("transmit", "sent")

UTILIZATION_EDGES = (0.05, 0.1, 0.25, 0.5, 0.75, 0.9)


def _utilization(direction: str, verb: str) -> MetricSpec:
    return MetricSpec(
        f"{PREFIX}rail_{direction}_utilization_ratio",
        MetricType.HISTOGRAM,
        f"Share of line rate {verb} in each fast sample; late samples are left out.",
        _RAIL,
        Scope.RAIL,
        "fast samples",
        edges=UTILIZATION_EDGES,
    )


RAIL_RECEIVE_UTILIZATION = _utilization("receive", "received")
RAIL_TRANSMIT_UTILIZATION = _utilization("transmit", "sent")


class Fault(StrEnum):
    """Kinds of `railwatch_rail_faults_total` that this version can read."""

    LINK_DOWNED = "link_downed"
    RECEIVE_ERROR = "receive_error"
    RECEIVE_DISCARD = "receive_discard"
    TRANSMIT_DISCARD = "transmit_discard"
    RETRANSMIT = "retransmit"
    OUT_OF_SEQUENCE = "out_of_sequence"
    FEC_UNCORRECTED = "fec_uncorrected"
    SYMBOL_ERROR = "symbol_error"
    LINK_RECOVERY = "link_recovery"
    ACK_TIMEOUT = "ack_timeout"
    RNR_NAK = "rnr_nak"
    ICRC_ERROR = "icrc_error"
    PORT_RECEIVE_DISCARD = "port_receive_discard"
    PORT_TRANSMIT_DISCARD = "port_transmit_discard"


RAIL_FAULTS = MetricSpec(
    f"{PREFIX}rail_faults_total",
    MetricType.COUNTER,
    "Events that should be rare on a healthy rail, by kind; TCP counts here too.",
    (*_RAIL, "kind"),
    Scope.RAIL,
    "/sys/class/net/*/carrier_down_count (link_downed) and statistics (receive_error, "
    "receive_discard, transmit_discard); TCP_INFO of the rail's sockets (retransmit, "
    "out_of_sequence); ethtool, not on InfiniBand (fec_uncorrected: blocks; symbol_error: after "
    "FEC; port_*_discard: the port's own buffers, which newer mlx5 drivers count in "
    "receive_discard too: do not add them up). CRC errors are in receive_error. "
    "/sys/class/infiniband/*/ports/*, by driver: link kinds of InfiniBand, and what RDMA adds to "
    "the kinds above",
    values=tuple(Fault),
)
RAIL_QUEUE_OCCUPIED = _rail(
    "queue_occupied_ratio",
    MetricType.GAUGE,
    "Share of the window's fast samples that found bytes waiting in the queueing discipline.",
    source="netlink RTM_GETQDISC, backlog of the root queueing discipline",
)
RAIL_QUEUE_DROPS = _rail(
    "queue_drops_total",
    MetricType.COUNTER,
    "Packets dropped by the queueing discipline.",
    source="netlink RTM_GETQDISC, drops of the root queueing discipline",
)


class Direction(StrEnum):
    """Which way data moves; values of the label `direction`."""

    RECEIVE = "receive"
    TRANSMIT = "transmit"


def _rail_by(
    label: str, values: type[StrEnum], what: str, kind: MetricType, text: str, source: str
) -> MetricSpec:
    name = f"{PREFIX}rail_{what}"
    return MetricSpec(name, kind, text, (*_RAIL, label), Scope.RAIL, source, values=tuple(values))


RAIL_PAUSE_SECONDS = _rail_by(
    "direction",
    Direction,
    "pause_seconds_total",
    MetricType.COUNTER,
    "Time paused, all priorities added up. receive: told to stop sending; transmit: this host "
    "could not absorb and told its peer to stop.",
    "ethtool: mlx5 *_prio*_pause_duration, else *_global_pause_duration; bnxt "
    "pfc_pri*_*_duration_us; ionic *_pripause_*_1us_count and rx_pause_1us_count (microseconds)",
)


def _by_priority(what: str, text: str, source: str) -> MetricSpec:
    """Return a family of each priority that configuration names."""
    return MetricSpec(
        f"{PREFIX}rail_priority_pause_{what}_total",
        MetricType.COUNTER,
        text,
        (*_RAIL, "priority", "direction"),
        Scope.PRIORITY,
        source,
        values=tuple(Direction),
    )


RAIL_PRIORITY_PAUSE_FRAMES = _by_priority(
    "frames",
    "Pause frames of a priority. Directions are those of the frames.",
    "ethtool: mlx5 *_prio*_pause, bnxt *_pfc_ena_frames_pri*",
)
RAIL_PRIORITY_PAUSE_SECONDS = _by_priority(
    "seconds",
    "Time paused of a priority. Directions are those of pause_seconds_total, the sum of all.",
    "ethtool: mlx5 *_prio*_pause_duration, bnxt pfc_pri*_*_duration_us, ionic "
    "*_pripause_*_1us_count (microseconds)",
)
RAIL_LINK_INFO = _rail(
    "link_info",
    MetricType.INFO,
    "How a rail's link is set up, and why it is down. down_reason: empty while it is up, unknown "
    "where the driver does not tell. pause is global pause, pfc the priorities of priority flow "
    "control. Empty: not told; fec and lanes are so while the link is down.",
    labels=(
        *_RAIL,
        "autonegotiation",
        "duplex",
        "lanes",
        "fec",
        "port",
        "pause",
        "pause_autonegotiation",
        "pfc",
        "down_reason",
    ),
    source="ethtool by netlink: LINKMODES_GET, LINKINFO_GET, LINKSTATE_GET, FEC_GET, PAUSE_GET; "
    "DCB_CMD_IEEE_GET. Settings are read every 60 s, the state of the link every 5 s",
)
RAIL_FEC_CORRECTED_BITS = _rail(
    "fec_corrected_bits_total",
    MetricType.COUNTER,
    "Bits corrected by FEC; normal on PAM4 links, no fault by itself. As a share of the received "
    "bits it is the error ratio before FEC: railwatch:rail_pre_fec_error:ratio of the rules.",
    source="ethtool: mlx5 rx_corrected_bits_phy, bnxt rx_corrected_bits; else netlink FEC_GET",
)
RAIL_RECEIVED_BITS = _rail(
    "received_bits_total",
    MetricType.COUNTER,
    "Bits received on the wire, idle time included: what corrected bits are a share of.",
    source="ethtool: mlx5 and ionic rx_bits_phy",
)
RAIL_PCIE_STALLED = _rail_by(
    "direction",
    Direction,
    "pcie_stalled_ratio",
    MetricType.GAUGE,
    "Share of the last second in which the NIC waited for PCIe. receive: to write to memory; "
    "transmit: to read from it.",
    "ethtool: mlx5 outbound_pci_stalled_wr, _rd (percent, not cumulative)",
)
RAIL_PCIE_WIDTH = _rail(
    "pcie_link_width",
    MetricType.GAUGE,
    "Lanes of the rail's PCIe link.",
    source="/sys/bus/pci/devices/*/current_link_width",
)
RAIL_PCIE_GENERATION = _rail(
    "pcie_link_generation",
    MetricType.GAUGE,
    "Generation, and so speed, of the rail's PCIe link.",
    source="/sys/bus/pci/devices/*/current_link_speed (GT/s; 32 is generation 5)",
)
RAIL_PCIE_BANDWIDTH_RATIO = _rail(
    "pcie_bandwidth_ratio",
    MetricType.GAUGE,
    "Bandwidth of the rail's PCIe link as a share of what the NIC could use; below 1 it came up "
    "narrower or slower, or its slot is.",
    source="/sys/bus/pci/devices/*/{current,max}_link_{width,speed}",
)


class Severity(StrEnum):
    """How bad a PCIe error is; values of the label `severity`."""

    CORRECTABLE = "correctable"
    NONFATAL = "nonfatal"
    FATAL = "fatal"


RAIL_PCIE_ERRORS = _rail_by(
    "severity",
    Severity,
    "pcie_errors_total",
    MetricType.COUNTER,
    "PCIe errors that the NIC reported; correctable ones cost a retransmission on the bus.",
    "/sys/bus/pci/devices/*/aer_dev_*, TOTAL_ERR_*",
)


class Congestion(StrEnum):
    """Kinds of `railwatch_rail_congestion_total`."""

    ECN_MARKED = "ecn_marked"
    CNP_SENT = "cnp_sent"
    CNP_HANDLED = "cnp_handled"


RAIL_CONGESTION = _rail_by(
    "kind",
    Congestion,
    "congestion_total",
    MetricType.COUNTER,
    "Packets by which RoCE slows down. ecn_marked and cnp_sent: as receiver, of congestion on the "
    "way here; cnp_handled: as sender, of being told to slow down.",
    "/sys/class/infiniband/*/ports/*/hw_counters, by driver",
)
RAIL_CREDIT_WAIT = _rail(
    "credit_wait_total",
    MetricType.COUNTER,
    "Ticks with data to send and no credit, on InfiniBand; of a length that the device defines, "
    "to be compared with its own past only.",
    source="/sys/class/infiniband/*/ports/*/counters/port_xmit_wait",
)
RDMA_COUNTER = MetricSpec(
    f"{PREFIX}rdma_counter_total",
    MetricType.COUNTER,
    "A driver's counter in the driver's own unit, for those named in [rdma] counters.",
    ("device", "port", "counter"),
    Scope.ALLOWED,
    "/sys/class/infiniband/*/ports/*/{counters,hw_counters}",
)
ETHTOOL_STATISTIC = MetricSpec(
    f"{PREFIX}ethtool_statistic",
    MetricType.UNTYPED,
    "A driver's statistic in the driver's own unit, for those named in [ethtool] statistics.",
    ("device", "statistic"),
    Scope.ALLOWED,
    "ethtool",
)
