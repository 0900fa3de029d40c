"""How the stand-in's instruments see what a GPU does: the habits of the real ones.

Periods and windows are made so long, or phases so even, that it does not matter when the program
gets to ask.
"""

import ctypes
import math
import time
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import pynvml
import pytest
from hypothesis import given
from hypothesis import strategies as st

from support.nvml import Activity, Gpu, Levels, Stage, Timeline, a100, build, h100, join, mig
from support.nvml.building import NAME
from support.nvml.console import Console
from support.nvml.layout import LEVELS

_SECOND = 10**9
_MILLISECOND = 10**6
# A step of a training job that fits the windows of all instruments a whole number of times.
_STEP = ((Activity.COMPUTE, 0.015), (Activity.COMMUNICATION, 0.005))
_STEP_NANOSECONDS = 20 * _MILLISECOND


@pytest.fixture
def stage(tmp_path: Path) -> Iterator[Stage]:
    """A Hopper GPU and an Ampere one that have been idle for long."""
    with Stage(tmp_path / "nvml", [h100(), a100()]) as made:
        yield made


@pytest.fixture
def console(stage: Stage) -> Iterator[Console]:
    """A program on it."""
    with Console(stage) as started:
        yield started


def _long_ago() -> int:
    now = time.monotonic_ns()
    return now - now % _SECOND - 100 * _SECOND


def _utilization(console: Console, index: int = 0) -> int:
    answer: int = console.ask(f"nvmlDeviceGetUtilizationRates(gpu({index})).gpu")
    return answer


def _field(console: Console, field: int, scope: int = 0) -> int:
    values = f"nvmlDeviceGetFieldValues(gpu(), [({field}, {scope})])"
    answer: int = console.ask(f"{values}[0].value.ullVal")
    return answer


def _gpm(console: Console, *metrics: int, take: str = "nvmlGpmSampleGet(gpu(), {})") -> list[float]:
    """Metrics between two samples, one refresh of the hardware apart or more."""
    samples = "nvmlGpmSampleAlloc()"
    first, second = take.format("one"), take.format("two")
    console.ask(f"(one := {samples}, two := {samples}, {first}, time.sleep(0.11), {second}) and 0")
    console.ask("(m := c_nvmlGpmMetricsGet_t(version=1, sample1=one, sample2=two)) and 0")
    console.ask(f"setattr(m, 'numMetrics', {len(metrics)})")
    for place, metric in enumerate(metrics):
        console.ask(f"setattr(m.metrics[{place}], 'metricId', {metric})")
    answer: list[float] = console.ask(
        f"nvmlGpmMetricsGet(m) and [m.metrics[i].value for i in range({len(metrics)})]"
    )
    return answer


def _watts(gpu: Gpu, activity: Activity) -> float:
    return gpu.profile.levels[activity].watts


@pytest.mark.parametrize("activity", [Activity.COMPUTE, Activity.COMMUNICATION, Activity.STALLED])
def test_whatever_runs_counts_as_busy(stage: Stage, console: Console, activity: Activity) -> None:
    """A collective that only waits is a running kernel, too."""
    stage.gpus[0].perform(activity, at=_long_ago())

    assert _utilization(console) == 100


def test_an_idle_gpu_is_not_busy(console: Console) -> None:
    assert _utilization(console) == 0


def test_utilisation_is_that_of_the_last_whole_period(stage: Stage, console: Console) -> None:
    """A quarter of the period before this one; what runs in this one does not show yet."""
    gpu, period = stage.gpus[1], 10_000 * _SECOND
    gpu.values.utilization_period = period
    now = time.monotonic_ns()
    start = now - now % period
    gpu.play((Activity.COMPUTE, 2_500), (Activity.IDLE, 0), at=start - period)
    gpu.perform(Activity.COMPUTE, at=start)

    assert _utilization(console, 1) == 25


def test_power_is_a_mean_over_the_models_window(stage: Stage, console: Console) -> None:
    gpu = stage.gpus[0]
    gpu.repeat(*_STEP, at=_long_ago())
    mean = 0.75 * _watts(gpu, Activity.COMPUTE) + 0.25 * _watts(gpu, Activity.COMMUNICATION)

    assert console.ask("nvmlDeviceGetPowerUsage(gpu())") == pytest.approx(1000 * mean, rel=1e-5)
    average = _field(console, pynvml.NVML_FI_DEV_POWER_AVERAGE)
    assert average == pytest.approx(1000 * mean, rel=1e-5)


def test_power_lags(stage: Stage, console: Console) -> None:
    """Idle for fifty seconds: the slow instrument still says compute, the instant one does not."""
    gpu = stage.gpus[0]
    gpu.values.power_lag = 100 * _SECOND
    gpu.perform(Activity.COMPUTE, at=_long_ago() - 100 * _SECOND)
    gpu.perform(Activity.IDLE, at=time.monotonic_ns() - 50 * _SECOND)

    assert console.ask("nvmlDeviceGetPowerUsage(gpu())") == 1000 * _watts(gpu, Activity.COMPUTE)
    assert _field(console, pynvml.NVML_FI_DEV_POWER_INSTANT) == 75_000


def test_energy_moves_in_steps(stage: Stage, console: Console) -> None:
    gpu, period = stage.gpus[0], 10_000 * _SECOND
    gpu.values.energy_period = period
    now = time.monotonic_ns()
    start = now - now % period
    gpu.perform(Activity.COMPUTE, at=start - 10 * _SECOND)
    first = console.ask("nvmlDeviceGetTotalEnergyConsumption(gpu())")
    again = console.ask("(time.sleep(0.02), nvmlDeviceGetTotalEnergyConsumption(gpu()))[1]")

    assert first == again == 10_000 * _watts(gpu, Activity.COMPUTE)
    assert _field(console, pynvml.NVML_FI_DEV_TOTAL_ENERGY_CONSUMPTION) == first


def test_energy_goes_on_through_what_the_gpu_does_next(stage: Stage, console: Console) -> None:
    gpu = stage.gpus[0]
    gpu.repeat(*_STEP, at=_long_ago())
    for activity in (Activity.STALLED, Activity.COMPUTE, Activity.IDLE) * 20:
        gpu.perform(activity)
    before = gpu.timeline.integral("watts", time.monotonic_ns() - gpu.values.energy_period)
    energy = console.ask("nvmlDeviceGetTotalEnergyConsumption(gpu())") / 1000
    after = gpu.timeline.integral("watts", time.monotonic_ns())

    assert before - 0.001 <= energy <= after
    assert energy > 50_000


def test_gpm_sees_little_of_a_collective_and_no_tensor(stage: Stage, console: Console) -> None:
    metrics = (pynvml.NVML_GPM_METRIC_SM_UTIL, pynvml.NVML_GPM_METRIC_ANY_TENSOR_UTIL)
    stage.gpus[0].perform(Activity.COMPUTE, at=_long_ago())
    compute = _gpm(console, *metrics)
    stage.gpus[0].perform(Activity.STALLED, at=_long_ago())
    stalled = _gpm(console, *metrics)

    assert compute == pytest.approx([90, 45])
    assert stalled == pytest.approx([10, 0])


def test_gpm_tells_traffic_in_mebibytes(stage: Stage, console: Console) -> None:
    levels = Levels(pcie_transmit=2**30, nvlink_transmit=2**31, nvlink_receive=18 * 2**20)
    stage.gpus[0].perform(levels, at=_long_ago())

    told = _gpm(
        console,
        pynvml.NVML_GPM_METRIC_PCIE_TX_PER_SEC,
        pynvml.NVML_GPM_METRIC_NVLINK_TOTAL_TX_PER_SEC,
        pynvml.NVML_GPM_METRIC_NVLINK_L0_RX_PER_SEC,
    )

    assert told == pytest.approx([1024, 2048, 1])


def test_two_gpm_samples_of_one_refresh_make_no_number(stage: Stage, console: Console) -> None:
    stage.gpus[0].values.gpm_period = 10_000 * _SECOND

    assert all(map(math.isnan, _gpm(console, pynvml.NVML_GPM_METRIC_SM_UTIL)))


def test_ampere_has_no_gpm(console: Console) -> None:
    supported = "nvmlGpmQueryDeviceSupport(gpu({})).isSupportedDevice"

    assert [console.ask(supported.format(index)) for index in (0, 1)] == [1, 0]
    with pytest.raises(pynvml.NVMLError_NotSupported):
        _gpm(console, pynvml.NVML_GPM_METRIC_SM_UTIL, take="nvmlGpmSampleGet(gpu(1), {})")


def test_gpm_of_a_mig_instance_is_its_own(tmp_path: Path) -> None:
    with Stage(tmp_path / "nvml", [mig()]) as stage, Console(stage) as console:
        stage.gpus[0].perform(Activity.COMPUTE, at=_long_ago())
        stage.gpus[0].values.instances[1].activity = 0.5
        take = "nvmlGpmMigSampleGet(gpu(), {}, {{}})"
        told = [
            _gpm(console, pynvml.NVML_GPM_METRIC_SM_UTIL, take=take.format(instance))[0]
            for instance in (1, 2)
        ]
        with pytest.raises(pynvml.NVMLError_NotFound):
            _gpm(console, pynvml.NVML_GPM_METRIC_SM_UTIL, take=take.format(7))

    assert told == pytest.approx([90, 45])


def test_nvlink_bytes_are_kibibytes_spread_over_active_links(
    stage: Stage, console: Console
) -> None:
    gpu, period = stage.gpus[0], 10_000 * _SECOND
    gpu.values.traffic_period = period
    gpu.values.link_active[17] = 0
    now = time.monotonic_ns()
    start = now - now % period
    gpu.perform(Levels(nvlink_transmit=17 * 2**20), at=start - _SECOND)
    sent = pynvml.NVML_FI_DEV_NVLINK_THROUGHPUT_DATA_TX

    assert [_field(console, sent, link) for link in (0, 16, 17)] == [1024, 1024, 0]
    assert _field(console, sent, 2**32 - 1) == 17 * 1024


def test_pcie_bytes_have_32_bits_and_wrap(stage: Stage, console: Console) -> None:
    gpu, period = stage.gpus[0], 10_000 * _SECOND
    gpu.values.traffic_period = period
    now = time.monotonic_ns()
    start = now - now % period
    gpu.perform(Levels(pcie_receive=2**32 + 5), at=start - _SECOND)

    assert _field(console, pynvml.NVML_FI_DEV_PCIE_COUNT_RX_BYTES) == 5


def test_pcie_throughput_is_in_kilobytes(stage: Stage, console: Console) -> None:
    stage.gpus[0].perform(Levels(pcie_receive=3e9), at=_long_ago())
    asked = "nvmlDeviceGetPcieThroughput(gpu(), NVML_PCIE_UTIL_RX_BYTES)"

    assert console.ask(asked) == pytest.approx(3e6, rel=1e-5)


def _samples(console: Console, kind: str, after: int = 0) -> list[list[int]]:
    taken = f"nvmlDeviceGetSamples(gpu(), {kind}, {after})[1]"
    answer: list[list[int]] = console.ask(f"[[s.timeStamp, s.sampleValue.uiVal] for s in {taken}]")
    return answer


def test_the_driver_keeps_a_buffer_of_samples(stage: Stage, console: Console) -> None:
    gpu = stage.gpus[0]
    gpu.perform(Activity.COMPUTE, at=_long_ago())
    power = _samples(console, "NVML_TOTAL_POWER_SAMPLES")
    busy = _samples(console, "NVML_GPU_UTILIZATION_SAMPLES")

    assert (len(power), len(busy)) == (119, 71)
    assert {value for _, value in power} == {1000 * _watts(gpu, Activity.COMPUTE)}
    assert {value for _, value in busy} == {100}
    assert {after - before for (before, _), (after, _) in pairwise(power)} == {20_000}


def test_samples_already_seen_are_not_told_again(stage: Stage, console: Console) -> None:
    stage.gpus[0].values.power_sample_period = 10_000 * _SECOND
    stamps = [stamp for stamp, _ in _samples(console, "NVML_TOTAL_POWER_SAMPLES")]

    later = _samples(console, "NVML_TOTAL_POWER_SAMPLES", after=stamps[-3])

    assert [stamp for stamp, _ in later] == stamps[-2:]
    with pytest.raises(pynvml.NVMLError_NotFound):
        _samples(console, "NVML_TOTAL_POWER_SAMPLES", after=stamps[-1])
    with pytest.raises(pynvml.NVMLError_NotSupported):
        _samples(console, "NVML_PROCESSOR_CLK_SAMPLES")


def _at(parts: list[tuple[int, int]], time_milliseconds: int, *, repeated: bool) -> int:
    """The level at a time, from its definition; parts are (milliseconds, level)."""
    left = time_milliseconds
    if repeated:
        left %= sum(length for length, _ in parts)
    for length, level in parts:
        if left < length:
            return level
        left -= length
    return parts[-1][1]


_PARTS = st.lists(st.tuples(st.integers(1, 20), st.integers(0, 9)), min_size=1, max_size=6)


@given(
    before=_PARTS,
    after=_PARTS,
    repeated=st.tuples(st.booleans(), st.booleans()),
    switch=st.integers(1, 300),
    until=st.integers(0, 600),
)
def test_a_timeline_adds_up_to_its_parts(
    before: list[tuple[int, int]],
    after: list[tuple[int, int]],
    repeated: tuple[bool, bool],
    switch: int,
    until: int,
) -> None:
    """A sum millisecond by millisecond is the reference, across a change of what is done."""
    line = _timeline(before, after, repeated, switch)
    expected = sum(
        _at(before, tick, repeated=repeated[0])
        if tick < switch
        else _at(after, tick - switch, repeated=repeated[1])
        for tick in range(until)
    )

    assert line.integral("watts", until * _MILLISECOND) == pytest.approx(expected / 1000)


def _timeline(
    before: list[tuple[int, int]],
    after: list[tuple[int, int]],
    repeated: tuple[bool, bool],
    switch: int,
) -> Timeline:
    def levels(parts: list[tuple[int, int]]) -> list[tuple[float, Levels]]:
        return [(length / 1000, Levels(watts=level)) for length, level in parts]

    first = Timeline().followed_by(levels(before), 0, repeated=repeated[0])
    return first.followed_by(levels(after), switch * _MILLISECOND, repeated=repeated[1])


@pytest.fixture(scope="module")
def c_side(tmp_path_factory: pytest.TempPathFactory) -> tuple[ctypes.CDLL, Gpu]:
    """The library's own arithmetic, and a GPU for it."""
    library = ctypes.CDLL(str(build() / NAME))
    library.integral.restype = ctypes.c_double
    library.integral.argtypes = (ctypes.c_void_p, ctypes.c_int, ctypes.c_int64)
    return library, Stage(tmp_path_factory.mktemp("nvml") / "state", [h100()]).gpus[0]


@given(
    parts=st.lists(st.tuples(st.integers(1, 10**10), st.floats(0, 1e12)), min_size=1, max_size=8),
    repeated=st.booleans(),
    start=st.integers(-(10**13), 10**13),
    times=st.lists(st.integers(-(10**10), 10**11), min_size=1, max_size=5),
)
def test_both_sides_add_up_alike(
    c_side: tuple[ctypes.CDLL, Gpu],
    parts: list[tuple[int, float]],
    repeated: bool,  # noqa: FBT001 (drawn)
    start: int,
    times: list[int],
) -> None:
    library, gpu = c_side
    steps = [(Levels(watts=level), length / _SECOND) for length, level in parts]
    gpu.values.timelines[gpu.values.timeline].count = 0
    gpu.values.timelines[gpu.values.timeline].period = 0
    (gpu.repeat if repeated else gpu.play)(*steps, at=start)

    for offset in times:
        found = library.integral(
            ctypes.addressof(gpu.values), LEVELS.index("watts"), start + offset
        )
        wanted = gpu.timeline.integral("watts", start + offset)
        assert found == pytest.approx(wanted, rel=1e-9)


def test_another_process_goes_on_where_the_first_left(stage: Stage) -> None:
    stage.gpus[1].perform(Activity.COMPUTE, at=0)
    joined = join(stage.path)[1]
    joined.perform(Activity.STALLED, at=_SECOND)
    levels = joined.profile.levels
    watts = levels[Activity.COMPUTE].watts + levels[Activity.STALLED].watts

    assert joined.profile.name == "NVIDIA A100-SXM4-80GB"
    assert stage.gpus[1].timeline.integral("watts", 2 * _SECOND) == pytest.approx(watts)


def test_more_phases_than_fit_are_refused() -> None:
    with pytest.raises(ValueError, match="65 phases"):
        Timeline().followed_by([(0.1, Levels())] * 65, 0)
