"""Drivers that hang, lose GPUs and lack functions: what each costs, and that the rest goes on.

All of it with the real child and the unmodified pynvml, on the stand-in.
"""

import logging
import os
import signal
import threading

import pynvml
import pytest

from agent.gpu_node import GpuNode, Machine, MakeNode
from railwatch.catalogue.gpu import (
    GPU_ACTIVITY_INFO,
    GPU_ECC_ERRORS,
    GPU_ENERGY,
    GPU_INFO,
    GPU_LOST,
    GPU_MEMORY_TOTAL,
    GPU_PCIE_REPLAYS,
    GPU_POWER,
    GPU_PRESENT,
    GPU_REMAP_FAILED,
    GPU_REMAPPED_ROWS,
    GPU_SM_ACTIVE,
    GPU_TEMPERATURE,
    GPU_THROTTLED,
    GPU_UTILIZATION,
    GPU_XID_ERRORS,
)
from railwatch.catalogue.node import (
    AGENT_NVML_ABANDONED,
    AGENT_NVML_RESTARTS,
    AGENT_NVML_STUCK_GPUS,
)
from support.nvml import a100, build, h100
from support.nvml.stuck import StuckFileSystem

# PCI addresses of the stand-in's first GPUs.
_ADDRESSES = ("0000:1b:00.0", "0000:43:00.0", "0000:52:00.0")


def _first(node: GpuNode, gpus: int) -> None:
    node.wait_until(lambda: len(node.values(GPU_TEMPERATURE)) == gpus, "all GPUs' temperatures")


@pytest.mark.parametrize(
    "call",
    [
        "nvmlGpmSampleGet",
        "nvmlDeviceGetUtilizationRates",
        "nvmlDeviceGetComputeRunningProcesses_v3",
    ],
)
def test_a_gpu_that_stops_answering_costs_its_series_and_no_other(
    gpu_node: MakeNode, call: str
) -> None:
    """Whether the fast sample or the slow round meets it."""
    node = gpu_node(h100(), h100(), h100())
    _first(node, 3)
    node.gpus[1].hang(call)
    node.wait_for(AGENT_NVML_STUCK_GPUS, {(): 1})
    node.wait_until(lambda: node.keeper.view.gpus[2].report, "the others again")
    node.gpus[2].values.temperature = 77
    node.wait_for(GPU_TEMPERATURE, {("0",): 34, ("2",): 77})

    assert node.values(GPU_PRESENT) == {("0",): 1, ("1",): 1, ("2",): 1}
    assert node.values(GPU_LOST) == {("0",): 0, ("2",): 0}
    assert node.failures() == {"GPU 1": "a call about GPU 1 does not return"}
    assert node.values(AGENT_NVML_RESTARTS) == {(): 1}
    assert len(node.children) == 2


def test_gpus_that_hang_one_after_the_other_are_all_left_out(gpu_node: MakeNode) -> None:
    node = gpu_node(h100(), h100())
    _first(node, 2)
    node.gpus[0].hang("nvmlGpmSampleGet")
    node.gpus[1].hang("nvmlGpmSampleGet")
    node.wait_for(AGENT_NVML_STUCK_GPUS, {(): 2})
    node.wait_for(GPU_PRESENT, {("0",): 1, ("1",): 1})
    node.wait_until(node.children[-1].has_ended, "a child with nothing to ask to end")

    assert node.values(GPU_TEMPERATURE) == {}
    assert len(node.children) == 3


def test_a_driver_that_hangs_as_a_whole_is_tried_again(gpu_node: MakeNode) -> None:
    node = gpu_node(h100())
    _first(node, 1)
    node.stage.hang("nvmlEventSetWait_v2")
    node.wait_until(node.failures, "a failure")
    failures = node.failures()
    node.stage.heal("nvmlEventSetWait_v2")
    node.wait_until(lambda: not node.failures(), "the driver again")

    assert failures == {"NVML": "a call about the driver does not return"}
    assert node.values(AGENT_NVML_STUCK_GPUS) == {(): 0}


def test_a_process_that_not_even_a_kill_ends_is_left_behind(gpu_node: MakeNode) -> None:
    with StuckFileSystem() as stuck:
        node = gpu_node(h100(), h100())
        _first(node, 2)
        node.stage.stuck_on(stuck.path)
        node.gpus[0].hang("nvmlDeviceGetUtilizationRates", uninterruptible=True)
        node.wait_for(AGENT_NVML_ABANDONED, {(): 1})
        node.wait_until(lambda: node.values(GPU_TEMPERATURE) == {("1",): 34}, "the other GPU")

        assert not node.children[0].has_ended()
        assert node.values(AGENT_NVML_RESTARTS) == {(): 1}
    node.wait_until(node.children[0].has_ended, "its end once the driver lets go")


def test_a_lost_gpu_is_said_to_be_lost_and_the_others_go_on(gpu_node: MakeNode) -> None:
    node = gpu_node(h100(), h100(), machine=Machine(_ADDRESSES[:2]))
    _first(node, 2)
    node.gpus[0].lose()
    node.gpus[1].values.temperature = 55
    node.wait_for(GPU_TEMPERATURE, {("1",): 55})

    node.wait_for(GPU_LOST, {("0",): 1, ("1",): 0})
    assert node.values(GPU_PRESENT) == {("0",): 1, ("1",): 1}
    assert len(node.children) == 1


def test_a_gpu_that_is_lost_from_the_start_is_known_by_its_address(gpu_node: MakeNode) -> None:
    node = gpu_node(h100(), h100(), machine=Machine(_ADDRESSES[:2]))
    node.gpus[0].lose()

    node.wait_for(GPU_LOST, {("0",): 1, ("1",): 0})


def test_a_gpu_that_pci_lists_and_the_driver_does_not_is_not_present(gpu_node: MakeNode) -> None:
    """The driver's indexes move up; numbers do not."""
    node = gpu_node(h100(), h100(), h100(), machine=Machine(_ADDRESSES))
    node.gpus[1].fall_off_the_bus()
    node.gpus[2].values.temperature = 62

    node.wait_for(GPU_TEMPERATURE, {("0",): 34, ("2",): 62})
    assert node.values(GPU_PRESENT) == {("0",): 1, ("1",): 0, ("2",): 1}
    assert node.values(GPU_LOST) == {("0",): 0, ("2",): 0}


def test_gpus_that_pci_does_not_list_are_found_by_the_driver(gpu_node: MakeNode) -> None:
    """As in a container."""
    node = gpu_node(h100(), h100(), machine=Machine(_ADDRESSES[1:2]))
    _first(node, 2)

    addresses = {labels[0]: labels[3] for labels in node.values(GPU_INFO)}
    assert addresses == {"0": _ADDRESSES[1], "1": _ADDRESSES[0]}


def test_what_a_gpu_does_not_have_is_asked_once(gpu_node: MakeNode) -> None:
    node = gpu_node(h100(), h100())
    gpu = node.gpus[0]
    gpu.fail("nvmlDeviceGetUtilizationRates", pynvml.NVML_ERROR_NOT_SUPPORTED)
    gpu.fail_field(pynvml.NVML_FI_DEV_ECC_SBE_VOL_TOTAL, pynvml.NVML_ERROR_NOT_SUPPORTED)
    gpu.fail("nvmlDeviceGetTotalEccErrors", pynvml.NVML_ERROR_NOT_SUPPORTED)
    node.wait_for_reports(2)

    assert list(node.values(GPU_UTILIZATION)) == [("1",)]
    assert ("0", "corrected") not in node.values(GPU_ECC_ERRORS)
    assert ("0", "uncorrected") in node.values(GPU_ECC_ERRORS)
    counts = [
        gpu.count(c) for c in ("nvmlDeviceGetUtilizationRates", "nvmlDeviceGetTotalEccErrors")
    ]
    assert counts == [1, 1]
    assert node.failures() == {}


def test_what_fails_for_a_while_is_a_failure_and_is_asked_again(gpu_node: MakeNode) -> None:
    node = gpu_node(h100())
    node.gpus[0].fail("nvmlDeviceGetTemperature", pynvml.NVML_ERROR_UNKNOWN)
    node.gpus[0].fail_field(pynvml.NVML_FI_DEV_PCIE_REPLAY_COUNTER, pynvml.NVML_ERROR_TIMEOUT)
    node.wait_until(node.failures, "failures")
    failures, before = node.failures(), node.values(GPU_PCIE_REPLAYS)
    node.gpus[0].heal("nvmlDeviceGetTemperature")
    node.gpus[0].fail_field(pynvml.NVML_FI_DEV_PCIE_REPLAY_COUNTER, 0)
    _first(node, 1)

    assert failures.keys() == {"temperature of GPU 0", "pcie_replays of GPU 0"}
    assert (before, node.values(GPU_PCIE_REPLAYS)) == ({}, {("0",): 0})
    assert node.failures() == {}


def test_what_is_not_permitted_is_absent_for_one_reason(
    gpu_node: MakeNode, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    node = gpu_node(h100(), h100())
    for gpu in node.gpus:
        gpu.fail("nvmlGpmSampleGet", pynvml.NVML_ERROR_NO_PERMISSION)
        gpu.fail("nvmlDeviceGetTemperature", pynvml.NVML_ERROR_NO_PERMISSION)
    node.wait_for_reports(2)

    assert node.values(GPU_TEMPERATURE) == node.values(GPU_SM_ACTIVE) == {}
    assert [labels[1] for labels in node.values(GPU_ACTIVITY_INFO)] == ["energy", "energy"]
    assert node.failures() == {}
    said = [r.getMessage() for r in caplog.records if "may not" in r.getMessage()]
    assert said == ["gpu: this user may not read gpm, temperature"]


_NEWER = (
    "nvmlDeviceGetFieldValues",
    "nvmlDeviceGetCurrentClocksEventReasons",
    "nvmlDeviceGetMemoryInfo_v2",
    "nvmlDeviceGetComputeRunningProcesses_v3",
    "nvmlDeviceGetMigMode",
    "nvmlGpmQueryDeviceSupport",
    "nvmlGpmSampleAlloc",
)


def test_functions_that_an_older_driver_lacks_are_done_without(gpu_node: MakeNode) -> None:
    node = gpu_node(h100(), library=build(without=_NEWER))
    node.wait_for_reports(1)

    kept = (
        GPU_POWER, GPU_ENERGY, GPU_PCIE_REPLAYS, GPU_ECC_ERRORS, GPU_REMAPPED_ROWS,
        GPU_REMAP_FAILED, GPU_MEMORY_TOTAL, GPU_THROTTLED, GPU_XID_ERRORS,
    )  # fmt: skip
    assert [spec.name for spec in kept if not node.values(spec)] == []
    assert node.values(GPU_SM_ACTIVE) == {}
    assert node.failures() == {}


def test_a_driver_without_events_has_no_xid_errors_to_count(gpu_node: MakeNode) -> None:
    node = gpu_node(h100(), library=build(without=("nvmlEventSetCreate",)))
    node.wait_for_reports(1)

    assert node.values(GPU_XID_ERRORS) == {}


def test_another_driver_under_a_running_agent_is_found_by_a_new_process(
    gpu_node: MakeNode,
) -> None:
    node = gpu_node(a100())
    _first(node, 1)
    node.gpus[0].xid(13)
    node.wait_until(lambda: node.values(GPU_XID_ERRORS)["0", "application"] == 1, "the Xid")
    node.stage.upgrade_driver("580.65.06")
    node.wait_until(
        lambda: {labels[4] for labels in node.values(GPU_INFO)} == {"580.65.06"}, "the new driver"
    )

    assert node.values(AGENT_NVML_RESTARTS) == {(): 1}
    assert node.values(GPU_XID_ERRORS)["0", "application"] == 1


def test_a_library_that_does_not_fit_the_driver_is_a_failure_until_it_does(
    gpu_node: MakeNode,
) -> None:
    """The packages were upgraded, and the machine was not rebooted."""
    node = gpu_node(a100())
    node.stage.upgrade_packages("580.65.06")
    node.wait_until(node.failures, "a failure")
    failures = node.failures()
    node.stage.upgrade_driver("580.65.06")
    _first(node, 1)

    assert "mismatch" in failures["NVML"]
    assert node.failures() == {}


def test_a_child_that_dies_within_a_gpu_leaves_that_one_out(gpu_node: MakeNode) -> None:
    node = gpu_node(h100(), h100())
    _first(node, 2)
    node.gpus[0].hang("nvmlGpmSampleGet")
    node.wait_until(lambda: node.children[0].position()[1] == 0, "the child to be with GPU 0")
    os.kill(node.children[0].pid, signal.SIGSEGV)
    node.wait_for(AGENT_NVML_STUCK_GPUS, {(): 1})

    node.wait_for(GPU_TEMPERATURE, {("1",): 34})


def test_a_driver_that_is_unloaded_leaves_its_gpus_missing(gpu_node: MakeNode) -> None:
    node = gpu_node(h100(), machine=Machine(_ADDRESSES[:1]))
    _first(node, 1)
    node.machine.is_driven = False
    node.stage.unload_driver()

    node.wait_for(GPU_PRESENT, {("0",): 0})
    assert node.values(GPU_TEMPERATURE) == {}


def test_a_child_ends_with_the_thread_that_keeps_it(
    gpu_node: MakeNode,
) -> None:
    """Even within a call that does not return: the kernel sees to it."""
    node = gpu_node(h100())
    node.gpus[0].hang("nvmlGpmSampleGet")
    entered = threading.Event()

    def keep() -> None:
        node.wait_until(
            lambda: node.children and node.children[0].position()[1] == 0, "the child to hang"
        )
        entered.set()

    thread = threading.Thread(target=keep)
    thread.start()
    thread.join()

    assert entered.is_set()
    node.wait_until(node.children[0].has_ended, "the end of the child")
    assert node.children[0].died_of == "signal 9"
