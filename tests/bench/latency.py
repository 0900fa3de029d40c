"""How the agent fares where each read of an RDMA counter takes its time.

    PYTHONPATH=tests python -m bench.latency [--seconds 30] [--delays 0 0.1 0.5 1 5]

Real drivers may ask their firmware for a counter. A library that is loaded before the C library
(slow_reads.c, built with gcc) has each such read sleep; the agent is as it is.
"""

import argparse
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from contextlib import ExitStack
from pathlib import Path

from bench import running

_RAILS = 8
_FILES = 800
_SCRAPE_SECONDS = 5.0
_WARM_UP_SECONDS = 20.0
_LATENESS = "railwatch_agent_sampler_lateness_seconds"


def main() -> int:
    """Measure, and print a table."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--seconds", type=float, default=30.0)
    parser.add_argument("--delays", type=float, nargs="*", default=[0.0, 0.1, 0.5, 1.0, 5.0])
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as directory:
        library = _build(Path(directory))
        sys.stdout.write(
            f"\n{_RAILS} rails, {_FILES} RDMA counter files, each read delayed\n\n"
            "| delay of a read | CPU of one core | samples a second and rail | "
            "99 % of rounds late by | scrape |\n|---|---|---|---|---|\n"
        )
        for number, milliseconds in enumerate(options.delays):
            environment = {
                "LD_PRELOAD": str(library),
                "RAILWATCH_READ_DELAY_US": str(round(milliseconds * 1e3)),
            }
            row = _measure(Path(directory) / str(number), environment, options.seconds)
            sys.stdout.write(f"| {milliseconds:g} ms | {row} |\n")
            sys.stdout.flush()
    return 0


def _build(directory: Path) -> Path:
    library = directory / "slow_reads.so"
    source = Path(__file__).with_name("slow_reads.c")
    command = ["gcc", "-shared", "-fPIC", "-O2", "-Wall", "-o", str(library), str(source), "-ldl"]
    subprocess.run(command, check=True)
    return library


def _measure(root: Path, environment: Mapping[str, str], seconds: float) -> str:
    tree = running.rdma_tree(root / "node", rails=_RAILS, files=_FILES)
    with ExitStack() as stack:
        stack.enter_context(running.moving(tree, _RAILS))
        process, url = stack.enter_context(
            running.running_agent(root / "agent", tree, environment=environment)
        )
        before = running.scrape_for([url], _WARM_UP_SECONDS, _SCRAPE_SECONDS)[0]
        cpu, began = running.processor_seconds(process.pid), time.monotonic()
        text = running.scrape_for([url], seconds, _SCRAPE_SECONDS)[0]
        passed = time.monotonic() - began
        share = (running.processor_seconds(process.pid) - cpu) / passed
        asked = time.monotonic()
        running.scrape_for([url], 0.001, 0.0)
        took = time.monotonic() - asked
    samples = (_samples(text) - _samples(before)) / passed / _RAILS
    late = running.histogram_quantile(text, _LATENESS, 0.99)
    return f"{share:.2%} | {samples:.1f} | {late * 1e3:g} ms | {took * 1e3:.1f} ms"


def _samples(text: str) -> float:
    """Return how many fast samples there have been of all rails."""
    match = re.search(r"^railwatch_agent_fast_samples_total (\S+)$", text, re.MULTILINE)
    return 0.0 if match is None else float(match[1])


if __name__ == "__main__":
    sys.exit(main())
