"""What following steps costs, on a node with eight rails and eight GPUs.

    PYTHONPATH=tests python -m bench.steps [--seconds 120] [--step 1.0]

Two ways, as the difference of two programs is a small one of two large ones: an agent with and one
without the collector, side by side; and the collector alone, round by round on tapes that are
filled beforehand, with caches that something else has filled in between.
"""

import argparse
import statistics
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import numpy as np

from agent.fakes import FakeClock
from agent.trees import Tree
from bench import running
from railwatch_agent.collectors.steps import StepCollector
from railwatch_agent.gpus.ledger import GpuView
from railwatch_agent.gpus.tape import GpuTape
from railwatch_agent.jobs.place import JobPlace
from railwatch_agent.sources.nvml.quantities import Signal, State
from railwatch_agent.sources.nvml.reports import GpuReport
from railwatch_agent.tape import Tape
from support.nvml import Activity, Stage, h100
from support.training import Gauge, Sampling, bucketed, count_bytes, gauge_activity, train

_RAILS = _GPUS = 8
_FILES = 800
_WARM_UP_SECONDS = 60.0
_SCRAPE_SECONDS = 5.0
_SHARE_SENDING = 0.4
_WRITES_A_SECOND = 25
# Neither is to sample rails less often than the other.
_UNBOUND = "[sampler]\ncpu_budget_ratio = 1.0\n"
_WITHOUT = _UNBOUND + '[collectors]\ndisable = ["steps"]\n'
_ROUND = StepCollector.interval_seconds


def main() -> int:
    """Measure, and print two tables."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--seconds", type=float, default=120.0)
    parser.add_argument("--step", type=float, default=1.0, help="seconds")
    options = parser.parse_args()
    _alone(options.step)
    with tempfile.TemporaryDirectory() as directory:
        _side_by_side(Path(directory), options.seconds, options.step)
    return 0


def _side_by_side(root: Path, seconds: float, step: float) -> None:
    tree = running.rdma_tree(root / "node", rails=_RAILS, files=_FILES)
    with ExitStack() as stack:
        stage = stack.enter_context(Stage(root / "nvml", [h100()] * _GPUS))
        for gpu in stage.gpus:
            gpu.repeat((Activity.COMPUTE, 0.8 * step), (Activity.COMMUNICATION, 0.2 * step))
        stack.enter_context(_stepping(tree, step))
        agents = {
            name: stack.enter_context(
                running.running_agent(root / name, tree, toml, stage.environment())
            )
            for name, toml in (("with", _UNBOUND), ("without", _WITHOUT))
        }
        urls = [url for _, url in agents.values()]
        running.scrape_for(urls, _WARM_UP_SECONDS, _SCRAPE_SECONDS)
        pids = {name: process.pid for name, (process, _) in agents.items()}
        before = {name: running.processor_seconds(pid) for name, pid in pids.items()}
        began = time.monotonic()
        texts = running.scrape_for(urls, seconds, _SCRAPE_SECONDS)
        passed = time.monotonic() - began
        share = {
            name: (running.processor_seconds(pid) - before[name]) / passed
            for name, pid in pids.items()
        }
        memory = {name: running.pss_mebibytes(pid) for name, pid in pids.items()}
    seen = next((line for line in texts[0].splitlines() if "step_period_seconds{" in line), "none")
    sys.stdout.write(
        f"\nside by side: {_RAILS} rails, {_GPUS} GPUs, over {passed:.0f} s; {seen}\n\n"
        "| | CPU of one core | PSS |\n|---|---|---|\n"
    )
    for name in agents:
        sys.stdout.write(f"| agent {name} steps | {share[name]:.2%} | {memory[name]:.1f} MiB |\n")
    sys.stdout.write(f"| difference | {share['with'] - share['without']:.2%} | |\n")


@contextmanager
def _stepping(tree: Tree, step: float) -> Iterator[None]:
    """Have RDMA move on all rails in the first part of each step."""
    stop = threading.Event()
    thread = threading.Thread(target=_move, args=(tree, step, stop))
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()


def _move(tree: Tree, step: float, stop: threading.Event) -> None:
    words = 0
    while not stop.wait(1 / _WRITES_A_SECOND):
        if time.monotonic() % step > _SHARE_SENDING * step:
            continue
        words += 100_000_000
        for number in range(_RAILS):
            tree.count_rdma(f"mlx5_{number}", port_rcv_data=words, port_xmit_data=words)


def _alone(step: float) -> None:
    """Print what rounds of the collector take."""
    rows = []
    for job, places in (
        ("one job", [JobPlace("", tuple(range(_RAILS)), tuple(range(_GPUS)))]),
        ("eight jobs", [JobPlace(str(at), (at,), (at,)) for at in range(_RAILS)]),
    ):
        took = _rounds(step, places)
        mean = statistics.fmean(took)
        rows.append(
            f"| {job} | {statistics.median(took) * 1e3:.2f} ms | {mean * 1e3:.2f} ms "
            f"| {max(took) * 1e3:.1f} ms | {mean / _ROUND:.3%} |\n"
        )
    sys.stdout.write(
        f"\nalone: {_RAILS} rails, {_GPUS} GPUs, steps of {step:g} s, caches cold\n\n"
        "| | a round, median | mean | longest | CPU of one core |\n|---|---|---|---|---|\n"
        + "".join(rows)
    )


def _rounds(step: float, places: list[JobPlace], seconds: float = 240.0) -> list[float]:
    rng = np.random.default_rng(1)
    run = train(bucketed(0.2), step, seconds, rng)
    rails = [count_bytes(run, Sampling(), rng) for _ in range(_RAILS)]
    # Rails are read in one sweep: all have the same times.
    times = rails[0][0]
    sent = np.array([np.interp(times, *rail) for rail in rails])
    gpus = [gauge_activity(run, Gauge(0.1, 0.1), rng) for _ in range(_GPUS)]
    tape, gpu_tape, clock = Tape(6000), GpuTape(120), FakeClock(0.0)
    collector = StepCollector(
        tape=tape,
        gpu_tape=gpu_tape,
        places=lambda: places,
        gpus=lambda: [_view(number) for number in range(_GPUS)],
        sample_seconds=0.02,
        clock=clock,
    )
    took: list[float] = []
    others = np.ones(4_000_000)
    numbers = tuple(range(_RAILS))
    for begin in np.arange(0.0, seconds, _ROUND):
        for at in np.flatnonzero((times >= begin) & (times < begin + _ROUND)):
            row = np.repeat(sent[:, at], 2).tolist()
            tape.bytes.append((float(times[at]), numbers, row))
        for half in (begin, begin + _ROUND / 2):
            gpu_tape.write(_block(gpus, half, half + _ROUND / 2))
        clock.advance(_ROUND)
        others += 1
        began = time.thread_time()
        list(collector.collect())
        took.append(time.thread_time() - began)
    # As long as the look-back fills up, rounds are cheaper, and one of them reads all of it.
    return took[len(took) // 2 :]


def _block(gpus: list[tuple[np.ndarray, np.ndarray]], begin: float, end: float) -> np.ndarray:
    rows = [
        (number, at, value, np.nan)
        for number, (times, values) in enumerate(gpus)
        for at, value in zip(times.tolist(), values.tolist(), strict=True)
        if begin <= at < end
    ]
    return np.array(rows).reshape(-1, 4)


def _view(number: int) -> GpuView:
    report = GpuReport(
        number=number,
        address="",
        time=0.0,
        is_lost=False,
        watches_xid=False,
        uuid="",
        name="",
        values={},
        failures={},
        denied=(),
        mig=(),
        processes=(),
        signal=Signal.GPM,
        averaging_seconds=0.1,
        processor_seconds=0.0,
    )
    return GpuView(number, "", State.PRESENT, report, None, None)


if __name__ == "__main__":
    sys.exit(main())
