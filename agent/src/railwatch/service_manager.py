# SPDX-License-Identifier: Apache-2.0
"""What a service tells systemd, and when it must: sd_notify(3), sd_watchdog_enabled(3).

A datagram of `KEY=value` lines to the socket named by NOTIFY_SOCKET; without that variable nobody
listens and nothing is said.
"""

from __future__ import annotations

import logging
import os
import socket
import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

log = logging.getLogger(__name__)

# A manager that does not take a datagram for so long will not miss it either.
_PATIENCE_SECONDS = 1.0
# Signs of life come so many times as often as they must.
_SIGNS_AN_INTERVAL = 3


class ServiceManager:
    """The manager that started this process, if there is one.

    *environment* is read once, here.
    """

    def __init__(
        self,
        environment: Mapping[str, str],
        *,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._address = _address(environment.get("NOTIFY_SOCKET", ""))
        self._sign_seconds = _watchdog_seconds(environment) / _SIGNS_AN_INTERVAL
        self._monotonic = monotonic
        self._signed_at = -self._sign_seconds
        self._status = ""
        self._is_deaf = False

    def tell_ready(self) -> None:
        """Say that the service is at work, or at work again after a reload."""
        self._tell("READY=1")

    def tell_reloading(self) -> None:
        """Say that the configuration is read anew; `tell_ready` is to follow."""
        # Newer managers match this with the time at which they asked.
        self._tell(f"RELOADING=1\nMONOTONIC_USEC={int(self._monotonic() * 1e6)}")

    def tell_stopping(self) -> None:
        """Say that the service is about to end."""
        self._tell("STOPPING=1")

    def tell_alive(self) -> None:
        """Give a sign of life if the watchdog wants one by now; call it about once a second."""
        if not self._sign_seconds:
            return
        now = self._monotonic()
        if now - self._signed_at >= self._sign_seconds:
            self._signed_at = now
            self._tell("WATCHDOG=1")

    def tell_status(self, text: str) -> None:
        """Say in one line how things are; costs nothing while that does not change."""
        # A second line would be another key.
        line = " ".join(text.split())
        if line != self._status:
            self._status = line
            self._tell(f"STATUS={line}")

    def _tell(self, state: str) -> None:
        if self._address is None:
            return
        try:
            with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as connection:
                connection.settimeout(_PATIENCE_SECONDS)
                connection.sendto(state.encode(), self._address)
        except OSError as exc:
            if not self._is_deaf:
                log.warning("the service manager cannot be told: %s", exc.strerror or exc)
            self._is_deaf = True
        else:
            self._is_deaf = False


def _address(path: str) -> str | None:
    """Return what to send to: a path, or a name in the abstract namespace, written with an @."""
    if path.startswith("@"):
        return f"\0{path[1:]}"
    return path if path.startswith("/") else None


def _watchdog_seconds(environment: Mapping[str, str]) -> float:
    """Return after how long without a sign of life the service is ended, 0 for never."""
    usec, pid = environment.get("WATCHDOG_USEC", ""), environment.get("WATCHDOG_PID", "")
    is_meant = not pid or pid == str(os.getpid())
    return int(usec) / 1e6 if is_meant and usec.isdecimal() else 0.0
