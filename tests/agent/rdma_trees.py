"""Scenario trees of RDMA adapters, by driver and by what is the matter with them.

Names and units of counters as the drivers of the kernel have them (drivers/infiniband/hw).
"""

from collections.abc import Callable
from pathlib import Path

from agent.trees import DOWN, Nic, RdmaPort, Tree

_PCI = "0000:3b:00.0"
_MLX5_COUNTERS = {
    "port_rcv_data": 1_000,
    "port_xmit_data": 2_000,
    "port_rcv_packets": 30,
    "port_xmit_packets": 40,
    "link_downed": 7,
    "link_error_recovery": 6,
    "symbol_error": 5,
    "port_rcv_errors": 4,
    "port_xmit_discards": 3,
    "port_xmit_wait": 99,
    "VL15_dropped": 0,
}
_MLX5_HW_COUNTERS = {
    "lifespan": 10,
    "out_of_buffer": 0,
    "packet_seq_err": 0,
    "implied_nak_seq_err": 0,
    "roce_adp_retrans": 0,
    "local_ack_timeout_err": 0,
    "out_of_sequence": 0,
    "rnr_nak_retry_err": 0,
    "rx_icrc_encapsulated": 0,
    "np_ecn_marked_roce_packets": 0,
    "np_cnp_sent": 0,
    "rp_cnp_handled": 0,
}
_DEGRADED = {
    "out_of_buffer": 1,
    "packet_seq_err": 20,
    "implied_nak_seq_err": 3,
    "roce_adp_retrans": 100,
    "local_ack_timeout_err": 4,
    "out_of_sequence": 50,
    "rnr_nak_retry_err": 6,
    "rx_icrc_encapsulated": 7,
    "np_ecn_marked_roce_packets": 8,
    "np_cnp_sent": 9,
    "rp_cnp_handled": 10,
}
_TCP = {"rx_bytes": 500, "tx_bytes": 600, "rx_packets": 5, "tx_packets": 6, "rx_dropped": 2}


def mlx5_port(**hw_counters: int) -> RdmaPort:
    """A RoCE port of mlx5 with all that it counts."""
    return RdmaPort(counters=_MLX5_COUNTERS, hw_counters={**_MLX5_HW_COUNTERS, **hw_counters})


def mlx5_roce(root: Path) -> Tree:
    """A healthy RoCE rail: RDMA and TCP are counted apart."""
    tree = Tree(root)
    tree.add(Nic("rail0", pci=_PCI, rdma="mlx5_0", counters=_TCP, port=mlx5_port()))
    return tree


def mlx5_roce_degraded(root: Path) -> Tree:
    """One that loses packets and is told to slow down."""
    tree = Tree(root)
    tree.add(Nic("rail0", pci=_PCI, rdma="mlx5_0", counters=_TCP, port=mlx5_port(**_DEGRADED)))
    return tree


def mlx5_infiniband(root: Path) -> Tree:
    """An InfiniBand rail with IP over it, whose bytes the port counts too."""
    tree = Tree(root)
    port = RdmaPort(
        link_layer="InfiniBand",
        rate="400 Gb/sec (4X NDR)",
        counters=_MLX5_COUNTERS,
        hw_counters=_MLX5_HW_COUNTERS,
    )
    tree.add(Nic("ib0", pci=_PCI, rdma="mlx5_0", link_type=32, counters=_TCP, port=port))
    return tree


def mlx5_two_ports(root: Path) -> Tree:
    """An InfiniBand HCA of two ports on one function, without IP over it; one trained down."""
    tree = Tree(root)
    for number, rate in ((1, "200 Gb/sec (4X HDR)"), (2, "50 Gb/sec (1X HDR)")):
        port = RdmaPort(
            number, "InfiniBand", rate=rate, counters={"port_rcv_data": number, "port_xmit_data": 0}
        )
        tree.add_rdma("mlx5_0", _PCI, port)
    return tree


def mlx5_no_pma(root: Path) -> Tree:
    """A RoCE rail whose firmware answers no performance management: TCP is counted alone."""
    tree = Tree(root)
    tree.add(Nic("rail0", pci=_PCI, rdma="mlx5_0", counters=_TCP))
    return tree


def mlx5_missing_files(root: Path) -> Tree:
    """A port that keeps some counters and has lost two of its attributes."""
    tree = Tree(root)
    port = RdmaPort(
        link_layer="InfiniBand",
        counters={"port_rcv_data": 1, "port_xmit_data": 2, "link_downed": 3},
        hw_counters={"packet_seq_err": 4},
    )
    directory = tree.add_rdma("mlx5_0", _PCI, port)
    (directory / "rate").unlink()
    (directory / "phys_state").unlink()
    return tree


def bnxt_re(root: Path) -> Tree:
    """Broadcom: bytes are bytes."""
    tree = Tree(root)
    counted = {
        "rx_bytes": 1_000, "tx_bytes": 2_000, "rx_pkts": 30, "tx_pkts": 40,
        "rx_roce_errors": 1, "rx_roce_discards": 2, "rx_out_of_buffer": 3,
        "to_retransmits": 4, "seq_err_naks_rcvd": 5, "rnr_naks_rcvd": 6, "oos_drop_count": 7,
        "active_qps": 16,
    }  # fmt: skip
    port = RdmaPort(rate="400 Gb/sec (4X NDR)", hw_counters=counted)
    tree.add(Nic("rail0", pci=_PCI, rdma="bnxt_re0", driver="bnxt_en", counters=_TCP, port=port))
    return tree


def ionic(root: Path) -> Tree:
    """AMD: unicast and multicast are counted apart."""
    tree = Tree(root)
    counted = {
        "rx_rdma_ucast_bytes": 1_000, "rx_rdma_mcast_bytes": 100,
        "tx_rdma_ucast_bytes": 2_000, "tx_rdma_mcast_bytes": 200,
        "rx_rdma_ucast_pkts": 30, "rx_rdma_mcast_pkts": 3,
        "tx_rdma_ucast_pkts": 40, "tx_rdma_mcast_pkts": 4,
        "tx_rdma_retx_pkts": 1, "tx_rdma_ack_timeout": 2, "resp_rx_outouf_seq": 3,
        "req_rx_pkt_seq_err": 9, "req_rx_rnr_retry_err": 4, "resp_rx_outof_buf": 5,
        "rx_rdma_ecn_pkts": 6, "tx_rdma_cnp_pkts": 7, "rx_rdma_cnp_pkts": 8,
    }  # fmt: skip
    port = RdmaPort(rate="400 Gb/sec (4X NDR)", hw_counters=counted)
    tree.add(Nic("rail0", pci=_PCI, rdma="ionic_0", driver="ionic", counters=_TCP, port=port))
    return tree


def efa(root: Path) -> Tree:
    """AWS: no network device, no link layer of the usual ones, no port_*_data."""
    tree = Tree(root)
    counted = {
        "rx_bytes": 1_000, "tx_bytes": 2_000, "rx_pkts": 30, "tx_pkts": 40, "rx_drops": 1,
        "send_bytes": 1_500, "retrans_bytes": 9_000, "retrans_pkts": 2, "retrans_timeout_events": 3,
    }  # fmt: skip
    port = RdmaPort(link_layer="Unknown", rate="100 Gb/sec (4X EDR)", hw_counters=counted)
    tree.add_rdma("rdmap0s6", _PCI, port, driver="efa")
    return tree


def hfi1(root: Path) -> Tree:
    """Omni-Path: words as on InfiniBand, and protocol counters at the device."""
    tree = Tree(root)
    port = RdmaPort(
        link_layer="InfiniBand",
        counters=_MLX5_COUNTERS,
        hw_counters={"RcResend": 1, "RcSeqNak": 2},
        device_counters={"RcTimeOut": 3, "PktDrop": 4, "DmaWait": 5},
    )
    tree.add_rdma("hfi1_0", _PCI, port, driver="hfi1")
    return tree


def irdma(root: Path) -> Tree:
    """Intel: octets of IP, of both versions."""
    tree = Tree(root)
    counted = {
        "ip4InOctets": 1_000, "ip6InOctets": 100, "ip4OutOctets": 2_000, "ip6OutOctets": 200,
        "ip4InPkts": 30, "ip6InPkts": 3, "ip4OutPkts": 40, "ip6OutPkts": 4,
        "ip4InDiscards": 1, "ip6InDiscards": 1, "RetransSegs": 3, "RNR received": 4,
        "RxECNMrkd": 5, "cnpSent": 6, "cnpHandled": 7,
    }  # fmt: skip
    port = RdmaPort(hw_counters=counted)
    tree.add(Nic("rail0", pci=_PCI, rdma="irdma0", driver="ice", counters=_TCP, port=port))
    return tree


def soft_roce(root: Path) -> Tree:
    """A driver that is not known and counts what its network device counts."""
    tree = Tree(root)
    port = RdmaPort(counters={"port_rcv_data": 10**6, "port_xmit_data": 10**6, "link_downed": 1})
    tree.add(Nic("rail0", pci=_PCI, rdma="rxe0", driver="virtio_net", counters=_TCP, port=port))
    return tree


def virtual_function(root: Path) -> Tree:
    """A function and a virtual one of it on the host: one port."""
    tree = mlx5_roce(root)
    tree.add(
        Nic("vf0", pci="0000:3b:00.2", rdma="mlx5_2", is_virtual_function=True, port=mlx5_port())
    )
    return tree


def bond(root: Path) -> Tree:
    """Two functions in a bond: one RDMA device, on the first of them."""
    tree = Tree(root)
    tree.add(Nic("bond0"))
    tree.add(Nic("eth0", pci=_PCI, rdma="mlx5_bond_0", bond="bond0", port=mlx5_port()))
    tree.add(Nic("eth1", pci="0000:3b:00.1", bond="bond0", counters=_TCP))
    tree.route("bond0")
    return tree


def unused_port(root: Path) -> Tree:
    """Two adapters of two functions each, of which only the first ones have cables."""
    tree = Tree(root)
    for number, bus in enumerate(("3b", "af")):
        up = RdmaPort(link_layer="InfiniBand", counters=_MLX5_COUNTERS)
        down = RdmaPort(link_layer="InfiniBand", state=DOWN.state, physical_state="2: Polling")
        tree.add_rdma(f"mlx5_{2 * number}", f"0000:{bus}:00.0", up)
        tree.add_rdma(f"mlx5_{2 * number + 1}", f"0000:{bus}:00.1", down)
    return tree


def no_rdma(root: Path) -> Tree:
    """The default route's interface, for want of better."""
    tree = Tree(root)
    tree.add(Nic("eth0", pci="0000:05:00.0", driver="igb", counters=_TCP))
    tree.route("eth0")
    return tree


SCENARIOS: dict[str, Callable[[Path], Tree]] = {
    made.__name__: made
    for made in (
        mlx5_roce,
        mlx5_roce_degraded,
        mlx5_infiniband,
        mlx5_two_ports,
        mlx5_no_pma,
        mlx5_missing_files,
        bnxt_re,
        ionic,
        efa,
        hfi1,
        irdma,
        soft_roce,
        virtual_function,
        bond,
        unused_port,
        no_rdma,
    )
}
