# SPDX-License-Identifier: Apache-2.0
"""The main thread of a service: looks after what runs, does what signals ask, tells systemd."""

from __future__ import annotations

import gc
import logging
import time
from typing import TYPE_CHECKING, Protocol

from railwatch.signals import Request

if TYPE_CHECKING:
    from collections.abc import Callable

    from railwatch.service_manager import ServiceManager
    from railwatch.signals import Requests

log = logging.getLogger(__name__)

_INTERVAL_SECONDS = 1.0
# While it begins, for which whoever started it may wait.
_START_SECONDS = 0.05


class Service(Protocol):
    """What is looked after; all of it answers at once."""

    def supervise(self) -> None:
        """Look after what hangs or has ended; called about once a second."""
        ...

    def is_ready(self) -> bool:
        """Whether it has begun; stays so."""
        ...

    def is_healthy(self) -> bool:
        """Whether it does what only a new process could do otherwise."""
        ...

    def status(self) -> str:
        """Return in a line how things are, in words that seldom change."""
        ...


class Supervision:
    """Looks after *service*, whose threads have been started, from `begin` to the end of `run`.

    *reload* reads the settings anew and raises nothing.
    """

    def __init__(
        self,
        service: Service,
        *,
        requests: Requests,
        manager: ServiceManager,
        reload: Callable[[], None],
    ) -> None:
        self._service = service
        self._requests = requests
        self._manager = manager
        self._reload = reload
        # A request may come before there is anybody to tell that it was met.
        self._is_reload_due = False

    def begin(self) -> bool:
        """Return once the service is ready, or with False when asked to stop before."""
        self._service.supervise()
        while not self._service.is_ready():
            if self._is_asked_to_stop(_START_SECONDS):
                self._tell_end()
                return False
            self._service.supervise()
        self._manager.tell_status(self._service.status())
        self._manager.tell_ready()
        return True

    def run(self) -> None:
        """Look after the service until asked to stop."""
        # What is there by now stays; it need not be looked through for garbage again and again.
        gc.collect()
        gc.freeze()
        while not self._is_asked_to_stop(self._until_next()):
            self._service.supervise()
        self._tell_end()

    def _tell_end(self) -> None:
        log.info("stopping")
        self._manager.tell_stopping()

    def _until_next(self) -> float:
        """Do what is due, and return how long to wait."""
        if self._is_reload_due:
            self._is_reload_due = False
            self._manager.tell_reloading()
            self._reload()
            self._manager.tell_ready()
        if self._service.is_healthy():
            self._manager.tell_alive()
        self._manager.tell_status(self._service.status())
        return _INTERVAL_SECONDS - time.monotonic() % _INTERVAL_SECONDS

    def _is_asked_to_stop(self, wait_seconds: float) -> bool:
        request = self._requests.next(wait_seconds)
        self._is_reload_due |= request is Request.RELOAD
        return request is Request.STOP
