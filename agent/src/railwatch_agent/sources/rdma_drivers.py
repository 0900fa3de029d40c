# SPDX-License-Identifier: Apache-2.0
"""Which file of an RDMA driver counts what: tables, no code.

Names are of the files below `ports/N`. Sources: drivers/infiniband/hw/<driver> of the kernel
(bnxt_re/hw_counters.c, efa/efa_verbs.c, irdma/verbs.c, mlx5/counters.c), and for ionic, whose
firmware names its counters, AMD's list of them. Bytes of `port_*_data` are words of four, those of
hw_counters are bytes.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING, Final

from railwatch.catalogue.rail import (
    RAIL_CONGESTION,
    RAIL_CREDIT_WAIT,
    RAIL_FAULTS,
    RAIL_RECEIVE_PACKETS,
    RAIL_TRANSMIT_PACKETS,
    Congestion,
    Fault,
)
from railwatch_agent.sources.infiniband import LinkLayer

if TYPE_CHECKING:
    from railwatch.catalogue.metric import MetricSpec
    from railwatch_agent.sources.infiniband import RdmaPort

# The ABI's unit of port_rcv_data and port_xmit_data; not the width of the link.
WORD_BYTES: Final = 4


class Applies(Enum):
    """On which ports a file counts what the table says."""

    ALWAYS = "always"
    WITHOUT_NETDEV = "where no network device counts the same"
    INFINIBAND = "on InfiniBand, whose link it describes"


@dataclass(frozen=True, slots=True)
class Counted:
    """A series and the files that make it up."""

    spec: MetricSpec
    labels: tuple[str, ...]
    files: tuple[str, ...]
    applies: Applies = Applies.ALWAYS


@dataclass(frozen=True, slots=True)
class ByteFiles:
    """Files of bytes received and sent, each times *scale*."""

    receive: tuple[str, ...]
    transmit: tuple[str, ...]
    scale: int = 1


@dataclass(frozen=True, slots=True)
class DriverTable:
    """What a driver counts.

    `is_apart` is true if on Ethernet it counts RDMA only and the network device the rest, so that
    the rail's are the sum; false if that is not known, and the network device's are taken alone.
    """

    bytes: ByteFiles
    counted: tuple[Counted, ...]
    is_apart: bool


def _fault(kind: Fault, *files: str, applies: Applies = Applies.ALWAYS) -> Counted:
    return Counted(RAIL_FAULTS, (kind,), files, applies)


def _congestion(kind: Congestion, *files: str) -> Counted:
    return Counted(RAIL_CONGESTION, (kind,), files)


def _packets(receive: tuple[str, ...], transmit: tuple[str, ...]) -> tuple[Counted, ...]:
    return (
        Counted(RAIL_RECEIVE_PACKETS, (), receive),
        Counted(RAIL_TRANSMIT_PACKETS, (), transmit),
    )


_STANDARD_BYTES: Final = ByteFiles(
    ("counters/port_rcv_data",), ("counters/port_xmit_data",), scale=WORD_BYTES
)
# The kernel's own files, the same for all drivers that answer performance management (IBTA 16.1.3).
_STANDARD: Final = (
    *_packets(("counters/port_rcv_packets",), ("counters/port_xmit_packets",)),
    _fault(Fault.LINK_DOWNED, "counters/link_downed", applies=Applies.WITHOUT_NETDEV),
    _fault(Fault.RECEIVE_ERROR, "counters/port_rcv_errors", applies=Applies.WITHOUT_NETDEV),
    _fault(Fault.TRANSMIT_DISCARD, "counters/port_xmit_discards", applies=Applies.WITHOUT_NETDEV),
    _fault(Fault.LINK_RECOVERY, "counters/link_error_recovery", applies=Applies.INFINIBAND),
    _fault(Fault.SYMBOL_ERROR, "counters/symbol_error", applies=Applies.INFINIBAND),
    Counted(RAIL_CREDIT_WAIT, (), ("counters/port_xmit_wait",), Applies.INFINIBAND),
)

_MLX5: Final = DriverTable(
    _STANDARD_BYTES,
    (
        *_STANDARD,
        _fault(Fault.RECEIVE_DISCARD, "hw_counters/out_of_buffer"),
        # Each makes the requester send again from the packet that was missed.
        _fault(
            Fault.RETRANSMIT,
            "hw_counters/packet_seq_err",
            "hw_counters/implied_nak_seq_err",
            "hw_counters/roce_adp_retrans",
        ),
        _fault(Fault.ACK_TIMEOUT, "hw_counters/local_ack_timeout_err"),
        _fault(Fault.OUT_OF_SEQUENCE, "hw_counters/out_of_sequence"),
        _fault(Fault.RNR_NAK, "hw_counters/rnr_nak_retry_err"),
        _fault(Fault.ICRC_ERROR, "hw_counters/rx_icrc_encapsulated"),
        _congestion(Congestion.ECN_MARKED, "hw_counters/np_ecn_marked_roce_packets"),
        _congestion(Congestion.CNP_SENT, "hw_counters/np_cnp_sent"),
        _congestion(Congestion.CNP_HANDLED, "hw_counters/rp_cnp_handled"),
    ),
    is_apart=True,
)
# Congestion counters are those of Broadcom's own driver; the kernel's has none.
_BNXT_RE: Final = DriverTable(
    ByteFiles(("hw_counters/rx_bytes",), ("hw_counters/tx_bytes",)),
    (
        *_packets(("hw_counters/rx_pkts",), ("hw_counters/tx_pkts",)),
        _fault(Fault.RECEIVE_ERROR, "hw_counters/rx_roce_errors"),
        _fault(
            Fault.RECEIVE_DISCARD, "hw_counters/rx_roce_discards", "hw_counters/rx_out_of_buffer"
        ),
        _fault(Fault.RETRANSMIT, "hw_counters/seq_err_naks_rcvd"),
        _fault(Fault.ACK_TIMEOUT, "hw_counters/to_retransmits"),
        _fault(Fault.OUT_OF_SEQUENCE, "hw_counters/oos_drop_count"),
        _fault(Fault.RNR_NAK, "hw_counters/rnr_naks_rcvd"),
        _congestion(Congestion.ECN_MARKED, "hw_counters/rx_ecn_marked_pkts"),
        _congestion(Congestion.CNP_SENT, "hw_counters/tx_cnp_pkts"),
        _congestion(Congestion.CNP_HANDLED, "hw_counters/rx_cnp_pkts"),
    ),
    is_apart=True,
)
_IONIC: Final = DriverTable(
    ByteFiles(
        ("hw_counters/rx_rdma_ucast_bytes", "hw_counters/rx_rdma_mcast_bytes"),
        ("hw_counters/tx_rdma_ucast_bytes", "hw_counters/tx_rdma_mcast_bytes"),
    ),
    (
        *_packets(
            ("hw_counters/rx_rdma_ucast_pkts", "hw_counters/rx_rdma_mcast_pkts"),
            ("hw_counters/tx_rdma_ucast_pkts", "hw_counters/tx_rdma_mcast_pkts"),
        ),
        _fault(Fault.RECEIVE_DISCARD, "hw_counters/resp_rx_outof_buf"),
        _fault(Fault.RETRANSMIT, "hw_counters/tx_rdma_retx_pkts"),
        _fault(Fault.ACK_TIMEOUT, "hw_counters/tx_rdma_ack_timeout"),
        # What the responder saw, spelled as the firmware spells it. req_rx_pkt_seq_err is the same
        # loss as its sender hears of it.
        _fault(Fault.OUT_OF_SEQUENCE, "hw_counters/resp_rx_outouf_seq"),
        _fault(Fault.RNR_NAK, "hw_counters/req_rx_rnr_retry_err"),
        _congestion(Congestion.ECN_MARKED, "hw_counters/rx_rdma_ecn_pkts"),
        _congestion(Congestion.CNP_SENT, "hw_counters/tx_rdma_cnp_pkts"),
        _congestion(Congestion.CNP_HANDLED, "hw_counters/rx_rdma_cnp_pkts"),
    ),
    is_apart=True,
)
_EFA: Final = DriverTable(
    ByteFiles(("hw_counters/rx_bytes",), ("hw_counters/tx_bytes",)),
    (
        *_packets(("hw_counters/rx_pkts",), ("hw_counters/tx_pkts",)),
        _fault(Fault.RECEIVE_DISCARD, "hw_counters/rx_drops"),
        _fault(Fault.RETRANSMIT, "hw_counters/retrans_pkts"),
        _fault(Fault.ACK_TIMEOUT, "hw_counters/retrans_timeout_events"),
    ),
    is_apart=True,
)
_HFI1: Final = DriverTable(
    _STANDARD_BYTES,
    (
        *_STANDARD,
        _fault(Fault.RECEIVE_DISCARD, "hw_counters/PktDrop"),
        _fault(Fault.RETRANSMIT, "hw_counters/RcResend"),
        _fault(Fault.ACK_TIMEOUT, "hw_counters/RcTimeOut"),
        _fault(Fault.OUT_OF_SEQUENCE, "hw_counters/RcSeqNak"),
    ),
    is_apart=True,
)
# Retransmits have had three names; a kernel has one of them. Octets are those of IP packets, a few
# bytes short of the wire.
_IRDMA: Final = DriverTable(
    ByteFiles(
        ("hw_counters/ip4InOctets", "hw_counters/ip6InOctets"),
        ("hw_counters/ip4OutOctets", "hw_counters/ip6OutOctets"),
    ),
    (
        *_packets(
            ("hw_counters/ip4InPkts", "hw_counters/ip6InPkts"),
            ("hw_counters/ip4OutPkts", "hw_counters/ip6OutPkts"),
        ),
        _fault(Fault.RECEIVE_DISCARD, "hw_counters/ip4InDiscards", "hw_counters/ip6InDiscards"),
        _fault(Fault.TRANSMIT_DISCARD, "hw_counters/ip4OutNoRoutes", "hw_counters/ip6OutNoRoutes"),
        _fault(Fault.RETRANSMIT, "hw_counters/tcpRetransSegs", "hw_counters/RetransSegs"),
        _fault(Fault.RNR_NAK, "hw_counters/RNR received"),
        _congestion(Congestion.ECN_MARKED, "hw_counters/RxECNMrkd"),
        _congestion(Congestion.CNP_SENT, "hw_counters/cnpSent"),
        _congestion(Congestion.CNP_HANDLED, "hw_counters/cnpHandled"),
    ),
    is_apart=True,
)
# An RDMA driver that is not known may count what its network device counts too (Soft-RoCE sends
# through it).
_UNKNOWN: Final = DriverTable(_STANDARD_BYTES, _STANDARD, is_apart=False)

# By the driver of the function that the RDMA device hangs on.
_TABLES: Final = {
    "mlx5_core": _MLX5,
    "bnxt_en": _BNXT_RE,
    "ionic": _IONIC,
    "efa": _EFA,
    "hfi1": _HFI1,
    "ice": _IRDMA,
    "i40e": _IRDMA,
    "idpf": _IRDMA,
}


def table_of(port: RdmaPort) -> DriverTable:
    """Return what is known of the driver of *port*."""
    return _TABLES.get(port.driver or "", _UNKNOWN)


def counts_whole_link(port: RdmaPort, *, has_netdev: bool) -> bool:
    """Whether the port counts all that passes its link, so that nothing is to be added.

    On InfiniBand IP goes over RDMA (IPoIB), and what its network device counts has been counted.
    """
    return port.link_layer is LinkLayer.INFINIBAND or not has_netdev


def counted_by(port: RdmaPort, *, has_netdev: bool) -> tuple[Counted, ...]:
    """Return the series that *port* keeps, as far as its driver is known."""
    table = table_of(port)
    is_whole = counts_whole_link(port, has_netdev=has_netdev)
    if not is_whole and not table.is_apart:
        return ()
    wanted = {Applies.ALWAYS}
    if is_whole:
        wanted.add(Applies.WITHOUT_NETDEV)
    if port.link_layer is LinkLayer.INFINIBAND:
        wanted.add(Applies.INFINIBAND)
    return tuple(counted for counted in table.counted if counted.applies in wanted)
