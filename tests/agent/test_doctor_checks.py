"""The single checks of `doctor`, each on what it looks at."""

import errno
import os
from pathlib import Path

import pytest

from agent.trees import Tree
from railwatch.catalogue.metric import ReadFailure
from railwatch_agent.doctor.checks import Answer, Check, examine
from railwatch_agent.doctor.deadline import ask_all
from railwatch_agent.doctor.findings import Section, Status, message_of, of_failure, status_of
from railwatch_agent.doctor.gpu import driver, gpus, library
from railwatch_agent.doctor.node import file_system, kernel, state_directory
from railwatch_agent.doctor.permissions import (
    environment_of_others,
    kernel_log,
    module_eeprom,
)
from railwatch_agent.sources.access import Capability, parse_capabilities, what_opens
from railwatch_agent.sources.errors import SourceError
from railwatch_agent.sources.ethtool import classify
from railwatch_agent.sources.netlink import KernelError
from railwatch_agent.sources.timex import read_clock_state


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (OSError(errno.EACCES, "Permission denied", "/x"), Status.DENIED),
        (OSError(errno.ENOENT, "No such file or directory"), Status.MISSING),
        (TimeoutError("no answer within 5 s"), Status.FAILED),
        (classify(errno.EPERM, "FEC counters of interface 3"), Status.DENIED),
        (KernelError("socket dump", errno.ENOENT), Status.MISSING),
        (SourceError("cannot read /x: Input/output error"), Status.FAILED),
        (SourceError("cannot parse /x: nonsense"), Status.FAILED),
        (KeyError("a mistake of ours"), Status.FAILED),
    ],
)
def test_an_error_of_any_source_says_who_is_in_the_way(error: Exception, status: Status) -> None:
    assert status_of(message_of(error)) is status


def test_what_is_denied_names_the_capability_or_the_group(tmp_path: Path) -> None:
    file = tmp_path / "secret"
    file.write_text("")
    file.chmod(0o600)
    denied = ReadFailure(str(file), f"cannot read {file}: Permission denied")
    asked = ReadFailure("module of rail0", "cannot read module of rail0: EPERM")

    of_file = of_failure(Section.SOURCES, "x", denied, None)
    of_question = of_failure(Section.SOURCES, "x", asked, 0)
    assert (of_file.change, of_file.detail) == (
        "CAP_DAC_READ_SEARCH",
        f"cannot read {file}: Permission denied (EACCES)",
    )
    assert (of_question.change, of_question.detail) == ("CAP_NET_ADMIN", asked.reason)


def test_a_file_that_a_group_may_read_names_the_group(tmp_path: Path) -> None:
    file = tmp_path / "log"
    file.write_text("")
    file.chmod(0o640)
    os.chown(file, -1, 4)

    assert what_opens(file) == "group adm"
    assert what_opens(tmp_path / "none") == "CAP_DAC_READ_SEARCH"


def test_a_check_that_raises_found_just_that() -> None:
    def fail() -> Answer:
        raise PermissionError(errno.EACCES, "Permission denied")

    checks = [
        Check(Section.NODE, "bad", fail),
        Check(Section.NODE, "good", lambda: Answer(Status.OK)),
    ]
    assert [(f.what, f.status) for f in examine(checks, 20.0)] == [
        ("bad", Status.DENIED),
        ("good", Status.OK),
    ]


def test_answers_are_in_the_order_of_the_questions() -> None:
    assert ask_all([lambda number=number: number for number in range(20)], 20.0) == [*range(20)]


def test_an_old_kernel_is_told_what_it_does_not_tell() -> None:
    assert kernel("6.1.0-18-amd64") == Answer(Status.OK, "6.1.0-18-amd64")
    assert kernel("4.18.0").status is Status.ABSENT
    assert "out-of-order" in kernel("4.18.0").detail


def test_a_file_system_is_known_by_what_it_always_has(tmp_path: Path) -> None:
    tree = Tree(tmp_path)

    assert file_system(tree.sysfs, "class/net", "[paths] sysfs").status is Status.OK
    assert file_system(tmp_path, "class/net", "[paths] sysfs").status is Status.MISSING


def test_a_state_directory_is_good_if_it_can_be_made(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")

    assert state_directory(tmp_path / "new" / "state").status is Status.OK
    assert state_directory(tmp_path / "file" / "state").status is Status.DENIED
    assert not (tmp_path / "new").exists()


def test_the_kernel_says_whether_the_clock_is_synchronised() -> None:
    state = read_clock_state()

    assert isinstance(state.is_synchronised, bool)
    assert 0 <= state.maximum_error_seconds < 1e6


_ALL = frozenset(Capability)


@pytest.mark.parametrize(
    ("mask", "held"),
    [
        ("0000000000000000", frozenset()),
        ("0000000000001000", {Capability.CAP_NET_ADMIN}),
        ("000001ffffffffff", _ALL),
    ],
)
def test_capabilities_are_bits_of_a_mask(mask: str, held: frozenset[Capability]) -> None:
    assert parse_capabilities(f"Name:\tx\nCapPrm:\t0\nCapEff:\t{mask}\n") == held


def test_a_status_without_a_mask_is_refused() -> None:
    with pytest.raises(ValueError, match="CapEff"):
        parse_capabilities("Name:\tx\n")


def test_modules_need_one_capability() -> None:
    assert module_eeprom(_ALL).status is Status.OK
    assert module_eeprom(_ALL - {Capability.CAP_NET_ADMIN}) == Answer(
        Status.DENIED, "optical power and temperature of modules", "CAP_NET_ADMIN"
    )


def test_the_environment_of_others_takes_two_capabilities_or_one_that_can_be_read(
    tmp_path: Path,
) -> None:
    nobody = environment_of_others(tmp_path, frozenset())
    half = environment_of_others(tmp_path, {Capability.CAP_SYS_PTRACE})
    both = environment_of_others(tmp_path, _ALL)
    other = tmp_path / "42"
    other.mkdir()
    (other / "environ").write_text("")
    os.chown(other, 65534, -1)

    assert (nobody.status, half.status, both.status) == (Status.DENIED, Status.DENIED, Status.OK)
    assert nobody.change == "CAP_SYS_PTRACE and CAP_DAC_READ_SEARCH"
    assert environment_of_others(tmp_path, frozenset()).status is Status.OK


def test_the_kernel_log_is_tried(tmp_path: Path) -> None:
    log = tmp_path / "kmsg"
    missing = kernel_log(log)
    log.write_text("")

    assert (missing.status, kernel_log(log).status) == (Status.MISSING, Status.OK)


def test_without_a_gpu_nothing_of_a_gpu_is_missing(tmp_path: Path) -> None:
    tree = Tree(tmp_path)

    assert gpus(tree.sysfs).status is Status.ABSENT
    assert driver(tree.sysfs, tree.procfs).status is Status.ABSENT
    assert library(tree.sysfs, "libno-such.so.1").status is Status.ABSENT


def test_a_gpu_without_its_driver_misses_it(tmp_path: Path) -> None:
    tree = Tree(tmp_path)
    gpu = tree.sysfs / "bus" / "pci" / "devices" / "0000:0a:00.0"
    gpu.mkdir(parents=True)
    (gpu / "vendor").write_text("0x10de\n")
    (gpu / "class").write_text("0x030200\n")
    missing = driver(tree.sysfs, tree.procfs)
    (tree.procfs / "driver" / "nvidia").mkdir(parents=True)
    (tree.procfs / "driver" / "nvidia" / "version").write_text(
        "NVRM version: NVIDIA UNIX Open Kernel Module for x86_64  570.86.15  Release Build\n"
    )

    assert gpus(tree.sysfs) == Answer(Status.OK, "1 on the PCI bus")
    assert missing.status is Status.MISSING
    assert driver(tree.sysfs, tree.procfs) == Answer(Status.OK, "570.86.15")
    assert library(tree.sysfs, "libno-such.so.1").status is Status.MISSING
    assert library(tree.sysfs, "libc.so.6").status is Status.OK
