"""The ethtool doors against the kernel that runs the tests: lo, and veth where it can be made."""

import os
import shutil
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from railwatch_agent.collectors.doors import Doors, kernel_doors
from railwatch_agent.sources.errors import NotPermittedError
from railwatch_agent.sources.ethtool import EthtoolControl, StatisticsReader, parse_names
from railwatch_agent.sources.link import LinkModes, LinkState

# No device has it: indexes are given in the order of creation.
_NOBODY = 2**31 - 1

_IN_NAMESPACE = """
import socket
from agent.test_ethtool_kernel import names_of
from railwatch_agent.collectors.doors import kernel_doors
from railwatch_agent.sources.ethtool import StatisticsReader
index = socket.if_nametoindex("veth0")
names = names_of("veth0")
print(StatisticsReader(names).read(index)["peer_ifindex"], socket.if_nametoindex("veth1"))
print(StatisticsReader(("peer_ifindex",)).read(index).keys() == {"peer_ifindex"}, len(names) > 1)
print(kernel_doors().fec(index))
"""

_SETTINGS = """
import socket, subprocess
from railwatch_agent.collectors.doors import kernel_doors
doors, index = kernel_doors(), socket.if_nametoindex("veth0")
print(doors.link_modes(index), doors.port(index), doors.link_state(index), sep="|")
subprocess.run(["ip", "link", "set", "veth1", "up"], check=True)
print(doors.link_state(index))
print(doors.pause(index), doors.pfc(index), doors.module(index))
subprocess.run(["ip", "link", "del", "veth0"], check=True)
print(doors.link_modes(index), doors.link_state(index), doors.pfc(index), doors.module(index))
"""

_WITHOUT_CAPABILITIES = """
import ctypes
import socket
from railwatch_agent.collectors.doors import kernel_doors
# CAPSET of nothing: version 3, this thread, two empty sets of three words.
ctypes.CDLL(None).capset((ctypes.c_uint32 * 2)(0x20080522, 0), (ctypes.c_uint32 * 6)())
doors, index = kernel_doors(), socket.if_nametoindex("veth0")
print(doors.link_modes(index) is not None)
try:
    doors.module(index)
except Exception as exc:
    print(type(exc).__name__, exc)
"""

_AGENT = """
import socket, time
from pathlib import Path
from railwatch.clock import SystemClock
from railwatch_agent.agent import Agent
from railwatch_agent.settings import load_settings
agent = Agent(load_settings(Path("{config}"), {{}}, {{}}), clock=SystemClock(), version="0")
agent.start()
deadline = time.monotonic() + 30
told = []
while not told and time.monotonic() < deadline:
    time.sleep(0.05)
    agent.supervise()
    lines = agent.metrics().decode().splitlines()
    names = ("railwatch_ethtool_statistic", "railwatch_rail_link_info")
    told = [line for line in lines if line.startswith(names)]
agent.stop()
print(*told, socket.if_nametoindex("veth1"), sep="\\n")
"""


def names_of(netdev: str) -> list[str]:
    """Return every name that a driver lists, as much as fits into a page or two."""
    buffer = bytearray((0x1B).to_bytes(4, sys.byteorder) + (1).to_bytes(4, sys.byteorder))
    buffer += bytes(4 + 32 * 1024)
    EthtoolControl()(netdev, buffer)
    return parse_names(buffer)


def test_the_loopback_has_no_statistics_and_no_fec() -> None:
    index = socket.if_nametoindex("lo")

    assert StatisticsReader(("rx_packets",)).read(index) is None
    assert kernel_doors().fec(index) is None


def test_an_interface_that_is_not_there_is_absent() -> None:
    assert StatisticsReader(("rx_packets",)).read(_NOBODY) is None
    assert _settings(kernel_doors(), _NOBODY) == [None] * 6


def test_every_device_of_this_machine_answers_or_has_nothing() -> None:
    """Whatever they are: no door raises, and none makes a number up for a name nobody has."""
    for index, _ in socket.if_nameindex():
        assert StatisticsReader(("no such name",)).read(index) in (None, {})
        _settings(kernel_doors(), index)


def _settings(doors: Doors, index: int) -> list[object]:
    """Ask all that needs no privilege."""
    asked = (doors.fec, doors.link_modes, doors.link_state, doors.port, doors.pause, doors.pfc)
    return [ask(index) for ask in asked]


def _in_namespaces(script: str) -> list[str]:
    """Run *script* beside a pair of veths, and return the lines that it printed.

    In namespaces of its own, which any user may make unless the machine forbids it.
    """
    if shutil.which("unshare") is None or shutil.which("ip") is None:
        pytest.skip("no unshare or ip")
    made = "mount -t sysfs none /sys && ip link add veth0 type veth peer name veth1"
    argv = ["unshare", "--map-root-user", "--net", "--mount", "sh", "-c"]
    probe = subprocess.run([*argv, made], capture_output=True, check=False, timeout=30)
    if probe.returncode != 0:
        pytest.skip(f"no namespaces of one's own here: {probe.stderr.decode().strip()}")
    done = subprocess.run(
        [*argv, f'{made} && ip link set veth0 up && exec "$0" -c "$1"', sys.executable, script],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


def test_a_veth_tells_its_peer() -> None:
    peer, none, fec = _in_namespaces(_IN_NAMESPACE)

    assert len(set(peer.split())) == 1
    assert (none, fec) == ("True True", "None")


def test_a_veth_tells_its_settings_and_has_no_module() -> None:
    """It has neither FEC nor pause settings, and its link is down until its peer is up."""
    set_up, connected, absent, gone = _in_namespaces(_SETTINGS)

    modes = LinkModes(autonegotiates=False, duplex="full", lanes=None)
    assert set_up == f"{modes}|twisted_pair|{LinkState(is_up=False, down_reason=None)}"
    assert connected == str(LinkState(is_up=True, down_reason=None))
    assert absent == "None None None"
    assert gone == "None None None None"


def test_settings_need_no_capability_and_modules_do() -> None:
    settings, module = _in_namespaces(_WITHOUT_CAPABILITIES)

    assert settings == "True"
    assert module.startswith(NotPermittedError.__name__)
    assert module.endswith("EPERM; needs CAP_NET_ADMIN")


def test_an_agent_exposes_settings_and_what_is_allowed(tmp_path: Path) -> None:
    config = tmp_path / "agent.toml"
    config.write_text(
        f'[paths]\nstate = "{tmp_path}/state"\n[[rails]]\ndevice = "veth0"\n'
        '[ethtool]\nstatistics = ["peer_ifindex"]\n'
    )
    told, link, peer = _in_namespaces(_AGENT.format(config=config))

    assert link.startswith('railwatch_rail_link_info{rail="0",device="veth0",autonegotiation="off"')
    assert link.endswith(
        'port="twisted_pair",pause="",pause_autonegotiation="",pfc="",down_reason="unknown"} 1'
    )
    assert told == f'railwatch_ethtool_statistic{{device="veth0",statistic="peer_ifindex"}} {peer}'
