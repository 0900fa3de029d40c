"""Does the agent grow? An hour of a node with eight rails, with scrapes, traffic and hot plug.

    PYTHONPATH=tests python -m bench.soak [--minutes 60] [--output SOAK.md]

A scrape each five seconds, counters that move twice a second, one rail that is taken away and put
back each half minute, one whose counter cannot be read each minute. Memory is noted each minute,
and a line is fitted to the agent's own memory after the first quarter; its part of what is shared
depends on who else runs Python.
"""

import argparse
import subprocess
import sys
import tempfile
import time
from contextlib import ExitStack
from pathlib import Path
from typing import NamedTuple

import numpy as np

from agent.trees import Nic, RdmaPort, Tree
from bench import running

_RAILS = 8
_FILES = 800
_SCRAPE_SECONDS = 5.0
_PLUGGED = "rail7"


class Row(NamedTuple):
    """What is noted of a minute."""

    own_mebibytes: float
    pss_mebibytes: float
    cpu_seconds: float
    descriptors: int
    threads: int
    series: int


def main() -> int:
    """Run, and write the page."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--minutes", type=int, default=60)
    parser.add_argument("--output", type=Path, default=Path("SOAK.md"))
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as directory:
        options.output.write_text(_soak(Path(directory), options.minutes))
    return 0


def _soak(root: Path, minutes: int) -> str:
    tree = running.rdma_tree(root / "node", rails=_RAILS, files=_FILES)
    rows: list[Row] = []
    with ExitStack() as stack:
        stack.enter_context(running.moving(tree, _RAILS - 1))
        process, url = stack.enter_context(running.running_agent(root / "agent", tree))
        cpu, began = running.processor_seconds(process.pid), time.monotonic()
        for minute in range(minutes + 1):
            text = _minute(tree, url, minute) if minute else running.scrape_for([url], 1.0, 1.0)[0]
            status = Path(f"/proc/{process.pid}")
            rows.append(
                Row(
                    running.own_mebibytes(process.pid),
                    running.pss_mebibytes(process.pid),
                    running.processor_seconds(process.pid),
                    len(list((status / "fd").iterdir())),
                    len(list((status / "task").iterdir())),
                    running.series_in(text),
                )
            )
            sys.stdout.write(f"{minute} {rows[-1]}\n")
            sys.stdout.flush()
        share = (running.processor_seconds(process.pid) - cpu) / (time.monotonic() - began)
    return _page(rows, share)


def _minute(tree: Tree, url: str, minute: int) -> str:
    """Let a minute pass, with all that happens in it; return the last scrape."""
    for half in range(2):
        tree.remove(_PLUGGED)
        running.scrape_for([url], 15.0, _SCRAPE_SECONDS)
        port = RdmaPort(counters=dict.fromkeys(running.STANDARD_COUNTERS, minute))
        pci = f"0000:{_RAILS - 1 + 16:02x}:00.0"
        tree.add(Nic(_PLUGGED, pci=pci, rdma=f"mlx5_{_RAILS - 1}", port=port))
        broken = tree.netdev("rail6") / "statistics" / "rx_errors"
        broken.write_text("broken" if half else "0\n")
        text = running.scrape_for([url], 15.0, _SCRAPE_SECONDS)[0]
    return text


def _page(rows: list[Row], share: float) -> str:
    own = np.array([row.own_mebibytes for row in rows])
    settled = len(rows) // 4
    slope, _ = np.polyfit(np.arange(settled, len(rows)), own[settled:], 1)
    command = ["git", "rev-parse", "--short", "HEAD"]
    revision = subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()
    each = max((len(rows) - 1) // 12, 1)
    lines = [
        f"| {minute} | {row.own_mebibytes:.2f} MiB | {row.pss_mebibytes:.1f} MiB | "
        f"{row.cpu_seconds:.1f} s | {row.descriptors} | {row.threads} | {row.series} |"
        for minute, row in enumerate(rows)
        if minute % each == 0
    ]
    return (
        "# Soak\n\n"
        f"The agent for {len(rows) - 1} minutes on a node with {_RAILS} rails and {_FILES} files\n"
        "of RDMA counters, scraped every 5 s; counters move twice a second, each half minute a\n"
        "rail is taken away and put back, each minute a counter of another cannot be read.\n"
        f"`make soak`, revision {revision}.\n\n"
        "| minute | own memory | PSS | CPU used | descriptors | threads | series |\n"
        "|---|---|---|---|---|---|---|\n"
        + "\n".join(lines)
        + f"\n\nFrom minute {settled} on, a line through the agent's own memory: "
        f"{slope * 60 * 1024:+.0f} KiB an hour\n({own[settled]:.2f} MiB then, {own[-1]:.2f} MiB at "
        "the end).\n"
        f"{share:.2%} of a core, hot plug included.\n"
    )


if __name__ == "__main__":
    sys.exit(main())
