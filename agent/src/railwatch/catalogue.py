# SPDX-License-Identifier: Apache-2.0
"""Every metric of railwatch, written once.

METRICS.md, the exposition, the analyzer's queries and the checks of rules are derived from here.
A label set, a unit or a help text stands nowhere else.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

PREFIX = "railwatch_"


class MetricType(StrEnum):
    """Types of the Prometheus text format, and `info`, which is a gauge of constant 1.

    Untyped is what nobody vouches for: a driver's number that may be a counter or a gauge.
    """

    COUNTER = "counter"
    GAUGE = "gauge"
    HISTOGRAM = "histogram"
    INFO = "info"
    UNTYPED = "untyped"


class Scope(StrEnum):
    """What a family has one set of series for; METRICS.md adds them up."""

    NODE = "node"
    RAIL = "rail"
    COLLECTOR = "collector"
    ALLOWED = "rail and name on an allow-list"
    LINK = "link"
    ABNORMAL_LINK = "link that is not normal"
    ANALYZER = "analyzer"


@dataclass(frozen=True, slots=True, eq=False)
class MetricSpec:
    """One metric family; compared by identity, as each exists once.

    `source` says where the number comes from; `scale` is what the source's unit is multiplied by
    to reach the base unit. `values` lists the values of the last label where they are a closed
    set, `edges` the upper bounds of a histogram's buckets without +Inf.
    """

    name: str
    type: MetricType
    help: str
    labels: tuple[str, ...] = ()
    scope: Scope = Scope.NODE
    source: str = ""
    scale: float = 1.0
    values: tuple[str, ...] = ()
    edges: tuple[float, ...] = ()

    @property
    def series(self) -> int:
        """Series of this family for one of its scope."""
        if self.type is MetricType.HISTOGRAM:
            return len(self.edges) + 3
        return max(len(self.values), 1)


@dataclass(frozen=True, slots=True)
class Distribution:
    """A histogram's state: cumulative count per edge (without +Inf), count and sum of all."""

    buckets: tuple[int, ...]
    count: int
    sum: float


@dataclass(frozen=True, slots=True)
class Sample:
    """A number that was read, in base units."""

    spec: MetricSpec
    labels: tuple[str, ...]
    value: float | Distribution


@dataclass(frozen=True, slots=True)
class ReadFailure:
    """A number that should have been there and could not be read, and why."""

    what: str
    reason: str


# Rails -------------------------------------------------------------------------------------------

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
    source="/sys/class/net/*/device, /sys/class/infiniband/*; selected_by says why it is a rail",
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
    "pfc_pri*_*_duration_us (microseconds)",
)
RAIL_FEC_CORRECTED_BITS = _rail(
    "fec_corrected_bits_total",
    MetricType.COUNTER,
    "Bits corrected by FEC; normal on PAM4 links, no fault by itself.",
    source="ethtool: mlx5 rx_corrected_bits_phy, bnxt rx_corrected_bits; else netlink FEC_GET",
)
RAIL_RECEIVED_BITS = _rail(
    "received_bits_total",
    MetricType.COUNTER,
    "Bits received on the wire, idle time included: what corrected bits are a share of.",
    source="ethtool: mlx5 rx_bits_phy",
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
RAIL_PCIE_WIDTH_MAX = _rail(
    "pcie_link_width_max",
    MetricType.GAUGE,
    "Lanes that the NIC could use; a narrower slot keeps some from it for good.",
    source="/sys/bus/pci/devices/*/max_link_width",
)
RAIL_PCIE_GENERATION = _rail(
    "pcie_link_generation",
    MetricType.GAUGE,
    "Generation, and so speed, of the rail's PCIe link.",
    source="/sys/bus/pci/devices/*/current_link_speed (GT/s; 32 is generation 5)",
)
RAIL_PCIE_GENERATION_MAX = _rail(
    "pcie_link_generation_max",
    MetricType.GAUGE,
    "Generation that the NIC could use; an older slot keeps it from it for good.",
    source="/sys/bus/pci/devices/*/max_link_speed (GT/s)",
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

# Host --------------------------------------------------------------------------------------------

HOST_CPU_BUSY = MetricSpec(
    f"{PREFIX}host_cpu_busy_ratio",
    MetricType.GAUGE,
    "Share of all cores' time that was not idle since the previous reading.",
    source="psutil.cpu_times",
)
HOST_MEMORY_AVAILABLE = MetricSpec(
    f"{PREFIX}host_memory_available_bytes",
    MetricType.GAUGE,
    "Memory that can be given out without swapping.",
    source="psutil.virtual_memory",
)
PRESSURE_RESOURCES = ("cpu", "io", "memory")
HOST_PRESSURE = MetricSpec(
    f"{PREFIX}host_pressure_ratio",
    MetricType.GAUGE,
    "Share of the last 10 s in which some task waited for the resource.",
    ("resource",),
    source="/proc/pressure/*, some avg10 (percent)",
    scale=0.01,
    values=PRESSURE_RESOURCES,
)

# Agent -------------------------------------------------------------------------------------------


def _agent(
    what: str,
    kind: MetricType,
    text: str,
    labels: tuple[str, ...] = (),
    edges: tuple[float, ...] = (),
) -> MetricSpec:
    scope = Scope.COLLECTOR if labels == ("collector",) else Scope.NODE
    return MetricSpec(f"{PREFIX}agent_{what}", kind, text, labels, scope, edges=edges)


AGENT_BUILD_INFO = _agent(
    "build_info", MetricType.INFO, "Version of the agent.", ("version", "python_version")
)
AGENT_COLLECTOR_SUCCESS = _agent(
    "collector_success",
    MetricType.GAUGE,
    "1 if the collector's last round ended in time and not all of its readings failed.",
    ("collector",),
)
AGENT_COLLECTOR_DURATION = _agent(
    "collector_duration_seconds",
    MetricType.GAUGE,
    "How long the collector's last round took, or takes if it hangs.",
    ("collector",),
)
AGENT_READ_ERRORS = _agent(
    "read_errors_total",
    MetricType.COUNTER,
    "Readings that failed although the counter exists.",
    ("collector",),
)
AGENT_LAST_SUCCESS = _agent(
    "last_success_timestamp_seconds",
    MetricType.GAUGE,
    "When the collector last succeeded, Unix time; absent until it has.",
    ("collector",),
)
AGENT_SAMPLER_LATENESS = _agent(
    "sampler_lateness_seconds",
    MetricType.HISTOGRAM,
    "How late each round of fast samples began.",
    edges=(0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1),
)
AGENT_RAILS = _agent(
    "rails", MetricType.GAUGE, "Rails in the inventory, those included whose device is gone."
)
AGENT_SAMPLER_STUCK_RAILS = _agent(
    "sampler_stuck_rails",
    MetricType.GAUGE,
    "Rails left out of fast sampling because a read of theirs does not return.",
)
AGENT_WINDOW_SECONDS = _agent("window_seconds", MetricType.GAUGE, "Length of the tumbling windows.")
AGENT_WINDOW_END = _agent(
    "window_end_timestamp_seconds",
    MetricType.GAUGE,
    "End of the last complete window, Unix time.",
)
AGENT_CPU_SECONDS = _agent(
    "cpu_seconds_total", MetricType.COUNTER, "CPU time that the agent has used."
)

# Links, by the analyzer --------------------------------------------------------------------------

_LINK = ("node", "rail", "device")


def _link(
    what: str,
    kind: MetricType,
    text: str,
    more: tuple[str, ...] = (),
    values: tuple[str, ...] = (),
) -> MetricSpec:
    scope = Scope.ABNORMAL_LINK if more else Scope.LINK
    return MetricSpec(f"{PREFIX}link_{what}", kind, text, (*_LINK, *more), scope, values=values)


LINK_ANOMALY_SCORE = _link(
    "anomaly_score",
    MetricType.GAUGE,
    "How far the link is from its peers and its own healthy past; 1 = alarm.",
)
LINK_VERDICT = _link(
    "verdict",
    MetricType.GAUGE,
    "0 unknown, 1 normal, 2 suspect, 3 degraded, 4 down.",
)
LINK_DEGRADED = _link(
    "degraded",
    MetricType.GAUGE,
    "1 if the link is degraded; holds its last value for up to 15 minutes while unknown.",
)
LINK_CAUSE_INFO = _link(
    "cause_info",
    MetricType.INFO,
    "Why the link is degraded or down.",
    ("cause", "job_id"),
)
LINK_EVIDENCE = _link(
    "evidence",
    MetricType.GAUGE,
    "What was observed and what was expected, in the feature's base unit; five features at most.",
    ("feature", "kind"),
    ("observed", "expected"),
)

# Analyzer ----------------------------------------------------------------------------------------


def _analyzer(
    what: str,
    kind: MetricType,
    text: str,
    labels: tuple[str, ...] = (),
    values: tuple[str, ...] = (),
) -> MetricSpec:
    return MetricSpec(f"{PREFIX}analyzer_{what}", kind, text, labels, Scope.ANALYZER, values=values)


ANALYZER_BUILD_INFO = _analyzer(
    "build_info", MetricType.INFO, "Version of the analyzer.", ("version", "python_version")
)
ANALYZER_ROUNDS = _analyzer("rounds_total", MetricType.COUNTER, "Rounds judged.")
ANALYZER_ROUND_ERRORS = _analyzer(
    "round_errors_total", MetricType.COUNTER, "Rounds that ended without a judgement."
)
ANALYZER_ROUND_SECONDS = _analyzer(
    "round_duration_seconds",
    MetricType.GAUGE,
    "How long the last round took, by phase.",
    ("phase",),
    ("fetch", "judge"),
)
ANALYZER_LAST_ROUND = _analyzer(
    "last_round_timestamp_seconds", MetricType.GAUGE, "End of the last round, Unix time."
)
ANALYZER_LINKS = _analyzer(
    "links",
    MetricType.GAUGE,
    "Links by verdict.",
    ("verdict",),
    ("unknown", "normal", "suspect", "degraded", "down"),
)
ANALYZER_TARGETS = _analyzer(
    "targets",
    MetricType.GAUGE,
    "Agents that the last round saw data of, and that it missed.",
    ("state",),
    ("seen", "missed"),
)
ANALYZER_TRAINED = _analyzer(
    "trained", MetricType.GAUGE, "1 once the anomaly detector has learned a healthy past."
)
ANALYZER_STATE_SAVE_ERRORS = _analyzer(
    "state_save_errors_total", MetricType.COUNTER, "Rounds whose state could not be saved."
)


def _specs() -> tuple[MetricSpec, ...]:
    found: list[MetricSpec] = []
    for value in globals().values():
        if isinstance(value, MetricSpec):
            found.append(value)
        elif isinstance(value, dict):
            found += [spec for spec in value.values() if isinstance(spec, MetricSpec)]
    return tuple(found)


METRICS: tuple[MetricSpec, ...] = _specs()
