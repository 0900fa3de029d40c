"""What the agent costs, beside Debian's prometheus-node-exporter on the same tree in one run.

    PYTHONPATH=tests python -m bench.agent [--seconds 60] [--rails 8 16]

A Python loop that only sleeps as often as rails are sampled runs beside them: it is what waking up
costs on this machine, and no sampler in Python costs less.
"""

import argparse
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from agent.trees import Tree
from bench import running
from support.fetch import fetch_directly
from support.process import Process, free_address

_FILES = 800
_INTERVAL = 0.02
_SCRAPE_SECONDS = 5.0
# A part of a rail's bytes that does not move rests after ten seconds.
_WARM_UP_SECONDS = 20.0
_SCRAPES = 40
_LATENESS = "railwatch_agent_sampler_lateness_seconds"


def main() -> int:
    """Measure, and print a table for each number of rails."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument("--rails", type=int, nargs="*", default=[8, 16])
    options = parser.parse_args()
    for rails in options.rails:
        with tempfile.TemporaryDirectory() as directory:
            _measure(Path(directory), rails, options.seconds)
    return 0


def _measure(root: Path, rails: int, seconds: float) -> None:
    tree = running.rdma_tree(root / "node", rails=rails, files=_FILES)
    with ExitStack() as stack:
        stack.enter_context(running.moving(tree, rails))
        sleeper = stack.enter_context(running.running_sleeper(root, _INTERVAL))
        agent, url = stack.enter_context(running.running_agent(root / "agent", tree))
        full, full_url = stack.enter_context(
            running.running_agent(root / "full", tree, _all_counters())
        )
        exporter, exporter_url = stack.enter_context(_node_exporter(root, tree))
        programs = {"sleeper": sleeper, "agent": agent, "full": full, "exporter": exporter}
        urls = [url, full_url, exporter_url]
        running.scrape_for(urls, _WARM_UP_SECONDS, _SCRAPE_SECONDS)
        before = {name: running.processor_seconds(p.pid) for name, p in programs.items()}
        began = time.monotonic()
        texts = running.scrape_for(urls, seconds, _SCRAPE_SECONDS)
        passed = time.monotonic() - began
        share = {
            name: (running.processor_seconds(p.pid) - before[name]) / passed
            for name, p in programs.items()
        }
        memory = {name: running.pss_mebibytes(p.pid) for name, p in programs.items()}
        scrape = {
            name: running.scrape_cpu(programs[name].pid, at, _SCRAPES)
            for name, at in zip(("agent", "full", "exporter"), urls, strict=True)
        }
    series = dict(zip(("agent", "full", "exporter"), map(running.series_in, texts), strict=True))
    named = {
        "sleeper": "a Python loop that sleeps 50 times a second",
        "agent": "agent",
        "full": "agent, all RDMA counters allowed",
        "exporter": "node_exporter, infiniband alone",
    }
    sys.stdout.write(
        f"\n{rails} rails, {_FILES} RDMA counter files, scraped every {_SCRAPE_SECONDS:g} s, "
        f"over {passed:.0f} s\n\n"
        "| | CPU of one core | PSS | series | CPU a scrape | a series |\n"
        "|---|---|---|---|---|---|\n"
    )
    for name, what in named.items():
        sys.stdout.write(f"| {what} | {share[name]:.2%} | {memory[name]:.1f} MiB |")
        if name in series:
            each = scrape[name] / series[name]
            sys.stdout.write(
                f" {series[name]} | {scrape[name] * 1e3:.2f} ms | {each * 1e6:.1f} us |\n"
            )
        else:
            sys.stdout.write(" | | |\n")
    late = running.histogram_quantile(texts[0], _LATENESS, 0.99)
    ratio = scrape["exporter"] / series["exporter"] / (scrape["full"] / series["full"])
    sys.stdout.write(
        f"\n99 % of the agent's rounds began at most {late * 1e3:g} ms late; a series of a scrape "
        f"costs 1/{ratio:.1f} of node_exporter's.\n"
    )


def _all_counters() -> str:
    names = (*running.STANDARD_COUNTERS, *running.HARDWARE_COUNTERS)
    return f"[rdma]\ncounters = {list(names)}\n".replace("'", '"')


@contextmanager
def _node_exporter(root: Path, tree: Tree) -> Iterator[tuple[Process, str]]:
    address = free_address()
    argv = [
        "prometheus-node-exporter",
        "--collector.disable-defaults",
        "--collector.infiniband",
        f"--path.sysfs={tree.sysfs}",
        f"--path.procfs={tree.procfs}",
        f"--web.listen-address={address}",
        "--web.disable-exporter-metrics",
    ]
    with Process(argv, log=root / "node_exporter.log") as process:
        url = f"http://{address}/metrics"
        process.wait_until(lambda: fetch_directly(url), 20.0)
        yield process, url


if __name__ == "__main__":
    sys.exit(main())
