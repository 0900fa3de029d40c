"""The agent's unit under a real systemd: ready, killed, hung, reloaded, stopped, and confined."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from system.agent_unit import (
    CONFIG,
    METRICS,
    UNIT,
    URL,
    install,
    lay_cable,
    main_pid,
    wait_for_new_process,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from system.conftest import Packages
    from system.machine import Machine

pytestmark = pytest.mark.timeout(600)

_HANG = Path(__file__).with_name("hang.py")
_DROP_INS = "/usr/share/doc/railwatch-agent/examples/drop-ins"
# Not as patient as the unit itself, which waits half a minute for a sign of life.
_IMPATIENT = "[Service]\nWatchdogSec=4s\nRestartSec=100ms\n"
# Says of each thing that the agent has no business to do whether it can be done.
_TRIALS = """
import ctypes, json, mmap, os, resource, socket
libc = ctypes.CDLL(None, use_errno=True)
def write(path): open(path + "/trial", "w").close()
def call(name, *args):
    if getattr(libc, name)(*args): raise OSError(ctypes.get_errno(), name)
trials = {
    "write below /usr": lambda: write("/usr"),
    "write below /etc": lambda: write("/etc"),
    "change the kernel": lambda: open("/proc/sys/net/ipv4/ip_forward", "r+").close(),
    "look into homes": lambda: os.listdir("/root"),
    "see frames": lambda: socket.socket(socket.AF_PACKET, socket.SOCK_RAW).close(),
    "make name spaces": lambda: call("unshare", 0x10000000),
    "write code": lambda: mmap.mmap(-1, 4096, prot=7).close(),
    "mount": lambda: call("mount", b"none", b"/mnt", b"tmpfs", 0, None),
    "be another user": lambda: os.setresuid(1, 1, 1),
}
def works(trial):
    child = os.fork()
    if not child:
        try: trial()
        except OSError: os._exit(1)
        os._exit(0)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
done = {name: works(trial) for name, trial in trials.items()}
done["files"] = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
print(json.dumps(done))
"""


@pytest.fixture(scope="module")
def node(boot: Callable[..., Machine], packages: Packages) -> Iterator[Machine]:
    """A machine with one rail, on which the agent was just installed."""
    with boot() as machine:
        lay_cable(machine)
        install(machine, packages.old)
        yield machine


def _status(node: Machine) -> dict[str, str]:
    lines = node.run("cat", f"/proc/{main_pid(node)}/status").splitlines()
    return dict(line.split(":\t", 1) for line in lines)


def test_it_is_ready_once_it_is_installed(node: Machine) -> None:
    pid = main_pid(node)
    status = _status(node)

    assert node.run("systemctl", "is-enabled", UNIT) == "enabled"
    assert node.property(UNIT, "ActiveState") == "active"
    assert node.property(UNIT, "NRestarts") == "0"
    assert node.property(UNIT, "StatusText").startswith("rails=1 ")
    assert node.fetch(f"{URL}/-/ready") == (200, "yes")
    assert node.value(METRICS, "railwatch_rail_up", rail="0", device="rail0") == 1
    assert node.run("ps", "-o", "user=", "-p", str(pid)) == "railwatch"
    assert (status["CapBnd"], status["NoNewPrivs"], status["Seccomp"]) == ("0" * 16, "1", "2")


def test_what_it_watches_is_watched_inside_of_its_sandbox(node: Machine) -> None:
    """One collector that the sandbox kept from its work would say so, and doctor would too."""
    failing = [
        line
        for line in node.fetch(METRICS)[1].splitlines()
        if line.startswith("railwatch_agent_collector_success") and not line.endswith(" 1")
    ]

    assert failing == []
    assert node.value(METRICS, "railwatch_agent_read_errors_total", collector="sampler") == 0


def test_a_reload_changes_settings_and_nothing_else(node: Machine) -> None:
    before = node.run("cat", CONFIG)
    pid = main_pid(node)
    samples = node.value(METRICS, "railwatch_agent_fast_samples_total")
    assert samples is not None

    def hosts() -> float | None:
        return node.value(METRICS, "railwatch_agent_collector_success", collector="host")

    node.write(CONFIG, '[collectors]\ndisable = ["host"]\n')
    node.run("systemctl", "reload", UNIT)
    node.wait_until(lambda: hosts() is None, "the collector to be left out")
    node.write(CONFIG, '[collectors]\ndisables = ["host"]\n')
    code, _ = node.attempt("systemctl", "reload", UNIT)

    assert code != 0
    assert "disables: unknown key" in node.log(UNIT)
    assert hosts() is None
    assert node.property(UNIT, "ActiveState") == "active"
    node.write(CONFIG, before)
    node.run("systemctl", "reload", UNIT)
    node.wait_until(lambda: hosts() == 1, "the collector to be at work again")
    assert main_pid(node) == pid
    after = node.value(METRICS, "railwatch_agent_fast_samples_total")
    assert after is not None
    assert after > samples


def test_the_sandbox_forbids_what_is_possible_without_it(node: Machine) -> None:
    """Memory and processor time are not among it: here their limits do not bite."""
    unit = node.run("cat", f"/usr/lib/systemd/system/{UNIT}")
    confined = "".join(
        f"{line}\n"
        for line in unit.splitlines()
        if not line.startswith(("Exec", "Type=", "Watchdog", "Restart", "RuntimeDirectory"))
    ).replace("[Service]", "[Service]\nType=oneshot\nExecStart=/usr/bin/python3 /opt/trials.py")
    node.write("/opt/trials.py", _TRIALS)
    node.write("/run/systemd/system/trials.service", confined)
    node.run("systemctl", "daemon-reload")
    node.run("systemctl", "start", "trials.service")

    free = json.loads(node.run("python3", "/opt/trials.py"))
    kept = json.loads(next(s for s in node.log("trials").splitlines() if s.startswith("{")))

    assert (free.pop("files") != 16384, kept.pop("files")) == (True, 16384)
    assert {name for name, can in free.items() if not can} == set()
    assert {name for name, can in kept.items() if can} == set()


def test_drop_ins_add_up_to_their_capabilities(node: Machine) -> None:
    """Each of CAP_DAC_READ_SEARCH, CAP_NET_ADMIN and CAP_SYS_PTRACE is a bit; capabilities(7)."""
    folder = f"/run/systemd/system/{UNIT}.d"
    node.run("mkdir", "-p", folder)
    node.run("sh", "-c", f"cp {_DROP_INS}/module.conf {_DROP_INS}/environ.conf {folder}")
    node.run("systemctl", "daemon-reload")
    node.run("systemctl", "restart", UNIT)
    status = _status(node)
    node.run("rm", "-r", folder)
    node.run("systemctl", "daemon-reload")

    assert status["CapEff"] == status["CapBnd"] == f"{1 << 2 | 1 << 12 | 1 << 19:016x}"
    assert node.property(UNIT, "ActiveState") == "active"


@pytest.fixture
def impatient(node: Machine) -> Machine:
    """The node, whose systemd waits less long."""
    node.write(f"/run/systemd/system/{UNIT}.d/impatient.conf", _IMPATIENT)
    node.run("systemctl", "daemon-reload")
    node.run("systemctl", "restart", UNIT)
    return node


def test_one_that_was_killed_comes_back(impatient: Machine) -> None:
    pid = main_pid(impatient)

    impatient.run("kill", "-KILL", str(pid))
    wait_for_new_process(impatient, pid)

    assert impatient.value(METRICS, "railwatch_rail_up", rail="0", device="rail0") == 1


def test_one_whose_sampler_hangs_comes_back(impatient: Machine) -> None:
    """One thread is stopped; all others go on, and what is fetched is answered."""
    pid = main_pid(impatient)
    argv = [sys.executable, str(_HANG), str(impatient.outside_pid(pid))]

    with subprocess.Popen(argv, stdout=subprocess.PIPE, text=True) as stopper:
        assert stopper.stdout is not None
        assert stopper.stdout.readline()
        impatient.wait_until(
            lambda: impatient.fetch(f"{URL}/-/healthy")[0] == 503,
            "the agent to say that it does not sample",
        )
        wait_for_new_process(impatient, pid)

    assert "Watchdog timeout" in impatient.log(UNIT)
    assert "most recent call first" in impatient.log(UNIT)
    assert impatient.fetch(f"{URL}/-/healthy") == (200, "yes")


def test_it_stops_at_once(node: Machine) -> None:
    node.run("systemctl", "stop", UNIT)
    took = [
        int(node.property(UNIT, f"{event}TimestampMonotonic"))
        for event in ("ActiveExit", "InactiveEnter")
    ]
    result = node.property(UNIT, "Result"), node.property(UNIT, "ExecMainStatus")
    node.run("systemctl", "start", UNIT)

    assert result == ("success", "0")
    # Mostly a third of a second; what is asked for is two.
    assert (took[1] - took[0]) / 1e6 < 2.0
