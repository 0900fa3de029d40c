# SPDX-License-Identifier: Apache-2.0
"""What lldpd has heard, through liblldpctl (lldpctl.h of lldpd 1.0).

The library comes with lldpd (Debian: in the package lldpd) and is the only door to its socket: what
passes there are structures of C that change with lldpd. Its own way of reading blocks for as long
as lldpd does, so bytes are moved by the caller's functions. What it calls an atom is an object that
belongs to whom a function has returned it to, and has to be given back.
"""

from __future__ import annotations

import ctypes
import logging
from contextlib import contextmanager
from ctypes import CFUNCTYPE, c_char_p, c_int, c_long, c_size_t, c_ssize_t, c_void_p
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Protocol

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator

log = logging.getLogger(__name__)

_LIBRARY: Final = "liblldpctl.so.4"
# lldpctl_key_t; the values are part of the library's interface.
_INTERFACE_NAME: Final = 1000
_PORT_NEIGHBORS: Final = 1200
_PORT_ID_SUBTYPE: Final = 1203
_PORT_ID: Final = 1204
_PORT_DESCRIPTION: Final = 1205
_PORT_HIDDEN: Final = 1206
_CHASSIS_ID: Final = 1802
_CHASSIS_NAME: Final = 1803
_CHASSIS_CAPABILITIES: Final = 1806
# LLDPCTL_ERR_CALLBACK_FAILURE
_CALLBACK_FAILURE: Final = -902

_Transfer = CFUNCTYPE(c_ssize_t, c_void_p, c_void_p, c_size_t, c_void_p)
_Log = CFUNCTYPE(None, c_int, c_char_p)
_PROTOTYPES: Final = {
    "new": (c_void_p, (_Transfer, _Transfer, c_void_p)),
    "release": (c_int, (c_void_p,)),
    "last_error": (c_int, (c_void_p,)),
    "strerror": (c_char_p, (c_int,)),
    "log_callback": (None, (_Log,)),
    "get_interfaces": (c_void_p, (c_void_p,)),
    "get_port": (c_void_p, (c_void_p,)),
    "atom_get": (c_void_p, (c_void_p, c_int)),
    "atom_get_str": (c_char_p, (c_void_p, c_int)),
    "atom_get_int": (c_long, (c_void_p, c_int)),
    "atom_iter": (c_void_p, (c_void_p,)),
    "atom_iter_next": (c_void_p, (c_void_p, c_void_p)),
    "atom_iter_value": (c_void_p, (c_void_p, c_void_p)),
    "atom_dec_ref": (None, (c_void_p,)),
}


class LldpctlError(Exception):
    """The library could not make sense of lldpd; the message says why in its words."""


class Channel(Protocol):
    """Moves bytes to and from lldpd; may raise whatever it likes."""

    def send(self, data: bytes) -> int:
        """Send, and return how many bytes that were."""
        ...

    def receive(self, length: int) -> bytes:
        """Return at most *length* bytes; none at the end."""
        ...


@dataclass(frozen=True, slots=True)
class Heard:
    """A neighbour that was heard on an interface; texts are as the neighbour sent them.

    *capabilities* are those enabled, of IEEE 802.1AB; *port_subtype* says what the port's id is.
    """

    interface: str
    chassis_id: bytes
    chassis_name: bytes
    capabilities: int
    port_subtype: int
    port_id: bytes
    port_description: bytes


class Lldpctl:
    """The library, loaded; raises OSError where there is none."""

    def __init__(self) -> None:
        library = ctypes.CDLL(_LIBRARY)
        self._c = {name: getattr(library, f"lldpctl_{name}") for name in _PROTOTYPES}
        for name, (result, arguments) in _PROTOTYPES.items():
            self._c[name].restype, self._c[name].argtypes = result, arguments
        # It would write to stderr. Kept, as the library calls it for as long as there is a process.
        self._log = _Log(lambda _, text: log.debug("liblldpctl: %s", text))
        self._c["log_callback"](self._log)

    def heard(self, channel: Channel, interfaces: Collection[str]) -> list[Heard]:
        """Return what was heard on *interfaces*; an interface that lldpd does not know is silent.

        Raises
        ------
        LldpctlError
            Or what *channel* has raised.
        """
        transfers = _Transfers(channel)
        connection = self._c["new"](transfers.send, transfers.receive, None)
        if connection is None:
            raise LldpctlError("out of memory")
        try:
            return list(self._heard(connection, interfaces))
        except LldpctlError:
            if transfers.error is not None:
                raise transfers.error from None
            raise
        finally:
            self._c["release"](connection)

    def _heard(self, connection: int, interfaces: Collection[str]) -> Iterator[Heard]:
        with self._atom(connection, self._c["get_interfaces"](connection)) as known:
            for interface in self._items(known):
                name = self._text(interface, _INTERFACE_NAME).decode("ascii", "replace")
                if name not in interfaces:
                    continue
                with (
                    self._atom(connection, self._c["get_port"](interface)) as port,
                    self._atom(connection, self._c["atom_get"](port, _PORT_NEIGHBORS)) as heard,
                ):
                    for neighbor in self._items(heard):
                        if self._number(neighbor, _PORT_HIDDEN) != 1:
                            yield self._describe(name, neighbor)

    def _describe(self, interface: str, neighbor: int) -> Heard:
        # A port answers for its chassis too.
        return Heard(
            interface=interface,
            chassis_id=self._text(neighbor, _CHASSIS_ID),
            chassis_name=self._text(neighbor, _CHASSIS_NAME),
            capabilities=self._number(neighbor, _CHASSIS_CAPABILITIES),
            port_subtype=self._number(neighbor, _PORT_ID_SUBTYPE),
            port_id=self._text(neighbor, _PORT_ID),
            port_description=self._text(neighbor, _PORT_DESCRIPTION),
        )

    @contextmanager
    def _atom(self, connection: int, atom: int | None) -> Iterator[int]:
        if atom is None:
            reason = self._c["strerror"](self._c["last_error"](connection)) or b"unknown error"
            raise LldpctlError(reason.decode("ascii", "replace"))
        try:
            yield atom
        finally:
            self._c["atom_dec_ref"](atom)

    def _items(self, atom: int) -> Iterator[int]:
        at = self._c["atom_iter"](atom)
        while at is not None:
            item = self._c["atom_iter_value"](atom, at)
            if item is None:
                return
            try:
                yield item
            finally:
                self._c["atom_dec_ref"](item)
            at = self._c["atom_iter_next"](atom, at)

    def _text(self, atom: int, key: int) -> bytes:
        found: bytes | None = self._c["atom_get_str"](atom, key)
        return found or b""

    def _number(self, atom: int, key: int) -> int:
        # -1 is what is not known.
        return max(int(self._c["atom_get_int"](atom, key)), 0)


class _Transfers:
    """A channel as the library calls it; an exception may not pass through C and is kept."""

    def __init__(self, channel: Channel) -> None:
        self.error: Exception | None = None
        self.send = _Transfer(self._send)
        self.receive = _Transfer(self._receive)
        self._channel = channel

    def _send(self, _connection: int, data: int, length: int, _user: int) -> int:
        try:
            return self._channel.send(ctypes.string_at(data, length))
        except Exception as exc:
            self.error = exc
            return _CALLBACK_FAILURE

    def _receive(self, _connection: int, data: int, length: int, _user: int) -> int:
        try:
            received = self._channel.receive(length)
        except Exception as exc:
            self.error = exc
            return _CALLBACK_FAILURE
        ctypes.memmove(data, received, len(received))
        return len(received)
