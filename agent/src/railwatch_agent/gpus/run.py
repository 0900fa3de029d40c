# SPDX-License-Identifier: Apache-2.0
"""One process that asks NVML, from its start to its end, as its keeper sees it."""

from __future__ import annotations

from typing import Protocol

from railwatch_agent.sources.nvml import wire

# Without persistence mode the driver initialises each GPU when it is asked about first: so many
# times the deadline for each, and for the driver as a whole.
_GPU_START = 4
_DRIVER_START = 12
# Between two rounds it sleeps; one that does not wake up has been stopped, or starves.
_SLEEP_SECONDS = 30.0
# How long a killed process may take to end.
_BURIAL_SECONDS = 5.0
# Nobody looked for so long: the machine slept, and the child with it.
_ABSENCE_SECONDS = 3.0


class Child(Protocol):
    """A process that asks NVML; nothing of it waits."""

    def messages(self) -> list[bytes]:
        """Return what it has said since the last time."""
        ...

    def position(self) -> tuple[int, int]:
        """Return a number that grows while it goes on, and the GPU or part that it is with."""
        ...

    def kill(self) -> None:
        """Have it end."""
        ...

    def has_ended(self) -> bool:
        """Whether it has ended."""
        ...

    @property
    def died_of(self) -> str | None:
        """How it ended, None if by itself and well."""
        ...

    def close(self) -> None:
        """Listen no more."""
        ...


class Run:
    """What became of *child* since *now*; times are of CLOCK_MONOTONIC.

    `has_begun` once it has said which GPUs there are; `fault` is why it is to end or had to,
    `is_blamed` if that is a GPU's, and `is_renewed` if there is no fault but to begin anew.
    """

    def __init__(self, child: Child, now: float) -> None:
        self.child = child
        self.began_at = now
        self.has_begun = False
        self.is_renewed = self.is_blamed = False
        self.fault: str | None = None
        self.processor_seconds = 0.0
        self._killed_at: float | None = None
        self._position = (-1, wire.DRIVER)
        self._since = self._looked_at = now

    @property
    def is_killed(self) -> bool:
        """Whether its end was asked for."""
        return self._killed_at is not None

    def kill(self, now: float) -> None:
        """Have it end."""
        self._killed_at = now
        self.child.kill()

    def outlives(self, now: float) -> bool:
        """Whether it should have ended long ago."""
        return self._killed_at is not None and now - self._killed_at > _BURIAL_SECONDS

    def stuck_place(self, now: float, deadline_seconds: float) -> int | None:
        """Return where it has not gone on for too long, None while all is well."""
        position = self.child.position()
        slept = now - self._looked_at > _ABSENCE_SECONDS
        self._looked_at = now
        if slept or position != self._position:
            self._position, self._since = position, now
        patience = deadline_seconds
        if not self.has_begun:
            patience *= _DRIVER_START if position[1] < 0 else _GPU_START
        elif position[1] == wire.IDLE:
            patience = max(patience, _SLEEP_SECONDS)
        return position[1] if now - self._since > patience else None
