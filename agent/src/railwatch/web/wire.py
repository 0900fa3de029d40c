# SPDX-License-Identifier: Apache-2.0
"""A connection with bounds: so long for a request to come, so many bytes of it, so long to answer.

A socket's own time-out begins anew with each byte; a client that drips would stay for ever.
"""

from __future__ import annotations

import io
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import socket
    from collections.abc import Callable

    from _typeshed import ReadableBuffer, WriteableBuffer


@dataclass(frozen=True, slots=True)
class Limits:
    """What clients may take of a server.

    Attributes
    ----------
    connections
        A scraper keeps one; this many leave room for people and for a few Prometheis.
    request_seconds
        From a request's first byte to its last; a handshake has as long.
    idle_seconds
        How long a connection may say nothing between two requests.
    answer_seconds
        To take an answer.
    request_bytes
        Request line and headers; Prometheus sends some hundred.
    """

    connections: int = 64
    request_seconds: float = 10.0
    idle_seconds: float = 30.0
    answer_seconds: float = 20.0
    request_bytes: int = 16_384


class TooLargeError(Exception):
    """A request is larger than any may be."""


class Wire(io.RawIOBase):
    """The bytes of a connection; raises TimeoutError once what is expected has taken too long."""

    def __init__(
        self,
        connection: socket.socket,
        limits: Limits,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._connection = connection
        self._limits = limits
        self._monotonic = monotonic
        self._ends = 0.0
        self._room = 0
        self._has_begun = False

    def expect_request(self, *, is_first: bool) -> None:
        """Wait for a request; the first one has to begin at once."""
        limits = self._limits
        patience = limits.request_seconds if is_first else limits.idle_seconds
        self._ends = self._monotonic() + patience
        self._room = limits.request_bytes
        self._has_begun = False

    def expect_taking(self) -> None:
        """An answer follows, which the other side has to take."""
        self._ends = self._monotonic() + self._limits.answer_seconds

    def readable(self) -> bool:
        """It can be read from."""
        return True

    def writable(self) -> bool:
        """It can be written to."""
        return True

    def readinto(self, buffer: WriteableBuffer) -> int:
        """Read what is there, 0 bytes at the end."""
        if self._room <= 0:
            raise TooLargeError
        self._connection.settimeout(self._remaining())
        view = memoryview(buffer)
        count = self._connection.recv_into(view, min(len(view), self._room))
        self._room -= count
        if not self._has_begun:
            self._has_begun = True
            self._ends = self._monotonic() + self._limits.request_seconds
        return count

    def write(self, content: ReadableBuffer) -> int:
        """Write all of *content*."""
        view = memoryview(content)
        sent = 0
        while sent < len(view):
            self._connection.settimeout(self._remaining())
            sent += self._connection.send(view[sent:])
        return sent

    def _remaining(self) -> float:
        remaining = self._ends - self._monotonic()
        if remaining <= 0:
            raise TimeoutError("the time for it is over")
        return remaining
