# SPDX-License-Identifier: Apache-2.0
"""The connections of a server: so many, and who keeps the others waiting goes first."""

from __future__ import annotations

import contextlib
import socket
import threading
import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

# For so long nobody is sent away: what it asks may be on the way.
_GRACE_SECONDS = 1.0


class Guest:
    """One connection: since when it has been waited for, None while it is being answered."""

    __slots__ = ("connection", "waited_for_since")

    def __init__(self, connection: socket.socket, now: float) -> None:
        self.connection = connection
        self.waited_for_since: float | None = now


class Crowd:
    """At most *most* guests; when they are all there, the one that was silent longest makes room.

    Connections that say nothing, or a byte now and then, so keep nobody out for long.
    """

    def __init__(self, most: int, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._most = most
        self._monotonic = monotonic
        self._guests: set[Guest] = set()
        self._lock = threading.Lock()

    def admit(self, connection: socket.socket) -> Guest | None:
        """Return the guest that *connection* is, None if there is no room for it."""
        now = self._monotonic()
        with self._lock:
            if len(self._guests) >= self._most and not self._send_away_one(now):
                return None
            guest = Guest(connection, now)
            self._guests.add(guest)
            return guest

    def leave(self, guest: Guest) -> None:
        """Give up the room of *guest*, which may have been sent away already."""
        with self._lock:
            self._guests.discard(guest)

    def wait_for(self, guest: Guest) -> None:
        """*guest* has its answer, and may ask again."""
        guest.waited_for_since = self._monotonic()

    def _send_away_one(self, now: float) -> bool:
        silent = [g for g in self._guests if now - _since(g, now) >= _GRACE_SECONDS]
        if not silent:
            return False
        guest = min(silent, key=lambda guest: _since(guest, now))
        self._guests.discard(guest)
        # Its thread wakes up and closes it. The plain call: TLS would say good-bye, and wait.
        with contextlib.suppress(OSError):
            socket.socket.shutdown(guest.connection, socket.SHUT_RDWR)
        return True


def _since(guest: Guest, now: float) -> float:
    return now if guest.waited_for_since is None else guest.waited_for_since
