"""What is known of GPUs and of their processes without asking the driver."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from railwatch.catalogue.gpu import XidClass
from railwatch.catalogue.xid import xid_class
from railwatch_agent.sources.cgroup import parse_job
from railwatch_agent.sources.nvidia import NvidiaMachine


def _function(sysfs: Path, address: str, kind: str, *, vendor: str = "0x10de", driver: str) -> None:
    folder = sysfs / "bus" / "pci" / "devices" / address
    folder.mkdir(parents=True)
    (folder / "vendor").write_text(f"{vendor}\n")
    (folder / "class").write_text(f"{kind}\n")
    if driver:
        (folder / "driver").symlink_to(f"../../../bus/pci/drivers/{driver}")


def test_pci_lists_the_gpus_that_are_the_drivers_in_order(tmp_path: Path) -> None:
    """Not its audio function, an NVSwitch, a GPU of a virtual machine, or another vendor's."""
    _function(tmp_path, "0000:9d:00.0", "0x030200", driver="nvidia")
    _function(tmp_path, "0000:1b:00.0", "0x030000", driver="nvidia")
    _function(tmp_path, "0000:1b:00.1", "0x040300", driver="snd_hda_intel")
    _function(tmp_path, "0000:05:00.0", "0x068000", driver="nvidia-nvswitch")
    _function(tmp_path, "0000:43:00.0", "0x030200", driver="vfio-pci")
    _function(tmp_path, "0000:52:00.0", "0x030200", driver="")
    _function(tmp_path, "0000:03:00.0", "0x030000", vendor="0x1a03", driver="ast")

    found = NvidiaMachine(tmp_path, tmp_path).gpus()
    assert found == ["0000:1b:00.0", "0000:52:00.0", "0000:9d:00.0"]


def test_a_machine_without_pci_has_no_gpus(tmp_path: Path) -> None:
    assert NvidiaMachine(tmp_path / "none", tmp_path).gpus() == []


def test_a_driver_is_there_once_its_module_is_loaded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("LD_LIBRARY_PATH", raising=False)
    machine = NvidiaMachine(tmp_path, tmp_path / "proc")
    before = machine.has_driver()
    (tmp_path / "proc" / "driver" / "nvidia").mkdir(parents=True)

    assert (before, machine.has_driver()) == (False, True)


def test_a_driver_is_there_if_a_library_is_given(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LD_LIBRARY_PATH", f":{tmp_path}")
    machine = NvidiaMachine(tmp_path, tmp_path)
    before = machine.has_driver()
    (tmp_path / "libnvidia-ml.so.1").touch()

    assert (before, machine.has_driver()) == (False, True)


@pytest.mark.parametrize(
    ("text", "job"),
    [
        ("0::/system.slice/slurmstepd.scope/job_4711/step_0/user/task_0\n", "4711"),
        ("9:cpuset:/slurm/uid_1000/job_42/step_batch\n0::/\n", "42"),
        (
            "0::/kubepods.slice/kubepods-pod0b1c2d3e_4f50_6172_8394_a5b6c7d8e9f0.slice/12.scope\n",
            "0b1c2d3e-4f50-6172-8394-a5b6c7d8e9f0",
        ),
        (
            "0::/kubepods/besteffort/pod0b1c2d3e-4f50-6172-8394-a5b6c7d8e9f0/12\n",
            "0b1c2d3e-4f50-6172-8394-a5b6c7d8e9f0",
        ),
        ("0::/user.slice/user-1000.slice/session-3.scope\n", None),
        ("0::/user.slice/user-1000.slice/user@1000.service/slurmstepd.scope/job_42\n", None),
        ("0::/system.slice/n0_slurmstepd.scope/job_42\n", "42"),
        ("0::/job_42/\n", None),
        ("0::/job_x/\n", None),
        ("", None),
    ],
)
def test_a_control_group_names_the_job(text: str, job: str | None) -> None:
    assert parse_job(text) == job


@given(text=st.text(max_size=200))
def test_any_control_group_names_a_job_or_none(text: str) -> None:
    job = parse_job(text)

    assert job is None or job in text.replace("_", "-")


@pytest.mark.parametrize(
    ("number", "kind"),
    [
        (48, XidClass.MEMORY),
        (74, XidClass.NVLINK),
        (149, XidClass.NVLINK),
        (79, XidClass.BUS),
        (119, XidClass.FIRMWARE),
        (31, XidClass.APPLICATION),
        (154, XidClass.OTHER),
        (9999, XidClass.OTHER),
    ],
)
def test_an_xid_has_a_class(number: int, kind: XidClass) -> None:
    assert xid_class(number) is kind
