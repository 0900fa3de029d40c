"""The stand-in for NVML: the real pynvml on it, and what a driver does to its callers."""

import ctypes
import os
import re
import signal
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pynvml
import pytest

from support.conditions import wait_until
from support.nvml import Stage, a100, b200, build, h100, mig
from support.nvml.building import NAME
from support.nvml.calls import CALLS
from support.nvml.console import Console
from support.nvml.costs import charge
from support.nvml.header import header
from support.nvml.stuck import StuckFileSystem

_SECONDS = 20.0
_UTILIZATION = "nvmlDeviceGetUtilizationRates"


@pytest.fixture
def stage(tmp_path: Path) -> Iterator[Stage]:
    """A driver with two Hopper GPUs."""
    with Stage(tmp_path / "nvml", [h100(), h100()]) as made:
        yield made


@pytest.fixture
def console(stage: Stage) -> Iterator[Console]:
    """A program on it."""
    with Console(stage) as started:
        yield started


def _field(console: Console, field: int, scope: int = 0) -> list[int]:
    """Return code and value of one field of the first GPU."""
    asked = f"(f := nvmlDeviceGetFieldValues(gpu(), [({field}, {scope})])[0])"
    answer: list[int] = console.ask(f"{asked} and [f.nvmlReturn, f.value.ullVal]")
    return answer


def test_a_program_finds_gpus_by_index_uuid_and_address(console: Console) -> None:
    uuid = console.ask("nvmlDeviceGetUUID(gpu(1))")
    address = console.ask("nvmlDeviceGetPciInfo(gpu(1)).busId")

    assert console.ask("nvmlDeviceGetCount()") == 2
    assert console.ask(f"nvmlDeviceGetIndex(nvmlDeviceGetHandleByUUID({uuid!r}))") == 1
    assert console.ask(f"nvmlDeviceGetIndex(nvmlDeviceGetHandleByPciBusId({address!r}))") == 1
    assert console.ask("nvmlDeviceGetName(gpu(1))") == "NVIDIA H100 80GB HBM3"


def test_the_first_version_of_memory_counts_what_the_driver_reserves(
    stage: Stage, console: Console
) -> None:
    stage.gpus[0].values.memory_used = 10**9
    reserved = stage.gpus[0].values.memory_reserved

    assert console.ask("nvmlDeviceGetMemoryInfo(gpu()).used") == 10**9 + reserved
    assert console.ask("nvmlDeviceGetMemoryInfo(gpu(), nvmlMemory_v2).used") == 10**9


def test_a_value_that_is_set_is_read(stage: Stage, console: Console) -> None:
    values = stage.gpus[1].values
    values.temperature, values.pcie_width, values.pcie_generation = 83, 8, 3
    values.clocks_megahertz[pynvml.NVML_CLOCK_SM] = 1200
    values.throttle_reasons = pynvml.nvmlClocksThrottleReasonHwThermalSlowdown

    assert console.ask("nvmlDeviceGetTemperature(gpu(1), NVML_TEMPERATURE_GPU)") == 83
    assert console.ask("nvmlDeviceGetTemperatureV(gpu(1), NVML_TEMPERATURE_GPU)") == 83
    assert console.ask("nvmlDeviceGetCurrPcieLinkWidth(gpu(1))") == 8
    assert console.ask("nvmlDeviceGetCurrPcieLinkGeneration(gpu(1))") == 3
    assert console.ask("nvmlDeviceGetMaxPcieLinkWidth(gpu(1))") == 16
    assert console.ask("nvmlDeviceGetClockInfo(gpu(1), NVML_CLOCK_SM)") == 1200
    assert console.ask("nvmlDeviceGetMaxClockInfo(gpu(1), NVML_CLOCK_SM)") == 1980
    assert console.ask("nvmlDeviceGetCurrentClocksEventReasons(gpu(1))") == 0x40


def test_errors_of_memory_are_counted_by_type_and_place(stage: Stage, console: Console) -> None:
    values = stage.gpus[0].values
    values.ecc_errors[pynvml.NVML_MEMORY_ERROR_TYPE_UNCORRECTED][pynvml.NVML_VOLATILE_ECC][2] = 3
    values.ecc_errors[pynvml.NVML_MEMORY_ERROR_TYPE_UNCORRECTED][pynvml.NVML_VOLATILE_ECC][7] = 4
    values.remapped_uncorrectable, values.remapped_pending = 2, 1
    values.retired_pages[1] = 2
    dram = "nvmlDeviceGetMemoryErrorCounter(gpu(), 1, 0, NVML_MEMORY_LOCATION_DRAM)"

    assert console.ask("nvmlDeviceGetTotalEccErrors(gpu(), 1, 0)") == 7
    assert console.ask("nvmlDeviceGetTotalEccErrors(gpu(), 0, 0)") == 0
    assert console.ask(dram) == 3
    assert _field(console, pynvml.NVML_FI_DEV_ECC_DBE_VOL_TOTAL) == [0, 7]
    assert console.ask("nvmlDeviceGetRemappedRows(gpu())") == [0, 2, 1, 0]
    assert _field(console, pynvml.NVML_FI_DEV_REMAPPED_UNC) == [0, 2]
    assert len(console.ask("nvmlDeviceGetRetiredPages(gpu(), 1)")) == 2
    assert len(console.ask("nvmlDeviceGetRetiredPages_v2(gpu(), 1)")) == 2


def test_errors_of_links_are_counted_by_link(stage: Stage, console: Console) -> None:
    values = stage.gpus[0].values
    values.link_errors[17][pynvml.NVML_NVLINK_ERROR_DL_REPLAY] = 5
    values.link_active[17] = 0

    assert console.ask("nvmlDeviceGetNvLinkErrorCounter(gpu(), 17, 0)") == 5
    assert console.ask("nvmlDeviceGetNvLinkErrorCounter(gpu(), 16, 0)") == 0
    assert console.ask("[nvmlDeviceGetNvLinkState(gpu(), link) for link in (16, 17)]") == [1, 0]
    assert _field(console, pynvml.NVML_FI_DEV_NVLINK_ERROR_DL_REPLAY, 17) == [0, 5]
    assert _field(console, pynvml.NVML_FI_DEV_NVLINK_REPLAY_ERROR_COUNT_TOTAL) == [0, 5]
    no_such_link = _field(console, pynvml.NVML_FI_DEV_NVLINK_ERROR_DL_REPLAY, 18)[0]
    assert no_such_link == pynvml.NVML_ERROR_INVALID_ARGUMENT


def test_processes_come_and_go(stage: Stage, console: Console) -> None:
    stage.gpus[0].run(4711, 2**30)
    stage.gpus[0].run(4712, 2**20, graphics=True)
    listed = "[(p.pid, p.usedGpuMemory) for p in nvmlDeviceGet{}RunningProcesses(gpu())]"
    compute, graphics = (console.ask(listed.format(kind)) for kind in ("Compute", "Graphics"))
    older = console.ask(listed.format("Compute").replace("Processes", "Processes_v2"))
    stage.gpus[0].end(4711)

    assert (compute, graphics) == ([[4711, 2**30]], [[4712, 2**20]])
    assert older == compute
    assert console.ask(listed.format("Compute")) == []


def test_a_field_that_nothing_determines_can_be_set(stage: Stage, console: Console) -> None:
    stage.gpus[0].set_field(pynvml.NVML_FI_DEV_PCIE_COUNT_BAD_TLP, 7)

    assert _field(console, pynvml.NVML_FI_DEV_PCIE_COUNT_BAD_TLP) == [0, 7]


def test_one_field_that_is_not_supported_costs_no_other(stage: Stage, console: Console) -> None:
    stage.gpus[0].fail_field(pynvml.NVML_FI_DEV_POWER_INSTANT, pynvml.NVML_ERROR_NOT_SUPPORTED)
    fields = [pynvml.NVML_FI_DEV_POWER_INSTANT, pynvml.NVML_FI_DEV_POWER_CURRENT_LIMIT, 9999]
    asked = f"[(f.nvmlReturn, f.value.uiVal) for f in nvmlDeviceGetFieldValues(gpu(), {fields})]"

    instant, limit, unknown = console.ask(asked)

    assert instant[0] == pynvml.NVML_ERROR_NOT_SUPPORTED
    assert limit == [pynvml.NVML_SUCCESS, 700_000]
    assert unknown[0] == pynvml.NVML_ERROR_INVALID_ARGUMENT


def test_models_differ_in_the_fields_they_have(tmp_path: Path) -> None:
    asked = [
        pynvml.NVML_FI_DEV_POWER_AVERAGE,
        pynvml.NVML_FI_DEV_NVLINK_ERROR_DL_REPLAY,
        pynvml.NVML_FI_DEV_NVLINK_COUNT_RCV_ERRORS,
    ]
    has = f"[f.nvmlReturn == 0 for f in nvmlDeviceGetFieldValues(gpu({{}}), {asked})]"
    stage = Stage(tmp_path / "nvml", [a100(), h100(), b200()])
    with stage, Console(stage) as console:
        ampere, hopper, blackwell = (console.ask(has.format(index)) for index in range(3))

    assert ampere == [False, True, False]
    assert hopper == [True, True, False]
    assert blackwell == [True, False, True]


def test_a_call_fails_on_one_gpu_only(stage: Stage, console: Console) -> None:
    stage.gpus[1].fail(_UTILIZATION, pynvml.NVML_ERROR_NO_PERMISSION)

    assert console.ask(f"{_UTILIZATION}(gpu(0)).gpu") == 0
    with pytest.raises(pynvml.NVMLError_NoPermission):
        console.ask(f"{_UTILIZATION}(gpu(1))")
    stage.gpus[1].heal(_UTILIZATION)
    assert console.ask(f"{_UTILIZATION}(gpu(1)).gpu") == 0


@pytest.mark.parametrize(
    "result",
    [
        pynvml.NVML_ERROR_GPU_IS_LOST,
        pynvml.NVML_ERROR_RESET_REQUIRED,
        pynvml.NVML_ERROR_UNKNOWN,
    ],
)
def test_a_lost_gpu_answers_nothing_and_is_still_counted(
    stage: Stage, console: Console, result: int
) -> None:
    console.ask("(kept := gpu(0)) and 0")
    stage.gpus[0].lose(result)

    for call in ("nvmlDeviceGetTemperature(kept, 0)", "nvmlDeviceGetName(kept)", "gpu(0)"):
        with pytest.raises(pynvml.NVMLError, check=lambda error: error.value == result):
            console.ask(call)
    assert console.ask("nvmlDeviceGetCount()") == 2
    assert console.ask("nvmlDeviceGetTemperature(gpu(1), 0)") == 34
    stage.gpus[0].recover()
    assert console.ask("nvmlDeviceGetTemperature(kept, 0)") == 34


def test_a_gpu_off_the_bus_moves_the_indexes_of_the_others(stage: Stage, console: Console) -> None:
    second = console.ask("(kept := gpu(0)) and nvmlDeviceGetUUID(gpu(1))")
    stage.gpus[0].fall_off_the_bus()

    assert console.ask("nvmlDeviceGetCount()") == 1
    assert console.ask("nvmlDeviceGetUUID(gpu(0))") == second
    with pytest.raises(pynvml.NVMLError_GpuIsLost):
        console.ask("nvmlDeviceGetUUID(kept)")
    with pytest.raises(pynvml.NVMLError_InvalidArgument):
        console.ask("gpu(1)")


def test_without_a_driver_nothing_starts_and_what_runs_hears_it(
    stage: Stage, console: Console
) -> None:
    stage.unload_driver()

    with pytest.raises(pynvml.NVMLError_DriverNotLoaded):
        console.ask("nvmlDeviceGetCount()")
    with Console(stage, init=False) as late, pytest.raises(pynvml.NVMLError_DriverNotLoaded):
        late.ask("nvmlInit()")
    stage.load_driver()
    assert console.ask("nvmlDeviceGetCount()") == 2


def test_without_a_state_file_there_is_no_driver(stage: Stage) -> None:
    stage.path.unlink()

    with Console(stage, init=False) as console, pytest.raises(pynvml.NVMLError_DriverNotLoaded):
        console.ask("nvmlInit()")


def test_a_new_driver_mismatches_those_who_run_and_fits_the_next(
    stage: Stage, console: Console
) -> None:
    stage.upgrade_driver("580.1")

    with pytest.raises(pynvml.NVMLError_LibRmVersionMismatch):
        console.ask("nvmlDeviceGetCount()")
    with pytest.raises(pynvml.NVMLError_LibRmVersionMismatch):
        console.ask("nvmlInit()")
    with Console(stage) as restarted:
        assert restarted.ask("nvmlSystemGetDriverVersion()") == "580.1"


def test_new_packages_mismatch_the_next_and_fit_those_who_run(
    stage: Stage, console: Console
) -> None:
    stage.upgrade_packages("580.1")

    assert console.ask("nvmlDeviceGetCount()") == 2
    with (
        Console(stage, init=False) as late,
        pytest.raises(pynvml.NVMLError_LibRmVersionMismatch),
    ):
        late.ask("nvmlInit()")


def test_after_shutdown_nothing_answers(console: Console) -> None:
    console.ask("nvmlShutdown()")

    with pytest.raises(pynvml.NVMLError_Uninitialized):
        console.ask("nvmlDeviceGetCount()")


def test_an_older_driver_lacks_functions(stage: Stage) -> None:
    older = build(without=["nvmlDeviceGetMemoryInfo_v2", "nvmlGpmMetricsGet"])

    with Console(stage, older) as console:
        with pytest.raises(pynvml.NVMLError_FunctionNotFound):
            console.ask("nvmlDeviceGetMemoryInfo(gpu(), nvmlMemory_v2)")
        assert console.ask("nvmlDeviceGetMemoryInfo(gpu()).total") == 80 * 2**30


def test_a_call_that_hangs_returns_when_healed(stage: Stage, console: Console) -> None:
    gpu = stage.gpus[0]
    gpu.hang(_UTILIZATION)
    console.begin(f"{_UTILIZATION}(gpu(0)).gpu")
    wait_until(lambda: gpu.count(_UTILIZATION), _SECONDS, "the call is made", poll_seconds=0.01)

    assert not console.has_answer(0.1)
    gpu.heal(_UTILIZATION)
    assert console.answer() == 0


def test_a_signal_ends_a_process_that_hangs(stage: Stage, console: Console) -> None:
    gpu = stage.gpus[0]
    gpu.hang(_UTILIZATION)
    console.begin(f"{_UTILIZATION}(gpu(0))")
    wait_until(lambda: gpu.count(_UTILIZATION), _SECONDS, "the call is made", poll_seconds=0.01)

    console.process.terminate()

    assert console.process.wait(_SECONDS) == -signal.SIGTERM


def test_the_driver_may_hang_before_anything_is_known(stage: Stage) -> None:
    stage.hang("nvmlInitWithFlags")

    with Console(stage, init=False) as console:
        console.begin("nvmlInit()")
        wait_until(lambda: stage.count("nvmlInitWithFlags"), _SECONDS, "it starts")
        assert not console.has_answer(0.1)


def test_leaving_the_stage_lets_go_of_what_hangs(tmp_path: Path) -> None:
    stage = Stage(tmp_path / "nvml", [h100()])
    with Console(stage) as console:
        with stage:
            stage.gpus[0].hang(_UTILIZATION)
            console.begin(f"{_UTILIZATION}(gpu(0)).gpu")
            assert not console.has_answer(0.1)

        assert console.answer() == 0


def _state(pid: int) -> str:
    return Path(f"/proc/{pid}/status").read_text().split("State:\t")[1][0]


@pytest.fixture
def stuck() -> Iterator[StuckFileSystem]:
    """What never answers, where the machine lets one make it."""
    with ExitStack() as stack:
        try:
            made = stack.enter_context(StuckFileSystem())
        except OSError as error:
            pytest.skip(f"no file system of one's own here: {error}")
        yield made


def test_not_even_a_kill_ends_an_uninterruptible_hang(
    stage: Stage, console: Console, stuck: StuckFileSystem
) -> None:
    """Until the file system lets go: then the kill that waited does its work."""
    pid = console.process.pid
    stage.stuck_on(stuck.path)
    stage.gpus[0].hang(_UTILIZATION, uninterruptible=True)
    console.begin(f"{_UTILIZATION}(gpu(0))")
    assert stuck.caught(_SECONDS)
    console.process.kill()
    wait_until(lambda: _state(pid) == "D", _SECONDS, "the sleep is uninterruptible")

    assert console.process.poll() is None
    stuck.release()
    assert console.process.wait(_SECONDS) == -signal.SIGKILL


def test_a_delay_waits_and_a_burden_works(stage: Stage, console: Console) -> None:
    stage.gpus[0].delay("nvmlDeviceGetName", 0.03)
    stage.gpus[0].burden("nvmlDeviceGetSerial", 0.03)
    spent = "(t := time.{0}(), nvmlDeviceGet{1}(gpu(0))) and time.{0}() - t"

    assert console.ask(spent.format("monotonic", "Name")) >= 0.03
    assert console.ask(spent.format("process_time", "Serial")) >= 0.03


def test_a_field_may_cost_more_than_another(stage: Stage, console: Console) -> None:
    charge(stage)
    energy = pynvml.NVML_FI_DEV_TOTAL_ENERGY_CONSUMPTION
    asked = f"nvmlDeviceGetFieldValues(gpu(), [{energy}])"

    assert console.ask(f"(t := time.process_time(), {asked}) and time.process_time() - t") > 2e-3


def test_pcie_throughput_blocks_twenty_milliseconds(console: Console) -> None:
    asked = "(t := time.monotonic(), nvmlDeviceGetPcieThroughput(gpu(), 0)) and time.monotonic()-t"

    assert console.ask(asked) >= 0.02


def test_calls_are_counted_per_gpu_and_in_all(stage: Stage, console: Console) -> None:
    console.ask("[nvmlDeviceGetName(gpu(index)) for index in (0, 1, 1)] and 0")

    assert [gpu.count("nvmlDeviceGetName") for gpu in stage.gpus] == [1, 2]
    assert [gpu.count("nvmlDeviceGetHandleByIndex_v2") for gpu in stage.gpus] == [1, 2]
    assert stage.count("nvmlDeviceGetName") == stage.count("nvmlDeviceGetHandleByIndex_v2") == 3


def test_a_mig_device_has_memory_and_processes_and_no_utilisation(tmp_path: Path) -> None:
    stage = Stage(tmp_path / "nvml", [mig()])
    stage.gpus[0].values.instances[1].memory_used = 2**30
    stage.gpus[0].run(4711, 2**30, instance=1)
    with stage, Console(stage) as console:
        console.ask("(part := nvmlDeviceGetMigDeviceHandleByIndex(gpu(), 1)) and 0")
        assert console.ask("nvmlDeviceGetMigMode(gpu())") == [1, 1]
        assert console.ask("nvmlDeviceGetMaxMigDeviceCount(gpu())") == 7
        assert console.ask("nvmlDeviceGetName(part)") == "NVIDIA H100 80GB HBM3 MIG 2g.20gb"
        uuid = console.ask("nvmlDeviceGetUUID(part)")
        assert uuid.startswith("MIG-")
        assert console.ask(f"nvmlDeviceGetIndex(nvmlDeviceGetHandleByUUID({uuid!r}))") == 1
        assert console.ask("nvmlDeviceGetMemoryInfo(part).used") == 2**30
        assert console.ask("[p.pid for p in nvmlDeviceGetComputeRunningProcesses(part)]") == [4711]
        assert console.ask("nvmlDeviceGetGpuInstanceId(part)") == 2
        assert console.ask("nvmlDeviceGetComputeInstanceId(part)") == 0
        assert console.ask("nvmlDeviceGetAttributes(part).multiprocessorCount") == 32
        parent = "nvmlDeviceGetDeviceHandleFromMigDeviceHandle(part)"
        assert console.ask(f"nvmlDeviceGetIndex({parent})") == 0
        for refused in (f"{_UTILIZATION}(gpu())", f"{_UTILIZATION}(part)"):
            with pytest.raises(pynvml.NVMLError_NotSupported):
                console.ask(refused)
        with pytest.raises(pynvml.NVMLError_NotFound):
            console.ask("nvmlDeviceGetMigDeviceHandleByIndex(gpu(), 3)")


def _listen(console: Console) -> None:
    console.ask("(heard := nvmlEventSetCreate()) and 0")
    console.ask(
        "[nvmlDeviceRegisterEvents(gpu(i), nvmlEventTypeXidCriticalError, heard) for i in (0, 1)]"
    )


_NEXT = "(e := nvmlEventSetWait_v2(heard, {})) and [nvmlDeviceGetIndex(e.device), e.eventData]"


def test_an_xid_reaches_those_who_listened_before_it(stage: Stage, console: Console) -> None:
    stage.gpus[1].xid(13)
    _listen(console)
    stage.gpus[1].xid(79)
    stage.gpus[0].event(pynvml.nvmlEventTypeDoubleBitEccError)
    stage.gpus[0].xid(48)

    assert [console.ask(_NEXT.format(0)) for _ in range(2)] == [[1, 79], [0, 48]]
    with pytest.raises(pynvml.NVMLError_Timeout):
        console.ask(_NEXT.format(0))


def test_who_waits_for_an_event_is_woken(stage: Stage, console: Console) -> None:
    _listen(console)
    console.begin(_NEXT.format(10_000))
    wait_until(lambda: stage.count("nvmlEventSetWait_v2"), _SECONDS, "it waits", poll_seconds=0.01)
    stage.gpus[0].xid(31)

    assert console.answer() == [0, 31]


def test_who_waits_hears_of_a_lost_gpu(stage: Stage, console: Console) -> None:
    _listen(console)
    stage.gpus[1].lose()

    with pytest.raises(pynvml.NVMLError_GpuIsLost):
        console.ask(_NEXT.format(10_000))


def test_the_library_has_the_calls_that_it_says_and_no_other() -> None:
    listing = subprocess.run(
        ["nm", "-D", "--defined-only", build() / NAME], capture_output=True, text=True, check=True
    )
    found = set(re.findall(r" T (nvml\w+)", listing.stdout))

    assert found == {*CALLS, "nvmlErrorString"}


def test_whatever_pynvml_binds_is_there_or_is_not_found(console: Console) -> None:
    bound = set(
        re.findall(r'_nvmlGetFunctionPointer\("(\w+)"\)', Path(pynvml.__file__).read_text())
    )

    there = console.ask(
        "[" + ", ".join(f"hasattr(pynvml.nvmlLib, {name!r})" for name in sorted(bound)) + "]"
    )

    assert {name for name, has in zip(sorted(bound), there, strict=True) if has} == (
        bound & {*CALLS, "nvmlErrorString"}
    )
    with pytest.raises(pynvml.NVMLError_FunctionNotFound):
        console.ask("nvmlUnitGetCount()")


def test_the_compiler_holds_the_header_to_the_layout(tmp_path: Path) -> None:
    """One offset in the header said wrongly does not compile."""
    text = header()
    wrong = text.replace("offsetof(struct gpu, uuid) == 104", "offsetof(struct gpu, uuid) == 108")
    results = []
    for name, content in (("right.h", text), ("wrong.h", wrong)):
        (tmp_path / name).write_text(content)
        check = ["gcc", "-fsyntax-only", "-x", "c", tmp_path / name]
        results.append(subprocess.run(check, capture_output=True, check=False).returncode == 0)

    assert wrong != text
    assert results == [True, False]


def test_a_library_is_built_once(tmp_path: Path) -> None:
    first = build(tmp_path)
    age = (first / NAME).stat().st_mtime_ns

    assert build(tmp_path) == first
    assert (first / NAME).stat().st_mtime_ns == age
    assert build(tmp_path, without=["nvmlDeviceGetSerial"]) != first
    assert not hasattr(
        ctypes.CDLL(os.fspath(build(tmp_path, without=["nvmlDeviceGetSerial"]) / NAME)),
        "nvmlDeviceGetSerial",
    )
