"""The life of the agent's package on a machine: upgraded, removed, purged."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from system.agent_unit import (
    CONFIG,
    METRICS,
    UNIT,
    install,
    lay_cable,
    main_pid,
    wait_for_new_process,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from system.conftest import Packages
    from system.machine import Machine

pytestmark = pytest.mark.timeout(600)

_NUMBERS = "/var/lib/railwatch/inventory.json"
# What a machine writes by itself, and the books of dpkg.
_OTHERS = r"^/(proc|sys|dev|run|tmp|var/(log|cache|tmp|lib/(dpkg|systemd|apt)))(/|$)"
_RUNNING = "/run/railwatch"


def _files(machine: Machine) -> set[str]:
    found = machine.run("sh", "-c", f"find / | grep -Ev '{_OTHERS}'")
    return {path for path in found.splitlines() if "__pycache__" not in path}


def _people(machine: Machine) -> str:
    return machine.run("sh", "-c", "cat /etc/passwd /etc/group /etc/shadow /etc/gshadow")


def test_an_upgrade_keeps_what_is_the_nodes_and_a_purge_leaves_nothing(
    boot: Callable[..., Machine], packages: Packages
) -> None:
    with boot() as machine:
        lay_cable(machine)
        files, people = _files(machine), _people(machine)
        install(machine, packages.old)
        # A number that nothing but configuration and inventory know.
        machine.run("sh", "-c", "ip link add rail1 type veth peer name far1")
        machine.write(CONFIG, '[[rails]]\ndevice = "rail1"\nrail = 7\n')
        machine.run("systemctl", "restart", UNIT)
        numbers, pid = machine.run("cat", _NUMBERS), main_pid(machine)

        install(machine, packages.new)
        wait_for_new_process(machine, pid)
        version = machine.run("dpkg-query", "--show", "-f", "${Version}", "railwatch-agent")

        assert version == "999.0-1"
        assert machine.run("cat", CONFIG) == '[[rails]]\ndevice = "rail1"\nrail = 7'
        assert machine.run("cat", _NUMBERS) == numbers
        assert machine.value(METRICS, "railwatch_rail_present", rail="7") == 1

        machine.run("systemctl", "disable", "--now", UNIT)
        install(machine, packages.old)
        assert machine.attempt("systemctl", "is-enabled", UNIT)[1] == "disabled"

        machine.run("dpkg", "--remove", "railwatch-agent")
        removed = machine.attempt("systemctl", "is-active", UNIT)[1]
        assert removed == "inactive"
        assert machine.attempt("test", "-e", "/usr/lib/railwatch-agent")[0] == 1
        assert machine.run("cat", _NUMBERS) == numbers

        machine.run("dpkg", "--purge", "railwatch-agent")
        assert _files(machine) - files == set()
        assert _people(machine) == people
        assert machine.attempt("test", "-e", _RUNNING)[0] == 1
