# SPDX-License-Identifier: Apache-2.0
"""How much may be read of what anybody may send: so much a second, and a burst of it."""

from __future__ import annotations


class Budget:
    """Grows by *a_second* up to *most*; what is spent may exceed it once, and is owed then."""

    def __init__(self, a_second: float, most: float, now: float) -> None:
        self._a_second = a_second
        self._most = most
        self._held = most
        self._at = now

    def is_left(self, now: float) -> bool:
        """Whether something is left to spend."""
        self._held = min(self._most, self._held + (now - self._at) * self._a_second)
        self._at = now
        return self._held >= 1.0

    def spend(self, amount: float) -> None:
        """Take *amount* away."""
        self._held -= amount
