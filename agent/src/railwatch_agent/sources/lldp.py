# SPDX-License-Identifier: Apache-2.0
"""A node's neighbours as its lldpd knows them (lldpd(8); IEEE 802.1AB for what they send).

lldpd forgets a neighbour that it has not heard for as long as that one wished (its time to live).
Texts come off the wire, from whatever is plugged in at the other end.
"""

from __future__ import annotations

import errno
import socket
import time
from typing import TYPE_CHECKING, Final

from railwatch_agent.sources.errors import SourceError
from railwatch_agent.sources.lldpctl import Heard, Lldpctl, LldpctlError
from railwatch_agent.sources.topology import Neighbor

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable
    from pathlib import Path
    from typing import Protocol, Self

    from railwatch_agent.sources.lldpctl import Channel

    class Library(Protocol):
        """What is needed of `Lldpctl`."""

        def heard(self, channel: Channel, interfaces: Collection[str]) -> list[Heard]:
            """Return what was heard on *interfaces*."""
            ...


# Subtypes of a port's id, and capabilities.
_MAC_ADDRESS: Final = 3
_LOCAL: Final = 7
_BRIDGE_OR_ROUTER: Final = 0x04 | 0x10

_NAME_LENGTH: Final = 128


class LldpUnavailableError(Exception):
    """There is no lldpd here, or it is not for us (*is_refusal*): no fault; says why."""

    def __init__(self, reason: str, *, is_refusal: bool = False) -> None:
        super().__init__(reason)
        self.is_refusal = is_refusal


class LldpReader:
    """Asks lldpd behind the socket at *path*; *timeout_seconds* is for the whole of an answer."""

    def __init__(
        self,
        path: Path,
        *,
        timeout_seconds: float = 3.0,
        load: Callable[[], Library] = Lldpctl,
    ) -> None:
        self._path = path
        self._timeout_seconds = timeout_seconds
        self._load = load
        self._library: Library | None = None

    def read(self, interfaces: Collection[str]) -> dict[str, Neighbor]:
        """Return the neighbours by interface.

        Raises
        ------
        LldpUnavailableError
            There is no lldpd, no library, or no permission.
        SourceError
            lldpd does not answer, or not intelligibly.
        """
        try:
            with _Conversation(self._path, self._timeout_seconds) as channel:
                return choose(self._loaded().heard(channel, interfaces))
        except FileNotFoundError as exc:
            raise LldpUnavailableError(f"there is no {self._path}: lldpd does not run") from exc
        except PermissionError as exc:
            raise LldpUnavailableError(
                f"{self._path}: {exc.strerror}; only the group that it belongs to may ask lldpd",
                is_refusal=True,
            ) from exc
        except TimeoutError as exc:
            seconds = self._timeout_seconds
            raise SourceError(f"{self._path}: no answer within {seconds:g} s") from exc
        except (OSError, LldpctlError) as exc:
            raise SourceError(f"{self._path}: {exc}") from exc

    def _loaded(self) -> Library:
        if self._library is None:
            try:
                self._library = self._load()
            # MemoryError: callbacks from C need a page that can be executed, and may not have one.
            except (OSError, MemoryError) as exc:
                raise LldpUnavailableError(f"the library of lldpd cannot be loaded: {exc}") from exc
        return self._library


class _Conversation:
    """A connection that ends at a deadline, however slowly the other side talks."""

    def __init__(self, path: Path, seconds: float) -> None:
        self._end = time.monotonic() + seconds
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self._path = path

    def __enter__(self) -> Self:
        try:
            self._wait().connect(str(self._path))
        except BaseException:
            self._socket.close()
            raise
        return self

    def __exit__(self, *exception: object) -> None:
        self._socket.close()

    def send(self, data: bytes) -> int:
        """Send what can be sent."""
        return self._wait().send(data)

    def receive(self, length: int) -> bytes:
        """Return at most *length* bytes."""
        return self._wait().recv(length)

    def _wait(self) -> socket.socket:
        left = self._end - time.monotonic()
        if left <= 0:
            raise TimeoutError(errno.ETIMEDOUT, "the time is over")
        self._socket.settimeout(left)
        return self._socket


def choose(heard: Iterable[Heard]) -> dict[str, Neighbor]:
    """Return one neighbour an interface: a bridge or router before a host, then by name.

    Several are heard where a device in between passes LLDP on, or speaks for itself.
    """
    found: dict[str, Neighbor] = {}
    for each in sorted(heard, key=_rank):
        found.setdefault(each.interface, Neighbor(name_switch(each), name_port(each)))
    return found


def _rank(heard: Heard) -> tuple[bool, str, str]:
    return not heard.capabilities & _BRIDGE_OR_ROUTER, name_switch(heard), name_port(heard)


def name_switch(heard: Heard) -> str:
    """Return the system's name, or the chassis's id where it has none."""
    return clean(heard.chassis_name) or clean(heard.chassis_id)


def name_port(heard: Heard) -> str:
    """Return the port's id, or its description where the id is a number that nobody knows it by."""
    name, description = clean(heard.port_id), clean(heard.port_description)
    is_bare = heard.port_subtype == _LOCAL and name.isdecimal()
    return (description or name) if heard.port_subtype == _MAC_ADDRESS or is_bare else name


def clean(text: bytes) -> str:
    r"""Return what can be shown of a text off the wire.

    >>> clean(b" leaf1\n\x00"), clean(bytes([0xff]))
    ('leaf1', '\ufffd')
    """
    shown = "".join(c for c in text.decode("utf-8", "replace") if c.isprintable())
    return shown.strip()[:_NAME_LENGTH]
