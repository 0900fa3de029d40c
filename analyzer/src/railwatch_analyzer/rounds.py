# SPDX-License-Identifier: Apache-2.0
"""The thread that makes rounds: one that takes long holds up neither signals nor systemd."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from railwatch_analyzer.service import Analyzer


class Rounds:
    """Has *analyzer* make its rounds from `start` to `stop`."""

    def __init__(self, analyzer: Analyzer) -> None:
        self._analyzer = analyzer
        self._stop = threading.Event()
        self._thread = threading.Thread(
            target=analyzer.run, args=(self._stop,), name="rounds", daemon=True
        )

    def start(self) -> None:
        """Begin with a round at once."""
        self._thread.start()

    def stop(self, patience_seconds: float) -> bool:
        """Begin no more; return whether the one that was under way has ended within that time."""
        self._stop.set()
        self._thread.join(patience_seconds)
        return not self._thread.is_alive()

    def supervise(self) -> None:
        """Raise RuntimeError if no more rounds will be made, which only a new process can mend."""
        if not self._thread.is_alive():
            raise RuntimeError("the thread that makes rounds has ended")

    def is_ready(self) -> bool:
        """Whether a round was attempted."""
        return self._analyzer.is_ready()

    def is_healthy(self) -> bool:
        """Whether no round has been under way for longer than any should take."""
        return self._analyzer.is_healthy()

    def status(self) -> str:
        """Return in a line how things are."""
        return self._analyzer.status()
