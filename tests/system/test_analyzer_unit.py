"""The analyzer's unit under a real systemd, beside an agent that it asks."""

from __future__ import annotations

import sysconfig
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from system.agent_unit import install, lay_cable, main_pid, wait_for_new_process
from system.conftest import REPOSITORY

if TYPE_CHECKING:
    from collections.abc import Callable

    from system.conftest import Packages
    from system.machine import Machine

pytestmark = pytest.mark.timeout(600)

_UNIT = "railwatch-analyzer.service"
_URL = "http://127.0.0.1:9811"
# As `pip install` would make it: with the modules of these tests, and Debian's Python.
_COMMAND = """#!/usr/bin/python3 -I
import sys
sys.path[:0] = ["/agent", "/analyzer", "/modules"]
from railwatch_analyzer.cli import main
sys.exit(main())
"""
_IMPATIENT = "[Service]\nWatchdogSec=5s\nRestartSec=100ms\n"


def test_it_is_ready_confined_comes_back_and_keeps_its_state(
    boot: Callable[..., Machine], packages: Packages
) -> None:
    folders = {
        "modules": Path(sysconfig.get_path("purelib")),
        "agent": REPOSITORY / "agent" / "src",
        "analyzer": REPOSITORY / "analyzer" / "src",
    }
    unit = REPOSITORY / "deploy" / "systemd" / _UNIT
    with boot(**folders) as machine:
        lay_cable(machine)
        install(machine, packages.old)
        machine.write("/usr/bin/railwatch-analyzer", _COMMAND)
        machine.run("chmod", "755", "/usr/bin/railwatch-analyzer")
        machine.write(f"/etc/systemd/system/{_UNIT}", unit.read_text())
        machine.write(f"/run/systemd/system/{_UNIT}.d/impatient.conf", _IMPATIENT)
        machine.run("systemctl", "daemon-reload")

        machine.run("systemctl", "start", _UNIT)
        pid = main_pid(machine, _UNIT)

        assert machine.property(_UNIT, "StatusText").startswith("nodes=1 missed=0 ")
        # The range of users that come and go; systemd.exec(5).
        assert 61184 <= int(machine.run("ps", "-o", "uid=", "-p", str(pid))) <= 65519
        assert machine.value(f"{_URL}/metrics", "railwatch_analyzer_targets", state="seen") == 1
        assert machine.value(f"{_URL}/metrics", "railwatch_analyzer_state_save_errors_total") == 0
        assert machine.run("ls", "/var/lib/railwatch-analyzer/") == "analyzer-state.npz"

        machine.run("systemctl", "reload", _UNIT)
        machine.wait_until(lambda: "read anew" in machine.log(_UNIT), "the reload")
        machine.run("kill", "-STOP", str(pid))
        wait_for_new_process(machine, pid, _UNIT)

        assert "Watchdog timeout" in machine.log(_UNIT)
        machine.run("systemctl", "stop", _UNIT)
        assert machine.property(_UNIT, "Result") == "success"
