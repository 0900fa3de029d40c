"""What the agent costs: processor share and memory of a real process, scraped each second.

    python tests/bench/agent.py [--seconds 30] [--rails 2] [--interval 0.02]

Two rails of a fake tree whose counters move, as in the figures that the README promises.
"""

import argparse
import http.client
import os
import re
import sys
import tempfile
import threading
import time
import urllib.parse
from pathlib import Path

# In place of this folder, whose agent.py would hide the package of that name.
sys.path[0] = str(Path(__file__).parent.parent)

from agent.trees import Nic, Tree  # noqa: E402 - found through the line above
from support.fetch import fetch_directly  # noqa: E402
from support.process import Process, free_address  # noqa: E402

_WARM_UP_SECONDS = 8.0
_TICKS_A_SECOND = os.sysconf("SC_CLK_TCK")


def main() -> int:
    """Measure, and print one row of a table."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--seconds", type=float, default=30.0)
    parser.add_argument("--rails", type=int, default=2)
    parser.add_argument("--interval", type=float, default=0.02)
    parser.add_argument("--scrape-interval", type=float, default=1.0)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as directory:
        tree = _tree(Path(directory), options.rails)
        with _agent(Path(directory), options.interval) as (process, url):
            stop = threading.Event()
            thread = threading.Thread(target=_move_counters, args=(tree, options.rails, stop))
            thread.start()
            try:
                row = _measure(process.pid, url, options.seconds, options.scrape_interval)
            finally:
                stop.set()
                thread.join()
    sys.stdout.write(
        "| rails | interval | CPU of one core | PSS | scrape | exposition | late > 5 ms |\n"
        "|---|---|---|---|---|---|---|\n"
        f"| {options.rails} | {options.interval * 1e3:g} ms | {row} |\n"
    )
    return 0


def _tree(root: Path, rails: int) -> Tree:
    tree = Tree(root)
    for number in range(rails):
        tree.add(Nic(f"rail{number}", pci=f"0000:{number + 16:02x}:00.0", rdma=f"mlx5_{number}"))
    return tree


class _agent:  # noqa: N801 - a context that reads as what it stands for
    def __init__(self, root: Path, interval: float) -> None:
        self._address = free_address()
        file = root / "agent.toml"
        file.write_text(
            f'[server]\nlisten = "{self._address}"\n'
            f'[paths]\nsysfs = "{root}/sys"\nprocfs = "{root}/proc"\nstate = "{root}/state"\n'
            f"[sampler]\ninterval_seconds = {interval}\n"
        )
        command = [str(Path(sys.executable).with_name("railwatch-agent")), "run"]
        self._process = Process([*command, "--config", str(file)], log=root / "agent.log")

    def __enter__(self) -> tuple[Process, str]:
        self._process.start()
        url = f"http://{self._address}"
        self._process.wait_until(lambda: fetch_directly(f"{url}/-/ready"), 20.0)
        return self._process, f"{url}/metrics"

    def __exit__(self, *exception: object) -> None:
        self._process.stop()


def _move_counters(tree: Tree, rails: int, stop: threading.Event) -> None:
    value = 0
    # Seldom beside the samples: what moves them costs processor time too, and caches.
    while not stop.wait(0.5):
        value += 600_000_000
        for number in range(rails):
            tree.count(f"rail{number}", rx_bytes=value, tx_bytes=value)


def _measure(pid: int, url: str, seconds: float, pause_seconds: float) -> str:
    _scrape_for(url, _WARM_UP_SECONDS, 1.0)
    cpu, began = _cpu_seconds(pid), time.monotonic()
    scrapes, text = _scrape_for(url, seconds, pause_seconds)
    share = (_cpu_seconds(pid) - cpu) / (time.monotonic() - began)
    scrape = sorted(scrapes)[len(scrapes) // 2]
    return (
        f"{share:.2%} | {_pss_mebibytes(pid):.1f} MiB | {scrape * 1e3:.1f} ms | "
        f"{len(text.splitlines())} lines | {_late_share(text):.2%}"
    )


def _scrape_for(url: str, seconds: float, pause_seconds: float) -> tuple[list[float], str]:
    """Scrape again and again over one connection, as Prometheus does."""
    took: list[float] = []
    address = urllib.parse.urlsplit(url)
    connection = http.client.HTTPConnection(address.netloc)
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        began = time.monotonic()
        connection.request("GET", address.path)
        text = connection.getresponse().read().decode()
        took.append(time.monotonic() - began)
        time.sleep(pause_seconds)
    connection.close()
    return took, text


def _cpu_seconds(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / _TICKS_A_SECOND


def _pss_mebibytes(pid: int) -> float:
    text = Path(f"/proc/{pid}/smaps_rollup").read_text()
    match = re.search(r"^Pss:\s+(\d+) kB", text, re.MULTILINE)
    if match is None:
        raise ValueError("no Pss in smaps_rollup")
    return int(match[1]) / 1024


def _late_share(text: str) -> float:
    def number(series: str) -> float:
        return float(next(line for line in text.splitlines() if line.startswith(series)).split()[1])

    name = "railwatch_agent_sampler_lateness_seconds"
    return 1 - number(f'{name}_bucket{{le="0.005"}}') / number(f"{name}_count")


if __name__ == "__main__":
    sys.exit(main())
