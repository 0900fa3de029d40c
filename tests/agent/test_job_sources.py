"""What names jobs, one source each: parsers on any text, files on a disk, names of users."""

import doctest
import os
import threading
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.fakes import FakeClock
from railwatch_agent.sources import cgroup, claim, map_file, process
from railwatch_agent.sources.claim import parse_gpus, plain_name
from railwatch_agent.sources.errors import SourceError
from railwatch_agent.sources.map_file import job_files, parse_gpu_file, parse_job_file
from railwatch_agent.sources.process import environment_of, parse_environment, parse_owner
from railwatch_agent.sources.small_file import read_small
from railwatch_agent.sources.users import UserNames


@pytest.mark.parametrize("module", [cgroup, claim, map_file, process])
def test_examples_of_the_parsers_hold(module: object) -> None:
    assert doctest.testmod(module).failed == 0  # type: ignore[arg-type] # a module


@given(text=st.text())
def test_any_text_is_a_job_or_a_value_error(text: str) -> None:
    for parse in (parse_job_file, lambda text: parse_gpu_file("0", text)):
        try:
            parse(text)
        except ValueError:
            continue
    assert all(0 <= gpu < 256 for gpu in parse_gpus(text))


@given(data=st.binary())
def test_any_environment_is_a_job_or_none(data: bytes) -> None:
    for variables in (data, b"SLURM_JOB_ID=" + data, b"LSB_JOBID=1\0CUDA_VISIBLE_DEVICES=" + data):
        told = parse_environment(variables)

        assert told is None or (told.is_word and plain_name(told.job_id))


def test_the_numbers_of_the_node_come_before_those_of_cuda() -> None:
    told = parse_environment(b"SLURM_JOB_ID=1\0CUDA_VISIBLE_DEVICES=0,1\0SLURM_STEP_GPUS=4,5\0")

    assert told is not None
    assert told.gpus == {4, 5}


def test_a_process_that_has_ended_tells_nothing(tmp_path: Path) -> None:
    assert environment_of(tmp_path, 1) is None
    assert parse_owner("Name:\tx\n") is None


def test_a_file_of_another_boot_names_no_job() -> None:
    text = "job_id=42\nboot_id=a\n"

    assert parse_job_file(text, "b") is None
    assert parse_job_file(text, "a") is not None
    assert parse_job_file("job_id=42\n", "a") is not None


def test_the_boot_is_read_once_from_the_kernel(tmp_path: Path) -> None:
    boot = tmp_path / "sys" / "kernel" / "random" / "boot_id"
    boot.parent.mkdir(parents=True)
    boot.write_text("now\n")
    maps = tmp_path / "maps"
    maps.mkdir()
    for name in ("now", "then"):
        (maps / name).write_text(f"job_id={name}\nboot_id={name}\n")
    found = [c for c in job_files(maps, tmp_path).read() if not isinstance(c, SourceError)]

    assert [c.job_id for c in found] == ["now"]


def test_a_name_that_takes_long_is_a_number_and_holds_nobody_up() -> None:
    """A directory in the network that does not answer costs half a second once, not the agent."""
    answer = threading.Event()

    def look_up(uid: int) -> str:
        answer.wait()
        return f"user{uid}"

    names = UserNames(FakeClock(), look_up)
    waiting = [names(1), names(1)]
    answer.set()
    for thread in threading.enumerate():
        if thread.name == "user":
            thread.join()

    assert (waiting, names(1)) == (["1", "1"], "user1")


def test_a_name_that_nobody_knows_is_asked_for_again_later() -> None:
    known: dict[int, str] = {}
    clock = FakeClock()
    names = UserNames(clock, known.__getitem__)
    first = names(7)
    known[7] = "alice"
    soon = names(7)
    clock.advance(601.0)

    assert (first, soon, names(7)) == ("7", "7", "alice")


def test_a_pipe_in_the_place_of_a_file_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")

    with pytest.raises(SourceError, match="not a regular file"):
        read_small(tmp_path / "pipe")
