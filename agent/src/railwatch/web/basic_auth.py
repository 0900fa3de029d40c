# SPDX-License-Identifier: Apache-2.0
"""Basic authentication (RFC 7617) against bcrypt hashes, at a cost that a flood cannot raise.

bcrypt takes a tenth of a second of CPU by design. What it said is remembered, one password at a
time is tried, and after a wrong one it rests for nine times as long as that took: guessing costs a
tenth of a core at most. bcrypt's module lets go of the interpreter's lock while it works.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import secrets
import threading
import time
from collections import OrderedDict
from enum import Enum, auto
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

# bcrypt reads so many bytes of a password and no more.
_MOST_PASSWORD_BYTES = 72
# Who waits beyond these is sent away: each holds a connection.
_MOST_WAITING = 4
_REST_TIMES_TAKEN = 9.0
_LONGEST_REST_SECONDS = 5.0
_REMEMBERED = 256


class Admission(Enum):
    """What became of a password."""

    GRANTED = auto()
    REFUSED = auto()
    BUSY = auto()


def parse_basic(authorization: str) -> tuple[str, bytes] | None:
    """Return user and password of the header Authorization, None if it has none.

    >>> parse_basic("Basic YWxpY2U6YTpi")
    ('alice', b'a:b')
    """
    scheme, _, encoded = authorization.partition(" ")
    if scheme.lower() != "basic":
        return None
    try:
        user, colon, password = base64.b64decode(encoded.strip(), validate=True).partition(b":")
        return (user.decode("utf-8"), password) if colon else None
    except (binascii.Error, ValueError):
        return None


class Passwords:
    """Tries passwords and remembers which were right and which were wrong.

    Parameters
    ----------
    matches
        Whether a password has a hash; slow.
    monotonic, rest
        A clock, and how to wait on it.
    """

    def __init__(
        self,
        matches: Callable[[bytes, bytes], bool],
        *,
        monotonic: Callable[[], float] = time.monotonic,
        rest: Callable[[float], None] = time.sleep,
    ) -> None:
        self._matches = matches
        self._monotonic = monotonic
        self._rest = rest
        # Known to this process only: what is remembered says nothing of a password without it, and
        # how long a look-up takes neither.
        self._key = secrets.token_bytes(32)
        self._right = _Memory(_REMEMBERED)
        # Apart, so that a flood of wrong ones drives out no right one.
        self._wrong = _Memory(_REMEMBERED)
        self._waiting = threading.BoundedSemaphore(_MOST_WAITING)
        self._one_at_a_time = threading.Lock()
        self._resting_until = 0.0

    def judge(self, users: Mapping[str, bytes], authorization: str) -> Admission:
        """Return whether *authorization* is that of one of *users* (name → hash)."""
        given = parse_basic(authorization)
        # Versions of bcrypt differ in what they say of these, some with an exception.
        if given is None or len(given[1]) > _MOST_PASSWORD_BYTES or b"\0" in given[1]:
            return Admission.REFUSED
        user, password = given
        # A user who does not exist takes as long as one who does.
        hashed = users.get(user) or next(iter(users.values()))
        mark = self._mark(user, hashed, password)
        known = self._remembered(mark)
        if known is not None:
            return known
        if not self._waiting.acquire(blocking=False):
            return Admission.BUSY
        try:
            with self._one_at_a_time:
                return self._remembered(mark) or self._try(mark, password, hashed, user in users)
        finally:
            self._waiting.release()

    def _remembered(self, mark: bytes) -> Admission | None:
        if self._right.holds(mark):
            return Admission.GRANTED
        return Admission.REFUSED if self._wrong.holds(mark) else None

    def _try(self, mark: bytes, password: bytes, hashed: bytes, is_user: bool) -> Admission:  # noqa: FBT001
        self._rest(max(self._resting_until - self._monotonic(), 0.0))
        began = self._monotonic()
        is_right = self._matches(password, hashed) and is_user
        ended = self._monotonic()
        if is_right:
            self._right.add(mark)
            return Admission.GRANTED
        self._wrong.add(mark)
        rest = min(_REST_TIMES_TAKEN * (ended - began), _LONGEST_REST_SECONDS)
        self._resting_until = ended + rest
        return Admission.REFUSED

    def _mark(self, user: str, hashed: bytes, password: bytes) -> bytes:
        digest = hashlib.blake2b(key=self._key)
        for part in (user.encode(), hashed, password):
            digest.update(len(part).to_bytes(4, "big") + part)
        return digest.digest()


class _Memory:
    """Marks of passwords, the least recently seen of which is forgotten first."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._marks: OrderedDict[bytes, None] = OrderedDict()
        self._lock = threading.Lock()

    def holds(self, mark: bytes) -> bool:
        with self._lock:
            if mark not in self._marks:
                return False
            self._marks.move_to_end(mark)
            return True

    def add(self, mark: bytes) -> None:
        with self._lock:
            self._marks[mark] = None
            while len(self._marks) > self._most:
                self._marks.popitem(last=False)
