"""The prolog and epilog for Slurm, run as slurmd does: by their own shell, with its variables."""

import subprocess
from pathlib import Path

import pytest

from agent.job_node import JobNode
from railwatch.catalogue.rail import RAIL_JOB_INFO
from railwatch.catalogue.step import JOB_INFO

_SLURM = Path(__file__).parents[2] / "deploy" / "slurm"
_JOB = {
    "SLURM_JOB_ID": "42",
    "SLURM_JOB_USER": "alice",
    "SLURM_JOB_UID": "1000",
    "SLURM_JOB_PARTITION": "gpu",
    "SLURM_JOB_GPUS": "2,3",
    "CUDA_VISIBLE_DEVICES": "0,1",
}


def _run(script: str, directory: Path, **variables: str) -> int:
    """Run a script without a search path, as slurmd runs it."""
    return subprocess.run(
        [_SLURM / f"{script}.d" / "50-railwatch.sh"],
        env={"RAILWATCH_JOBS": str(directory), **variables},
        check=False,
        timeout=60,
        capture_output=True,
    ).returncode


@pytest.fixture
def maps(tmp_path: Path) -> Path:
    """Where the files go; it is made by the first prolog."""
    return tmp_path.resolve() / "node" / "maps"


def test_a_job_is_on_the_node_from_its_prolog_to_its_epilog(maps: Path) -> None:
    maps.parent.mkdir()
    node = JobNode(maps.parent)
    code = _run("prolog", maps, **_JOB)
    jobs, rails = node.series(JOB_INFO), node.series(RAIL_JOB_INFO)
    (job,) = node.census.jobs()
    (file,) = maps.iterdir()
    mode = file.stat().st_mode & 0o777
    codes = (code, _run("epilog", maps, **_JOB), _run("epilog", maps, **_JOB))

    assert jobs == [("42", "alice", "gpu")]
    assert (job.uid, job.gpus, mode) == (1000, {2, 3}, 0o644)
    assert len(rails) == 4
    assert (codes, [*maps.iterdir()], node.series(JOB_INFO)) == ((0, 0, 0), [], [])


def test_a_jobs_variables_cannot_write_lines_of_their_own(maps: Path) -> None:
    _run("prolog", maps, **_JOB | {"SLURM_JOB_PARTITION": "x\njob_id=7\nuser=root"})
    text = (maps / "42").read_text()

    assert [line for line in text.splitlines() if line.startswith(("job_id", "user"))] == [
        "job_id=42",
        "user=alice",
    ]


@pytest.mark.parametrize("job", ["", "../42", "4 2", "*", "-rf"])
def test_what_is_no_job_writes_and_removes_nothing(maps: Path, job: str) -> None:
    _run("prolog", maps, **_JOB)
    codes = [_run(script, maps, **_JOB | {"SLURM_JOB_ID": job}) for script in ("prolog", "epilog")]

    assert codes == [0, 0]
    assert [path.name for path in maps.iterdir()] == ["42"]


def test_a_link_leads_the_scripts_nowhere(maps: Path, tmp_path: Path) -> None:
    """What is above the directory may belong to the agent's user, and the scripts are root's."""
    other = tmp_path / "other"
    other.mkdir()
    (other / "42").write_text("theirs")
    maps.parent.mkdir()
    maps.symlink_to(other)
    codes = [_run(script, maps, **_JOB) for script in ("prolog", "epilog")]

    assert codes == [0, 0]
    assert {path.name: path.read_text() for path in other.iterdir()} == {"42": "theirs"}


def test_a_directory_that_cannot_be_made_drains_no_node() -> None:
    assert _run("prolog", Path("/proc/nowhere"), **_JOB) == 0
    assert _run("epilog", Path("/proc/nowhere"), **_JOB) == 0


def test_a_directory_in_which_others_may_write_is_left_alone(maps: Path) -> None:
    """They could put a link where the script, as root, is about to write."""
    maps.mkdir(parents=True)
    maps.chmod(0o777)

    assert _run("prolog", maps, **_JOB) == 0
    assert list(maps.iterdir()) == []
