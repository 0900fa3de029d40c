"""GPUs through the unmodified pynvml on the stand-in: what is exposed of each model, and how."""

import os
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pynvml
import pytest

from agent.gpu_node import GpuNode, MakeNode
from railwatch.catalogue.gpu import (
    GPU_ACTIVITY_INFO,
    GPU_JOB_MEMORY,
    GPU_LAST_XID,
    GPU_MIG_INFO,
    GPU_NVLINK_ERRORS,
    GPU_NVLINK_RECEIVE,
    GPU_XID_ERRORS,
    XidClass,
)
from railwatch.catalogue.metric import Sample, Scope
from railwatch.reference import counts_by_scope
from support.nvml import Activity, Levels, Profile, Slice, a100, b200, h100, mig

_GOLDEN = Path(__file__).with_name("golden")
_PROFILES: dict[str, Callable[[], Profile]] = {"a100": a100, "h100": h100, "b200": b200, "mig": mig}
_GIB = 2**30
# What the instruments average over lies behind.
_PAST_NS = 20 * 10**9
_BUSY = Levels(busy=1, memory_busy=0.5, sm=0.75, tensor=0.25, watts=300)


def _furnished(make: MakeNode, profile: Profile) -> GpuNode:
    """A node whose one GPU has done the same for long, and has some errors behind it."""
    node = make(profile)
    gpu = node.gpus[0]
    gpu.values.memory_used = 42 * _GIB
    gpu.values.throttle_reasons = 0x04 | 0x40
    gpu.values.ecc_errors[0][0][2] = 3
    gpu.values.remapped_correctable = 1
    gpu.values.link_errors[0][0] = 5
    gpu.perform(_BUSY, at=time.monotonic_ns() - _PAST_NS)
    node.wait_for_reports(1)
    return node


def _signals(node: GpuNode) -> list[str]:
    return [labels[1] for labels in node.values(GPU_ACTIVITY_INFO)]


@pytest.mark.parametrize("name", _PROFILES)
def test_the_exposition_of_a_profile_is_the_golden_one(gpu_node: MakeNode, name: str) -> None:
    """`make golden` rewrites it; the difference is to be read."""
    text = _furnished(gpu_node, _PROFILES[name]()).exposition()
    checked = subprocess.run(
        ["promtool", "check", "metrics"],
        input=text, capture_output=True, text=True, check=False, timeout=30,
    )  # fmt: skip

    path = _GOLDEN / f"gpu_{name}.prom"
    if "RAILWATCH_GOLDEN" in os.environ:
        path.write_text(text)
    assert text == path.read_text()
    assert (checked.returncode, checked.stdout + checked.stderr) == (0, "")


def test_a_gpu_has_few_series() -> None:
    """Eight of them share a thousand with eight rails, and each has a job."""
    by_scope = counts_by_scope()

    assert by_scope[Scope.GPU] + by_scope[Scope.GPU_JOB] <= 45


def test_the_signal_follows_the_steps_of_a_job(gpu_node: MakeNode) -> None:
    """Tensor cores rest while a collective waits; utilisation says that the GPU is busy."""
    node = gpu_node(h100())
    node.gpus[0].play((Activity.COMPUTE, 1.5), (Activity.STALLED, 0.0))
    node.wait_until(
        lambda: (node.tape.slice(0, 0.0).activity < 0.2).sum() > 3, "a stall on the tape"
    )
    held = node.tape.slice(0, 0.0)

    assert held.activity.max() == pytest.approx(0.9, abs=0.02)
    assert held.tensor_activity.max() == pytest.approx(0.45, abs=0.02)
    assert (held.activity[-1], held.tensor_activity[-1]) == (pytest.approx(0.1, abs=0.02), 0.0)
    assert (np.diff(held.times) > 0).all()


@pytest.mark.parametrize(
    ("refused", "signal", "level"),
    [
        ((), "gpm", 0.75),
        (("nvmlGpmQueryDeviceSupport",), "energy", 300.0),
        (
            ("nvmlGpmQueryDeviceSupport", "nvmlDeviceGetTotalEnergyConsumption"),
            "power_samples",
            300.0,
        ),
        (
            (
                "nvmlGpmQueryDeviceSupport",
                "nvmlDeviceGetTotalEnergyConsumption",
                "nvmlDeviceGetSamples",
            ),
            "utilization",
            1.0,
        ),
    ],
)
def test_the_best_signal_that_a_gpu_has_is_used(
    gpu_node: MakeNode, refused: tuple[str, ...], signal: str, level: float
) -> None:
    node = gpu_node(h100())
    for call in refused:
        node.gpus[0].fail(call, pynvml.NVML_ERROR_NOT_SUPPORTED)
    node.gpus[0].perform(_BUSY, at=time.monotonic_ns() - _PAST_NS)
    node.wait_until(lambda: _signals(node) == [signal], f"{signal} to be used")
    node.wait_until(lambda: np.isfinite(node.tape.slice(0, 0.0).activity).sum() > 5, "samples")
    activity = node.tape.slice(0, 0.0).activity

    assert np.median(activity[np.isfinite(activity)]) == pytest.approx(level, rel=0.05)


def test_a_signal_that_fails_for_a_while_leaves_a_gap(gpu_node: MakeNode) -> None:
    node = gpu_node(h100())
    node.wait_until(lambda: len(node.tape.slice(0, 0.0)) > 3, "samples")
    node.gpus[0].fail("nvmlGpmSampleGet", pynvml.NVML_ERROR_UNKNOWN)
    node.wait_until(lambda: np.isnan(node.tape.slice(0, 0.0).activity).any(), "a gap")
    node.gpus[0].heal("nvmlGpmSampleGet")
    node.wait_until(lambda: np.isfinite(node.tape.slice(0, 0.0).activity[-1]), "samples again")

    assert np.isnan(node.tape.slice(0, 0.0).activity).sum() == 1


def test_gpm_that_is_refused_later_gives_way_to_another_signal(gpu_node: MakeNode) -> None:
    """As when a GPU is divided while the agent runs."""
    node = gpu_node(h100())
    node.wait_until(lambda: _signals(node) == ["gpm"], "GPM to be used")
    node.gpus[0].fail("nvmlGpmSampleGet", pynvml.NVML_ERROR_NOT_SUPPORTED)

    node.wait_until(lambda: _signals(node) == ["energy"], "energy to be used")


def test_xid_errors_are_counted_by_class_from_zero_on(gpu_node: MakeNode) -> None:
    node = gpu_node(h100(), h100())
    none = {("1", str(kind)): 0 for kind in XidClass}
    node.wait_until(lambda: len(node.values(GPU_XID_ERRORS)) == 12, "both GPUs")
    node.gpus[1].xid(79)
    node.gpus[1].xid(48)
    node.gpus[1].xid(79)
    node.gpus[1].event(pynvml.nvmlEventTypeSingleBitEccError)
    node.wait_for(GPU_LAST_XID, {("1",): 79})
    found = {k: v for k, v in node.values(GPU_XID_ERRORS).items() if k[0] == "1"}

    assert found == {**none, ("1", "bus"): 2, ("1", "memory"): 1}
    assert sum(v for k, v in node.values(GPU_XID_ERRORS).items() if k[0] == "0") == 0


def test_mig_devices_come_and_go(gpu_node: MakeNode) -> None:
    node = gpu_node(h100())
    node.wait_for_reports(1)
    before = node.values(GPU_MIG_INFO)
    node.gpus[0].partition(Slice("1g.10gb", 1, 16, 10 * _GIB), Slice("2g.20gb", 2, 32, 20 * _GIB))
    node.wait_until(lambda: len(node.values(GPU_MIG_INFO)) == 2, "two MIG devices")
    profiles = [labels[3] for labels in node.values(GPU_MIG_INFO)]
    node.gpus[0].partition()
    node.wait_for(GPU_MIG_INFO, {})

    assert before == {}
    assert profiles == ["1g.10gb", "2g.20gb"]


def test_memory_is_added_up_by_job(gpu_node: MakeNode) -> None:
    node = gpu_node(h100(), jobs={11: "7", 12: "7", 13: "8"})
    for pid, memory in ((11, 1), (12, 2), (13, 4), (14, 8)):
        node.gpus[0].run(pid, memory * _GIB)

    node.wait_for(GPU_JOB_MEMORY, {("0", "7"): 3 * _GIB, ("0", "8"): 4 * _GIB})


def test_links_are_added_up_where_the_driver_does_not(gpu_node: MakeNode) -> None:
    node = gpu_node(b200())
    node.gpus[0].perform(Activity.COMMUNICATION, at=time.monotonic_ns() - _PAST_NS)
    node.gpus[0].fail_field(pynvml.NVML_FI_DEV_NVLINK_CRC_FLIT_ERROR_COUNT_TOTAL, 3)
    node.gpus[0].set_field(pynvml.NVML_FI_DEV_NVLINK_COUNT_SYMBOL_ERRORS, 2)
    node.wait_for_reports(1)

    assert node.values(GPU_NVLINK_ERRORS)["0", "symbol_error"] == 2 * 18
    assert node.values(GPU_NVLINK_RECEIVE)["0",] > 500e9


def test_what_waits_for_20_ms_is_never_asked(gpu_node: MakeNode) -> None:
    node = gpu_node(h100())
    node.wait_for_reports(1)

    assert node.gpus[0].count("nvmlDeviceGetPcieThroughput") == 0
    assert node.gpus[0].count("nvmlDeviceGetFieldValues") > 0


def test_a_node_that_never_had_a_driver_has_no_series_and_no_child(gpu_node: MakeNode) -> None:
    node = gpu_node(h100())
    node.machine.is_driven = False
    readings = node.readings()

    assert (readings, node.children) == ([], [])
    assert not [s for s in readings if isinstance(s, Sample)]
