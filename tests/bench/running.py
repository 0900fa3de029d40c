"""Programs that a bench runs side by side, and what they use."""

import http.client
import re
import sys
import threading
import time
import urllib.parse
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from agent.trees import Nic, RdmaPort, Tree
from support.fetch import fetch_directly
from support.process import Process, free_address

# What the standard library's oldest sleep costs is what waking up costs on this machine.
_SLEEPER = """
import time
due = time.monotonic()
while True:
    due += {interval}
    time.sleep(max(due - time.monotonic(), 0.0))
"""
# The kernel's own files of a port (sysfs-class-infiniband).
STANDARD_COUNTERS = (
    *("port_rcv_data", "port_xmit_data", "port_rcv_packets", "port_xmit_packets"),
    *("unicast_rcv_packets", "unicast_xmit_packets"),
    *("multicast_rcv_packets", "multicast_xmit_packets"),
    *("link_downed", "link_error_recovery", "symbol_error", "port_rcv_errors"),
    *("port_xmit_discards", "port_xmit_wait", "VL15_dropped", "local_link_integrity_errors"),
    *("excessive_buffer_overrun_errors", "port_rcv_constraint_errors"),
    *("port_xmit_constraint_errors", "port_rcv_remote_physical_errors"),
    "port_rcv_switch_relay_errors",
)
# Those of mlx5.
HARDWARE_COUNTERS = (
    *("out_of_buffer", "packet_seq_err", "implied_nak_seq_err", "roce_adp_retrans"),
    *("roce_adp_retrans_to", "roce_slow_restart", "roce_slow_restart_cnps"),
    *("roce_slow_restart_trans", "local_ack_timeout_err", "out_of_sequence"),
    *("rnr_nak_retry_err", "rx_icrc_encapsulated", "np_ecn_marked_roce_packets"),
    *("np_cnp_sent", "rp_cnp_handled", "rp_cnp_ignored", "duplicate_request"),
    *("req_cqe_error", "req_cqe_flush_error", "resp_cqe_error", "resp_cqe_flush_error"),
    *("req_remote_access_errors", "req_remote_invalid_request", "resp_local_length_error"),
    *("resp_remote_access_errors", "rx_atomic_requests", "rx_dct_connect"),
    *("rx_read_requests", "rx_write_requests"),
)


def rdma_tree(root: Path, *, rails: int, files: int) -> Tree:
    """Return a node with so many RoCE rails of mlx5, and so many counter files in all of them."""
    tree = Tree(root)
    each = files // rails
    names = [*STANDARD_COUNTERS, *HARDWARE_COUNTERS]
    more = {f"vendor_counter_{number}": 0 for number in range(max(each - len(names), 0))}
    hardware = {**dict.fromkeys(names[len(STANDARD_COUNTERS) : each], 0), **more}
    for number in range(rails):
        port = RdmaPort(counters=dict.fromkeys(STANDARD_COUNTERS, 0), hw_counters=hardware)
        pci = f"0000:{number + 16:02x}:00.0"
        tree.add(Nic(f"rail{number}", pci=pci, rdma=f"mlx5_{number}", port=port))
        device = tree.sysfs / "class" / "infiniband" / f"mlx5_{number}"
        # Without them node_exporter reads nothing of a device.
        for name, text in (("fw_ver", "28.40.1000"), ("hca_type", "MT4129"), ("board_id", "MT_1")):
            (device / name).write_text(f"{text}\n")
    return tree


@contextmanager
def moving(tree: Tree, rails: int) -> Iterator[None]:
    """Have RDMA move on all rails while the context is open."""
    stop = threading.Event()
    thread = threading.Thread(target=_move, args=(tree, rails, stop))
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()


def _move(tree: Tree, rails: int, stop: threading.Event) -> None:
    words = 0
    # Seldom beside the samples: what moves them costs processor time too, and caches.
    while not stop.wait(0.5):
        words += 1_500_000_000
        for number in range(rails):
            tree.count_rdma(f"mlx5_{number}", port_rcv_data=words, port_xmit_data=words)


@contextmanager
def running_agent(
    root: Path, tree: Tree, toml: str = "", environment: Mapping[str, str] | None = None
) -> Iterator[tuple[Process, str]]:
    """Run an agent on *tree*; yield its process and where it is scraped."""
    address = free_address()
    root.mkdir(parents=True, exist_ok=True)
    file = root / "agent.toml"
    file.write_text(
        f'[server]\nlisten = "{address}"\n'
        f'[paths]\nsysfs = "{tree.sysfs}"\nprocfs = "{tree.procfs}"\nstate = "{root}/state"\n{toml}'
    )
    command = [str(Path(sys.executable).with_name("railwatch-agent")), "run", "--config", str(file)]
    with Process(command, log=root / "agent.log", environment=environment) as process:
        process.wait_until(lambda: fetch_directly(f"http://{address}/-/ready"), 20.0)
        yield process, f"http://{address}/metrics"


@contextmanager
def running_sleeper(root: Path, interval: float) -> Iterator[Process]:
    """Run a Python loop that only sleeps, so many seconds each time."""
    argv = [sys.executable, "-I", "-S", "-c", _SLEEPER.format(interval=interval)]
    with Process(argv, log=root / "sleeper.log") as process:
        yield process


def scrape_for(urls: Sequence[str], seconds: float, interval: float) -> list[str]:
    """Scrape all of *urls* again and again, as a Prometheus does; return the last answers."""
    end = time.monotonic() + seconds
    texts: list[str] = []
    connections = [http.client.HTTPConnection(urllib.parse.urlsplit(url).netloc) for url in urls]
    while (left := end - time.monotonic()) > 0:
        texts = [_get(connection) for connection in connections]
        time.sleep(min(interval, left))
    for connection in connections:
        connection.close()
    return texts


def scrape_cpu(pid: int, url: str, count: int) -> float:
    """Return the processor time of a scrape, from so many of them one after the other."""
    connection = http.client.HTTPConnection(urllib.parse.urlsplit(url).netloc)
    began = processor_seconds(pid)
    for _ in range(count):
        _get(connection)
    used = processor_seconds(pid) - began
    connection.close()
    return used / count


def _get(connection: http.client.HTTPConnection) -> str:
    connection.request("GET", "/metrics")
    return connection.getresponse().read().decode()


def processor_seconds(pid: int) -> float:
    """Return the processor time of another process (clock_getcpuclockid(3))."""
    return time.clock_gettime((~pid << 3) | 2)


def pss_mebibytes(pid: int) -> float:
    """Return the memory of a process, its part of what is shared included."""
    return _rollup_mebibytes(pid, "Pss")


def own_mebibytes(pid: int) -> float:
    """Return the memory that is a process's own, whoever else runs the same program."""
    return _rollup_mebibytes(pid, "Anonymous")


def _rollup_mebibytes(pid: int, field: str) -> float:
    text = Path(f"/proc/{pid}/smaps_rollup").read_text()
    match = re.search(rf"^{field}:\s+(\d+) kB", text, re.MULTILINE)
    if match is None:
        raise ValueError(f"no {field} in smaps_rollup")
    return int(match[1]) / 1024


def series_in(text: str) -> int:
    """Return how many series an exposition has."""
    return sum(1 for line in text.splitlines() if line and not line.startswith("#"))


def histogram_quantile(text: str, name: str, share: float) -> float:
    """Return the smallest edge of a histogram that holds so much of it."""
    buckets = re.findall(rf'^{name}_bucket{{le="([^"]+)"}} (\S+)$', text, re.MULTILINE)
    total = float(buckets[-1][1])
    return next(float(edge) for edge, count in buckets if float(count) >= share * total)
