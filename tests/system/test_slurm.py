"""A real Slurm beside the agent: two users' jobs on one node, told apart as they come and go."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from system.agent_unit import METRICS, URL, install, lay_cable

if TYPE_CHECKING:
    from collections.abc import Callable

    from system.conftest import Packages
    from system.machine import Machine

pytestmark = pytest.mark.timeout(600)

_MAPS = "/run/railwatch/jobs"
_EXAMPLES = "/usr/share/doc/railwatch-agent/examples/slurm"
# What README.md in deploy/slurm says, and what a cluster of one machine needs.
_SLURM_CONF = """
ClusterName=test
SlurmctldHost=node
SlurmUser=root
StateSaveLocation=/var/lib/slurm/slurmctld
SlurmdSpoolDir=/var/lib/slurm/slurmd
SlurmctldPidFile=/run/slurmctld.pid
SlurmdPidFile=/run/slurmd.pid
SlurmdLogFile=/var/log/slurmd.log
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SelectType=select/cons_tres
SelectTypeParameters=CR_Core
SlurmdParameters=config_overrides
MailProg=/bin/true
GresTypes=gpu
Prolog=/etc/slurm/prolog.d/*
Epilog=/etc/slurm/epilog.d/*
PrologFlags=Contain
NodeName=node CPUs=2 RealMemory=500 Gres=gpu:2
PartitionName=train Nodes=node Default=YES
"""
# Marks five steps a second, and does not say which job it is.
_TRAINING = """
import socket, time
marks = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
step, start = 0, time.monotonic()
while True:
    time.sleep(0.2)
    end = time.monotonic()
    mark = f"rank=0 step={step} start={start} end={end}"
    marks.sendto(mark.encode(), "/run/railwatch/steps.sock")
    step, start = step + 1, end
"""
_SET_UP = f"""
set -e
# An address that slurmd takes for the node's, two users, and devices that stand for GPUs.
ip address add 10.77.1.1/32 dev lo
hostname node
echo 10.77.1.1 node >/etc/hosts
useradd alice
useradd bob
mknod /dev/fake0 c 1 3
mknod /dev/fake1 c 1 3
# The container's manager puts a boot of its own over the kernel's, but not in units' name spaces.
umount /proc/sys/kernel/random/boot_id
mkdir -p /var/lib/slurm/slurmctld /var/lib/slurm/slurmd
for kind in prolog epilog; do
    install -D -m 755 {_EXAMPLES}/$kind.d/50-railwatch.sh /etc/slurm/$kind.d/50-railwatch.sh
done
"""


def _set_up(node: Machine, packages: Packages) -> None:
    lay_cable(node)
    install(node, packages.old)
    node.run("sh", "-c", _SET_UP)
    node.write("/etc/slurm/slurm.conf", _SLURM_CONF)
    node.write("/opt/training.py", _TRAINING)
    node.write("/etc/slurm/gres.conf", "NodeName=node Name=gpu File=/dev/fake[0-1]\n")
    node.run("systemctl", "restart", "munge", "slurmctld", "slurmd")
    node.wait_until(
        lambda: node.attempt("sinfo", "--noheader", "--format=%T")[1] == "idle", "the node to idle"
    )


def _submit(node: Machine, user: str) -> str:
    """Submit a job with one of the GPUs that trains until it is cancelled; return its number."""
    job = ("sbatch", "--parsable", "--chdir=/tmp", "--ntasks=1", "--gres=gpu:1")
    return node.run("runuser", "--user", user, "--", *job, "--wrap=python3 /opt/training.py")


def _gpus(node: Machine, job: str) -> list[str]:
    lines = node.run("cat", f"{_MAPS}/{job}").splitlines()
    return [line.removeprefix("gpus=") for line in lines if line.startswith("gpus=")]


def test_two_jobs_on_a_node_are_told_apart(
    boot: Callable[..., Machine], packages: Packages
) -> None:
    with boot() as node:
        _set_up(node, packages)
        alices, bobs = _submit(node, "alice"), _submit(node, "bob")

        def known(job: str, user: str) -> float | None:
            labels = {"job_id": job, "user": user, "partition": "train"}
            return node.value(METRICS, "railwatch_job_info", **labels)

        def steps(job: str) -> float:
            labels = {"job_id": job, "source": "marker"}
            return node.value(METRICS, "railwatch_step_seconds_count", **labels) or 0

        node.wait_until(lambda: known(alices, "alice") == known(bobs, "bob") == 1, "both jobs")
        node.wait_until(lambda: steps(alices) and steps(bobs), "steps of both jobs")
        assert sorted(_gpus(node, alices) + _gpus(node, bobs)) == ["0", "1"]

        node.run("scancel", alices)
        node.wait_until(lambda: known(alices, "alice") is None, "the first job to be gone")
        assert known(bobs, "bob") == 1
        assert node.run("ls", _MAPS) == bobs
        assert node.fetch(f"{URL}/-/ready")[0] == 200
