"""Which jobs are on a node and what of it is whose, from what names them."""

from pathlib import Path

import pytest

from agent.fakes import rail
from agent.job_node import ALICE, BOB, JobNode, of_rails
from railwatch.catalogue.rail import RAIL_JOB_INFO
from railwatch.catalogue.step import JOB_INFO
from railwatch_agent.jobs.job import MOST_JOBS, Job, merge
from railwatch_agent.jobs.ownership import places_of
from railwatch_agent.jobs.place import JobPlace
from railwatch_agent.sources.claim import Claim

_SCOPE = "system.slice/slurmstepd.scope"
_POD = "0b1c2d3e-4f50-6172-8394-a5b6c7d8e9f0"
_POD_GROUP = f"/kubepods.slice/kubepods-pod{_POD.replace('-', '_')}.slice/cri-1.scope"


def test_configuration_gives_the_whole_node_to_one_job(tmp_path: Path) -> None:
    node = JobNode(tmp_path, id="train-7")
    node.write_map("42", "job_id=42\n")
    node.run(11, "/system.slice/slurmstepd.scope/job_42/step_0")

    assert node.series(JOB_INFO) == [("train-7", "", "")]
    assert node.series(RAIL_JOB_INFO) == of_rails(node.rails, "train-7")
    assert node.census.identity.jobs_of([11]) == {11: "train-7"}


def test_a_file_of_the_id_is_read_again_and_others_are_asked_while_it_is_empty(
    tmp_path: Path,
) -> None:
    file = tmp_path / "id"
    node = JobNode(tmp_path, id_file=str(file))
    node.write_map("42", "job_id=42\n")
    seen = [node.series(JOB_INFO)]
    for text in ("a\nnot read\n", "b", ""):
        file.write_text(text)
        seen.append(node.series(JOB_INFO))

    assert [job for ((job, _, _),) in seen] == ["42", "a", "b", "42"]


def test_map_files_say_whose_rails_are_whose(tmp_path: Path) -> None:
    node = JobNode(tmp_path)
    node.write_map("42", "job_id=42\nuser=alice\npartition=gpu\ngpus=0,1\n")
    node.write_map("43", "job_id=43\nuser=bob\npartition=debug\ngpus=3\n")

    assert node.series(JOB_INFO) == [("42", "alice", "gpu"), ("43", "bob", "debug")]
    assert node.series(RAIL_JOB_INFO) == [
        *of_rails(node.rails[:2], "42"),
        *of_rails(node.rails[3:], "43"),
    ]


def test_files_of_gpus_say_whose_they_are(tmp_path: Path) -> None:
    """Those of MIG devices too; what is not named after a GPU is none."""
    gpus = tmp_path / "gpus"
    gpus.mkdir()
    for name, text in {"0": "42\n", "1.0": "42\n", "1.1": "43\n", "3": "", "README": "x\n"}.items():
        (gpus / name).write_text(text)
    node = JobNode(tmp_path, gpu_map_directory=str(gpus))

    assert [job for job, _, _ in node.series(JOB_INFO)] == ["42", "43"]
    assert node.series(RAIL_JOB_INFO) == of_rails(node.rails[:1], "42")


@pytest.mark.parametrize(
    ("group", "step"),
    [
        (f"{_SCOPE}/job_42", "step_0/user/task_0"),
        ("system.slice/n0_slurmstepd.scope/job_42", "step_batch/user/task_0"),
        (f"unified/{_SCOPE}/job_42", "step_0"),
        (f"memory/slurm/uid_{ALICE}/job_42", "step_0/task_0"),
        (f"cpuset/slurm_n0/uid_{ALICE}/job_42", "step_0"),
    ],
)
def test_slurms_control_groups_name_jobs_and_their_users(
    tmp_path: Path, group: str, step: str
) -> None:
    """Of version 2, 1, both, and of several nodes on one machine. A job may hold no GPU yet."""
    node = JobNode(tmp_path)
    node.group(f"{group}/step_extern", [10])
    node.group(f"{group}/{step}", [11])
    node.run(10, uid=0)
    node.run(11, uid=ALICE)

    assert node.series(JOB_INFO) == [("42", str(ALICE), "")]
    assert node.series(RAIL_JOB_INFO) == of_rails(node.rails, "42")


def test_processes_that_hold_gpus_say_whose_those_are(tmp_path: Path) -> None:
    """Pods are known by these alone: most pods of a node are daemons."""
    node = JobNode(tmp_path)
    node.run(11, f"/{_SCOPE}/job_42/step_0/user/task_0")
    node.run(12, _POD_GROUP)
    node.run(13, "/user.slice/user-2.slice/session-3.scope", uid=BOB)
    node.held |= {0: [11], 1: [11, 12], 2: [12], 3: [13, 99]}

    assert node.series(JOB_INFO) == [("42", str(ALICE), ""), (_POD, "", "")]
    assert node.series(RAIL_JOB_INFO) == [
        *of_rails(node.rails[:1], "42"),
        *of_rails(node.rails[2:3], _POD),
    ]


def test_a_user_of_the_node_is_no_user_of_a_pod(tmp_path: Path) -> None:
    """Pods of all tenants have the same few numbers, and so have people who log in."""
    node = JobNode(tmp_path)
    node.run(11, _POD_GROUP)
    node.run(12, uid=ALICE)
    node.held[0] = [11]
    node.readings()

    assert node.census.identity.jobs_of([11, 12]) == {11: _POD}


def test_environments_tell_what_control_groups_do_not(tmp_path: Path) -> None:
    node = JobNode(tmp_path)
    told = {"SLURM_JOB_ID": "42", "SLURM_JOB_PARTITION": "gpu", "SLURM_JOB_GPUS": "2,3"}
    node.group(f"{_SCOPE}/job_42", [11])
    node.run(11, environ=told)
    node.run(12, environ={"PBS_JOBID": "7.head", "PBS_QUEUE": "large"}, uid=BOB)
    node.held[0] = [12]

    assert node.series(JOB_INFO) == [("42", str(ALICE), "gpu"), ("7.head", str(BOB), "large")]
    assert node.census.places() == (
        JobPlace("42", (2, 3), (2, 3)),
        JobPlace("7.head", (0,), (0,)),
    )


def test_a_process_cannot_say_that_it_is_of_another_users_job(tmp_path: Path) -> None:
    """Nor take another job's GPUs by its word, nor by a control group that its user has made."""
    node = JobNode(tmp_path)
    node.write_map("42", f"job_id=42\nuser=alice\nuid={ALICE}\ngpus=0,1\n")
    node.write_map("43", f"job_id=43\nuser=bob\nuid={BOB}\ngpus=2\n")
    node.readings()
    lie = {"SLURM_JOB_ID": "42", "SLURM_JOB_GPUS": "0,1,2,3"}
    node.run(11, "/user.slice/user-2.slice/user@2.service/slurmstepd.scope/job_42", uid=BOB)
    node.run(12, environ=lie, uid=BOB + 1)
    node.run(13, f"/{_SCOPE}/job_43/step_0", environ=lie | {"SLURM_JOB_ID": "43"}, uid=BOB)
    node.held |= {2: [13], 3: [11, 12]}

    assert node.census.identity.jobs_of([11, 12, 13]) == {11: "43", 13: "43"}
    assert node.series(RAIL_JOB_INFO) == [
        *of_rails(node.rails[:2], "42"),
        *of_rails(node.rails[2:], "43"),
    ]


def test_a_user_with_one_job_on_the_node_is_known_by_that(tmp_path: Path) -> None:
    node = JobNode(tmp_path)
    node.write_map("42", f"job_id=42\nuid={ALICE}\n")
    node.run(11, uid=ALICE)
    node.readings()
    one = node.census.identity.jobs_of([11])
    node.write_map("43", f"job_id=43\nuid={ALICE}\n")
    node.readings()

    assert (one, node.census.identity.jobs_of([11])) == ({11: "42"}, {})


def test_a_map_file_does_not_outlive_its_job_for_ever(tmp_path: Path) -> None:
    """Where Slurm's jobs have control groups, one without counts for five minutes."""
    node = JobNode(tmp_path)
    for job in ("41", "42", "43_1"):
        node.write_map(job, f"job_id={job}\n")
    seen = []
    for group in ("", f"{_SCOPE}/job_42"):
        if group:
            node.group(group)
        node.clock.advance(301.0)
        seen.append([job for job, _, _ in node.series(JOB_INFO)])
    node.clock.advance(31 * 86400.0)
    seen.append([job for job, _, _ in node.series(JOB_INFO)])

    assert seen == [["41", "42", "43_1"], ["42", "43_1"], ["42"]]


def test_hostile_map_files_cost_a_reading_each(tmp_path: Path) -> None:
    node = JobNode(tmp_path)
    node.write_map("42", "job_id=42\n")
    node.write_map("huge", "job_id=1\n" + "x" * 100_000)
    node.write_map("control", "job_id=a\x1bb\n")
    node.write_map("long", f"job_id={'a' * 200}\n")
    node.write_map("nothing", "")
    (node.maps / "directory").mkdir()
    (node.maps / "link").symlink_to("/etc/passwd")
    (node.maps / "bytes").write_bytes(b"job_id=\xff\n")
    (node.maps / ".42.tmp").write_text("half")

    assert node.series(JOB_INFO) == [("42", "", "")]
    assert sorted(reason.partition(":")[0].rpartition("/")[2] for reason in node.failures()) == [
        "bytes", "control", "directory", "huge", "link", "long", "nothing",
    ]  # fmt: skip


def test_a_thousand_map_files_are_a_fault_and_no_thousand_jobs(tmp_path: Path) -> None:
    node = JobNode(tmp_path)
    for number in range(1000):
        node.write_map(str(number), f"job_id={number}\n")

    assert len(node.series(JOB_INFO)) == MOST_JOBS
    assert [reason.rpartition(": ")[2] for reason in node.failures()] == [
        "more than 256 files",
        f"256; {MOST_JOBS} are told of",
    ]


def test_what_was_counted_long_ago_is_not_known_any_more(tmp_path: Path) -> None:
    node = JobNode(tmp_path, id="a")
    node.readings()
    node.clock.advance(61.0)

    assert node.census.jobs() == ()
    assert node.census.places() == (JobPlace("", (0, 1, 2, 3), (0, 1, 2, 3)),)


def test_a_rail_that_could_serve_gpus_of_two_jobs_is_nobodys() -> None:
    """Below one switch, either GPU may use either NIC."""
    rails = [rail(0, near_gpus=(0, 1)), rail(1, near_gpus=(0, 1)), rail(2, near_gpus=(2, 3))]
    jobs = [Job("a", gpus=frozenset({0})), Job("b", gpus=frozenset({1, 2, 3}))]

    assert places_of(jobs, rails, range(4)) == (
        JobPlace("a", (), (0,)),
        JobPlace("b", (2,), (1, 2, 3)),
    )


def test_one_job_has_all_rails_and_the_gpus_that_it_was_given() -> None:
    rails = [rail(0, near_gpus=()), rail(1, near_gpus=(1,))]

    assert places_of([Job("a", gpus=frozenset({1}))], rails, range(2)) == (
        JobPlace("a", (0, 1), (1,)),
    )
    assert places_of([Job("a")], rails, range(2)) == (JobPlace("a", (0, 1), (0, 1)),)


def test_the_word_of_a_job_takes_no_gpu_of_another() -> None:
    jobs = merge(
        [
            Claim("a", gpus=frozenset({0, 1})),
            Claim("b"),
            Claim("b", partition="p", gpus=frozenset({1, 2}), is_word=True),
            Claim("c", is_word=True),
        ]
    )

    assert jobs == (
        Job("a", gpus=frozenset({0, 1})),
        Job("b", partition="p", gpus=frozenset({2})),
    )
