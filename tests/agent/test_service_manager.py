"""What systemd is told, over a real socket that stands for it."""

import logging
import os
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from agent.fakes import FakeClock
from railwatch.service_manager import ServiceManager


class _Manager:
    """A socket in the place of systemd's."""

    def __init__(self, address: str) -> None:
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.bind(address)
        self._socket.setblocking(False)

    def heard(self) -> list[str]:
        """Return what was said since the last time."""
        found = []
        while True:
            try:
                found.append(self._socket.recv(1000).decode())
            except BlockingIOError:
                return found

    def close(self) -> None:
        """Be there no more."""
        self._socket.close()


@pytest.fixture
def path(tmp_path: Path) -> str:
    return str(tmp_path / "notify")


@pytest.fixture
def manager(path: str) -> Iterator[_Manager]:
    manager = _Manager(path)
    yield manager
    manager.close()


def _say_all(told: ServiceManager) -> None:
    told.tell_ready()
    told.tell_alive()
    told.tell_status("well")
    told.tell_reloading()
    told.tell_stopping()


@pytest.mark.parametrize("environment", [{}, {"NOTIFY_SOCKET": ""}, {"NOTIFY_SOCKET": "vsock:2"}])
def test_without_a_manager_nothing_is_said(
    environment: dict[str, str], caplog: pytest.LogCaptureFixture
) -> None:
    _say_all(ServiceManager({**environment, "WATCHDOG_USEC": "1000000"}))

    assert caplog.records == []


def test_states_are_told_as_the_protocol_has_them(path: str, manager: _Manager) -> None:
    clock = FakeClock()
    clock.advance(12.5)

    _say_all(ServiceManager({"NOTIFY_SOCKET": path}, monotonic=clock.monotonic))

    now = int(clock.monotonic() * 1e6)
    reloading = f"RELOADING=1\nMONOTONIC_USEC={now}"
    assert manager.heard() == ["READY=1", "STATUS=well", reloading, "STOPPING=1"]


def test_a_name_in_the_abstract_namespace_is_reached(tmp_path: Path) -> None:
    manager = _Manager(f"\0railwatch-test-{tmp_path}")

    ServiceManager({"NOTIFY_SOCKET": f"@railwatch-test-{tmp_path}"}).tell_ready()

    assert manager.heard() == ["READY=1"]
    manager.close()


def test_signs_of_life_come_at_a_third_of_what_the_watchdog_allows(
    path: str, manager: _Manager
) -> None:
    clock = FakeClock()
    environment = {"NOTIFY_SOCKET": path, "WATCHDOG_USEC": "9000000"}
    told = ServiceManager(environment, monotonic=clock.monotonic)

    signs = []
    for _ in range(7):
        told.tell_alive()
        signs.append(len(manager.heard()))
        clock.advance(1.0)

    assert signs == [1, 0, 0, 1, 0, 0, 1]


@pytest.mark.parametrize(
    ("pid", "signs"),
    [(str(os.getpid()), ["WATCHDOG=1"]), (str(os.getpid() + 1), [])],
    ids=["own", "other"],
)
def test_the_watchdog_of_another_process_is_not_ours(
    path: str, manager: _Manager, pid: str, signs: list[str]
) -> None:
    environment = {"NOTIFY_SOCKET": path, "WATCHDOG_USEC": "9000000", "WATCHDOG_PID": pid}

    ServiceManager(environment).tell_alive()

    assert manager.heard() == signs


def test_a_status_is_told_once_and_cannot_say_anything_else(path: str, manager: _Manager) -> None:
    told = ServiceManager({"NOTIFY_SOCKET": path})

    told.tell_status("failing=node\nWATCHDOG=1")
    told.tell_status("failing=node\nWATCHDOG=1")
    told.tell_status("failing=none")

    assert manager.heard() == ["STATUS=failing=node WATCHDOG=1", "STATUS=failing=none"]


def test_a_manager_that_is_gone_is_logged_once(
    path: str, manager: _Manager, caplog: pytest.LogCaptureFixture
) -> None:
    told = ServiceManager({"NOTIFY_SOCKET": path})
    manager.close()

    told.tell_ready()
    told.tell_stopping()

    assert [r.levelno for r in caplog.records] == [logging.WARNING]
