"""What watching eight GPUs costs, and how scrapes fare while the driver hangs.

    PYTHONPATH=tests python -m bench.gpu [--seconds 60] [--gpus 8] [--interval 0.1]

Side by side in one run, on the stand-in for NVML: the agent with and without GPUs, nvitop-exporter
from PyPI (in an environment that is thrown away), and a Python loop that only sleeps as often as
GPUs are sampled, which is what waking up costs on this machine. Then the agent alone, while a call
into the driver does not return.
"""

import argparse
import http.client
import re
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.parse
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

from bench import running
from support.fetch import fetch_directly
from support.nvml import Activity, Stage, h100
from support.process import Process, children_of, free_address

_RAILS = 2
_FILES = 100
_WARM_UP_SECONDS = 20.0
_SCRAPE_SECONDS = 5.0
_HANG_SECONDS = 30.0
# None is to sample rails less often than the others.
_UNBOUND = "[sampler]\ncpu_budget_ratio = 1.0\n"
_WITHOUT = _UNBOUND + '[collectors]\ndisable = ["gpu"]\n'


def main() -> int:
    """Measure, and print two tables."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument("--gpus", type=int, default=8)
    parser.add_argument("--interval", type=float, default=0.1)
    options = parser.parse_args()
    with ExitStack() as stack:
        root = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        stage = stack.enter_context(Stage(root / "nvml", [h100()] * options.gpus))
        for gpu in stage.gpus:
            gpu.repeat((Activity.COMPUTE, 0.3), (Activity.COMMUNICATION, 0.1))
        tree = running.rdma_tree(root / "node", rails=_RAILS, files=_FILES)
        toml = f"{_UNBOUND}[gpus]\nfast_interval_seconds = {options.interval}\n"
        watching, url = stack.enter_context(
            running.running_agent(root / "full", tree, toml, stage.environment())
        )
        command = _install_exporter(root / "venv")
        with (
            running.running_agent(root / "bare", tree, _WITHOUT) as (bare, bare_url),
            _exporter(command, root, stage.environment()) as (exporter, exporter_url),
            running.running_sleeper(root, options.interval) as sleeper,
        ):
            running.scrape_for([url, bare_url, exporter_url], _WARM_UP_SECONDS, _SCRAPE_SECONDS)
            (child,) = children_of(watching.pid)
            pids = {
                "sleeper": sleeper.pid,
                "bare": bare.pid,
                "agent": watching.pid,
                "child": child,
                "exporter": exporter.pid,
            }
            _compare(options, pids, [url, bare_url, exporter_url])
        _hang(stage, url)
    return 0


def _compare(options: argparse.Namespace, pids: Mapping[str, int], urls: Sequence[str]) -> None:
    """Let all run for the same time, scraped as a Prometheus would, and print what each used."""
    before = {name: running.processor_seconds(pid) for name, pid in pids.items()}
    began = time.monotonic()
    running.scrape_for(urls, options.seconds, _SCRAPE_SECONDS)
    passed = time.monotonic() - began
    share = {
        name: (running.processor_seconds(pid) - before[name]) / passed for name, pid in pids.items()
    }
    named = {
        "sleeper": f"a Python loop that sleeps {1 / options.interval:g} times a second",
        "bare": f"agent without GPUs ({_RAILS} rails)",
        "agent": "agent with GPUs, its child left out",
        "child": "its child",
        "exporter": "nvitop-exporter, every second",
    }
    sys.stdout.write(
        f"\n{options.gpus} GPUs, sampled {1 / options.interval:g} times a second, all of it every "
        f"5 s, scraped every {_SCRAPE_SECONDS:g} s, over {passed:.0f} s\n\n"
        "| | CPU of one core | PSS |\n|---|---|---|\n"
    )
    for name, what in named.items():
        memory = running.pss_mebibytes(pids[name])
        sys.stdout.write(f"| {what} | {share[name]:.2%} | {memory:.1f} MiB |\n")
    gpus = share["agent"] + share["child"] - share["bare"]
    sys.stdout.write(
        f"\nGPUs cost {gpus:.2%} of a core: agent and child, less the agent without.\n"
    )


def _install_exporter(folder: Path) -> Path:
    """Return the command, of an environment of its own that ends with the bench."""
    subprocess.run([sys.executable, "-m", "venv", str(folder)], check=True)
    pip = [str(folder / "bin" / "pip"), "install", "--quiet", "--disable-pip-version-check"]
    subprocess.run([*pip, "nvitop-exporter"], check=True, stderr=subprocess.DEVNULL)
    return folder / "bin" / "nvitop-exporter"


@contextmanager
def _exporter(
    command: Path, root: Path, environment: Mapping[str, str]
) -> Iterator[tuple[Process, str]]:
    host, _, port = free_address().partition(":")
    argv = [str(command), "--bind-address", host, "--port", port]
    with Process(argv, log=root / "exporter.log", environment=environment) as process:
        url = f"http://{host}:{port}/metrics"
        process.wait_until(lambda: fetch_directly(url), 20.0)
        yield process, url


def _hang(stage: Stage, url: str) -> None:
    """Print how long scrapes took before a call hung, and from then on."""
    before = _scrape_times(url, _HANG_SECONDS)
    stage.gpus[-1].hang("nvmlGpmSampleGet")
    during = _scrape_times(url, _HANG_SECONDS)
    text = fetch_directly(url).decode()
    stuck = re.search(r"^railwatch_agent_nvml_stuck_gpus (\d+)$", text, re.MULTILINE)
    left = len(re.findall(r"^railwatch_gpu_temperature_celsius\{", text, re.MULTILINE))
    sys.stdout.write(
        "\n| scrapes | number | p50 | p99 | longest |\n|---|---|---|---|---|\n"
        f"| before | {_percentiles(before)} |\n"
        f"| from a hanging call on | {_percentiles(during)} |\n\n"
        f"GPUs left out after that: {stuck[1] if stuck else '?'}; with values: {left}.\n"
    )


def _percentiles(took: Sequence[float]) -> str:
    cuts = statistics.quantiles(took, n=100)
    numbers = (f"{seconds * 1e3:.1f} ms" for seconds in (cuts[49], cuts[98], max(took)))
    return " | ".join((str(len(took)), *numbers))


def _scrape_times(url: str, seconds: float) -> list[float]:
    """Scrape about ten times a second over one connection."""
    took: list[float] = []
    address = urllib.parse.urlsplit(url)
    connection = http.client.HTTPConnection(address.netloc)
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        began = time.monotonic()
        connection.request("GET", address.path)
        connection.getresponse().read()
        took.append(time.monotonic() - began)
        time.sleep(0.1)
    connection.close()
    return took


if __name__ == "__main__":
    sys.exit(main())
