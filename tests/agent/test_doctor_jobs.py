"""What `doctor` says of who names the node's jobs, and of where step markers would come in."""

from contextlib import closing
from pathlib import Path

import pytest

from agent.job_node import JobNode
from railwatch_agent.doctor.checks import Answer, examine
from railwatch_agent.doctor.findings import Status
from railwatch_agent.doctor.jobs import job_checks
from railwatch_agent.settings import AgentSettings, JobSettings, PathSettings, StepSettings
from railwatch_agent.sources.marker_socket import MarkerSocket


def _found(node: JobNode, root: Path, *, socket: str = "", **job: str) -> dict[str, Answer]:
    settings = AgentSettings(
        paths=PathSettings(procfs=str(node.procfs), sysfs=str(root / "sys")),
        job=JobSettings(**{"slurm": str(node.maps), **job}),
        steps=StepSettings(socket=socket),
    )
    found = examine(job_checks(settings), 30.0)
    return {one.what: Answer(one.status, one.detail, one.change) for one in found}


def test_a_bare_node_says_what_would_name_its_jobs(tmp_path: Path) -> None:
    found = _found(JobNode(tmp_path), tmp_path, socket=str(tmp_path / "none" / "s"))

    assert {what: answer.status for what, answer in found.items()} == {
        "[job] id": Status.OFF,
        "[job] id_file": Status.OFF,
        "[job] slurm": Status.ABSENT,
        "[job] gpu_map_directory": Status.OFF,
        "control groups of Slurm": Status.ABSENT,
        "control groups of processes": Status.DENIED,
        "step markers": Status.MISSING,
    }
    assert "deploy/slurm" in found["[job] slurm"].change
    assert "hidepid" in found["control groups of processes"].change
    assert "[steps] socket" in found["step markers"].change


def test_sources_that_speak_say_of_how_many_jobs(tmp_path: Path) -> None:
    node = JobNode(tmp_path)
    node.write_map("42", "job_id=42\n")
    node.group("system.slice/slurmstepd.scope/job_42")
    node.run(1)
    (tmp_path / "id").write_text("train\n")
    found = _found(node, tmp_path, id_file=str(tmp_path / "id"))

    assert found["[job] id_file"].detail == "the whole node is train's; nothing else is asked"
    assert found["[job] slurm"].detail == f"1 jobs in {node.maps}"
    assert found["control groups of Slurm"].detail == "1 jobs"
    assert found["control groups of processes"].status is Status.OK
    assert found["step markers"].status is Status.OFF


def test_files_that_cannot_be_understood_are_a_fault_and_say_which(tmp_path: Path) -> None:
    node = JobNode(tmp_path)
    node.write_map("42", "job_id=42\n")
    node.write_map("43", "nonsense\n")
    found = _found(node, tmp_path)["[job] slurm"]

    assert found.status is Status.FAILED
    assert str(node.maps / "43") in found.detail


@pytest.mark.parametrize(("length", "is_short"), [("10", True), ("512", False)])
def test_a_short_queue_of_the_kernels_is_told(
    tmp_path: Path, length: str, *, is_short: bool
) -> None:
    node = JobNode(tmp_path)
    limit = node.procfs / "sys" / "net" / "unix" / "max_dgram_qlen"
    limit.parent.mkdir(parents=True)
    limit.write_text(f"{length}\n")
    found = _found(node, tmp_path, socket=str(tmp_path / "s"))["step markers"]

    assert found.status is Status.OK
    assert ("max_dgram_qlen" in found.change) is is_short


def test_a_socket_that_is_listened_to_is_an_agents(tmp_path: Path) -> None:
    node, path = JobNode(tmp_path), tmp_path / "s"
    with closing(MarkerSocket(path)) as opened:
        opened.open()
        listened_to = _found(node, tmp_path, socket=str(path))["step markers"]
    path.write_text("")
    in_the_way = _found(node, tmp_path, socket=str(path))["step markers"]

    assert listened_to == Answer(Status.OK, f"an agent listens at {path}")
    assert in_the_way.status is Status.FAILED
    assert path.exists()
