"""The agent as a unit of a machine, as its package installs it."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from system.machine import Machine

UNIT = "railwatch-agent.service"
URL = "http://127.0.0.1:9810"
METRICS = f"{URL}/metrics"
CONFIG = "/etc/railwatch/agent.toml"
# A cable, whose near end is the node's rail: nothing else here is a network.
_CABLE = """
ip link add rail0 type veth peer name far0 && ip link set far0 up && ip link set rail0 up &&
ip address add 10.77.0.1/24 dev rail0 && ip route add default via 10.77.0.2
"""


def lay_cable(machine: Machine) -> None:
    """Give the machine a rail."""
    machine.run("sh", "-c", _CABLE)


def install(machine: Machine, package: str) -> None:
    """Install or upgrade the agent, as an administrator who is asked nothing."""
    machine.run("dpkg", "--install", f"/packages/{package}")


def main_pid(machine: Machine, unit: str = UNIT) -> int:
    """Return the number of the unit's process inside of the machine, 0 without one."""
    return int(machine.property(unit, "MainPID"))


def wait_for_new_process(machine: Machine, before: int, unit: str = UNIT) -> None:
    """Wait until the unit is ready again with another process than *before*."""

    def is_ready_again() -> bool:
        state = machine.property(unit, "ActiveState")
        return state == "active" and main_pid(machine, unit) not in {0, before}

    machine.wait_until(is_ready_again, f"a new process of {unit}")
