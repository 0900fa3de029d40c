"""The ring keeps its lockstep: nothing is sent before what it depends on has arrived."""

from __future__ import annotations

import socket
from typing import TYPE_CHECKING

import pytest

from lab.ring import Flag, RingRail

if TYPE_CHECKING:
    from collections.abc import Iterator

_CHUNK_BYTES = 4
_CHUNKS = 3


@pytest.fixture
def ends() -> Iterator[tuple[RingRail, socket.socket, socket.socket]]:
    """One rank's rail, and what the next and the previous rank hold of it."""
    following, following_end = socket.socketpair()
    preceding, preceding_end = socket.socketpair()
    rail = RingRail(following, preceding, chunk_bytes=_CHUNK_BYTES, chunks=_CHUNKS)
    for end in (following_end, preceding_end):
        end.settimeout(5.0)
    with following, following_end, preceding, preceding_end:
        yield rail, following_end, preceding_end


def _receive(connection: socket.socket, count: int) -> bytes:
    """Receive exactly so many bytes; MSG_WAITALL has no effect on a socket with a timeout."""
    received = b""
    while len(received) < count:
        received += connection.recv(count - len(received))
    return received


def _nothing_comes(connection: socket.socket) -> bool:
    connection.settimeout(0.1)
    try:
        connection.recv(1)
    except TimeoutError:
        return True
    finally:
        connection.settimeout(5.0)
    return False


def test_a_chunk_leaves_only_after_the_one_it_depends_on(
    ends: tuple[RingRail, socket.socket, socket.socket],
) -> None:
    rail, following, preceding = ends
    rail.begin(Flag.GO)

    for _ in range(_CHUNKS):
        assert _receive(following, _CHUNK_BYTES) == bytes(_CHUNK_BYTES)
        assert _nothing_comes(following)
        preceding.sendall(bytes(_CHUNK_BYTES))

    assert rail.finish() == Flag.GO
    assert _nothing_comes(following)


def test_what_rank_0_says_is_passed_on_and_answered(
    ends: tuple[RingRail, socket.socket, socket.socket],
) -> None:
    rail, following, preceding = ends
    rail.begin(Flag.GO)
    preceding.sendall(bytes([Flag.PAUSE, 0, 0, 0]) + bytes(_CHUNK_BYTES * (_CHUNKS - 1)))

    sent = _receive(following, _CHUNK_BYTES * _CHUNKS)

    assert list(sent[::_CHUNK_BYTES]) == [Flag.GO, Flag.PAUSE, Flag.PAUSE]
    assert rail.finish() == Flag.PAUSE


def test_a_rank_that_leaves_ends_the_job(
    ends: tuple[RingRail, socket.socket, socket.socket],
) -> None:
    rail, _, preceding = ends
    rail.begin(Flag.GO)
    preceding.close()

    with pytest.raises(ConnectionResetError, match="after 0 bytes"):
        rail.finish()
