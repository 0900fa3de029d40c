# SPDX-License-Identifier: Apache-2.0
"""What signals ask of a service: to stop, or to read its configuration anew; signal(7).

Python's handlers run in the main thread, at a moment of their own and within whatever it does. So
they do nothing here: the number of each signal is written to a pipe by the part of Python that any
thread may run, and the main thread waits for that.
"""

from __future__ import annotations

import os
import select
import signal
from enum import StrEnum


class Request(StrEnum):
    """What is asked for."""

    STOP = "stop"
    RELOAD = "reload"


_REQUESTS = {
    signal.SIGTERM: Request.STOP,
    signal.SIGINT: Request.STOP,
    signal.SIGHUP: Request.RELOAD,
}


class Requests:
    """Catches the signals of this process from now on; to be made by the main thread, once."""

    def __init__(self) -> None:
        self._reading, writing = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        # A pipe that is full has more requests in it than anybody needs.
        signal.set_wakeup_fd(writing, warn_on_full_buffer=False)
        for number in _REQUESTS:
            signal.signal(number, _do_nothing)
        self._poll = select.poll()
        self._poll.register(self._reading, select.POLLIN)

    def next(self, wait_seconds: float) -> Request | None:
        """Return the next request, None if there is none for so long."""
        if not self._poll.poll(1000 * wait_seconds):
            return None
        return _REQUESTS.get(signal.Signals(os.read(self._reading, 1)[0]))


def _do_nothing(*_: object) -> None:
    """Be a handler, so that the signal is written to the pipe."""
