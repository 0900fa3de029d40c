# SPDX-License-Identifier: Apache-2.0
"""For training code: says where its steps begin and end, to the agent of the node if there is one.

Standard library only, and of this package nothing but this file. Nothing here waits, raises, or
keeps a lock or a connection: an agent that is not there, restarts or is busy costs a marker. What
is sent is described in `railwatch_agent.markers.marker`.

    marker = StepMarker()
    for batch in loader:
        with marker.step():
            train(batch)
"""

from __future__ import annotations

import math
import os
import socket
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

DEFAULT_SOCKET: Final = "/run/railwatch/steps.sock"
SOCKET_VARIABLE: Final = "RAILWATCH_STEPS_SOCKET"
# Set by torchrun, by srun, by Open MPI and by MPICH's launchers.
_RANKS: Final = ("RANK", "SLURM_PROCID", "OMPI_COMM_WORLD_RANK", "PMI_RANK")


class StepMarker:
    """Marks the steps of one rank; for one thread.

    *rank* is by default what the launcher has put into the environment, *path* what
    RAILWATCH_STEPS_SOCKET holds, *job_id* is used only where nothing better names the job.
    `lost` counts markers that nobody took.
    """

    def __init__(
        self,
        rank: int | None = None,
        *,
        first_step: int = 0,
        path: str | None = None,
        job_id: str = "",
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._socket: socket.socket | None = None
        self.lost = 0
        self._path = path or os.environ.get(SOCKET_VARIABLE, DEFAULT_SOCKET)
        self._rank = _rank() if rank is None else rank
        self._job = f" job_id={job_id}" if job_id else ""
        self._clock = clock
        self._step = first_step
        self._began_at: float | None = None
        self._parts = ""

    def __del__(self) -> None:
        if self._socket is not None:
            self._socket.close()

    @contextmanager
    def step(self) -> Iterator[None]:
        """Mark the block as one step; what is between two of them is idle time."""
        self._began_at, self._parts = self._clock(), ""
        yield
        # Not of a step that an exception has ended.
        self.step_end()
        self._began_at = None

    def step_end(
        self,
        *,
        compute: float | None = None,
        exposed: float | None = None,
        communication: float | None = None,
    ) -> None:
        """Mark that a step ends here, and that the next one begins unless `step` says where.

        The first call only begins: where its step began is not known. Parts of the step, in
        seconds, are optional, and may have been given to `measured` before.
        """
        now = self._clock()
        began_at, self._began_at = self._began_at, now
        self.measured(compute=compute, exposed=exposed, communication=communication)
        parts, self._parts = self._parts, ""
        if began_at is not None:
            self._send(
                f"rank={self._rank} step={self._step} start={began_at:.9f} end={now:.9f}"
                f"{parts}{self._job}"
            )
            self._step += 1

    def measured(
        self,
        *,
        compute: float | None = None,
        exposed: float | None = None,
        communication: float | None = None,
    ) -> None:
        """Say what parts of the step that is under way were, in seconds; only numbers are sent."""
        if compute is not None:
            self._parts += _part("compute", compute)
        if exposed is not None:
            self._parts += _part("exposed", exposed)
        if communication is not None:
            self._parts += _part("communication", communication)

    def _send(self, text: str) -> None:
        try:
            if self._socket is None:
                kind = socket.SOCK_DGRAM | socket.SOCK_NONBLOCK | socket.SOCK_CLOEXEC
                self._socket = socket.socket(socket.AF_UNIX, kind)
            # By its path each time: an agent that has restarted has another socket there.
            self._socket.sendto(text.encode("utf-8", "replace"), self._path)
        except (OSError, ValueError):
            # A path may be no path.
            self.lost += 1


def _part(name: str, seconds: float) -> str:
    try:
        value = float(seconds)
    except (TypeError, ValueError):
        # Whatever it is, the job is not to fail for it.
        return ""
    # Differences of a GPU's clock may be a little below 0.
    return f" {name}={max(value, 0.0):.6f}" if math.isfinite(value) else ""


def _rank() -> int:
    for name in _RANKS:
        text = os.environ.get(name, "")
        if text.isdecimal():
            return int(text)
    return 0
