# SPDX-License-Identifier: Apache-2.0
"""Questions to a network device by the kernel's ethtool family of generic netlink.

Knowledge: linux/genetlink.h, linux/ethtool_netlink.h, Documentation/networking/ethtool-netlink.rst.

    struct genlmsghdr { u8 cmd; u8 version; u16 reserved; }        before each request and reply

The first attribute of each request says which device is meant, and carries flags. Linux 5.6 has
the family; a kernel does not know commands and attributes that came later, which is absence too.
"""

from __future__ import annotations

import errno
import struct
from typing import TYPE_CHECKING, Final, NamedTuple, TypeVar

from railwatch_agent.sources.errors import SourceError
from railwatch_agent.sources.ethtool import classify
from railwatch_agent.sources.netlink import (
    NETLINK_GENERIC,
    KernelError,
    Netlink,
    SingleRequest,
    attribute,
    find_attribute,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from railwatch_agent.sources.netlink import Payload

T = TypeVar("T")

_CONTROLLER: Final = 16
_GET_FAMILY: Final = 3
_FAMILY_ID: Final = 1
_FAMILY_NAME: Final = 2
_FAMILY: Final = b"ethtool\0"

_NESTED: Final = 0x8000
_HEADER: Final = 1
_HEADER_INDEX: Final = 1
_HEADER_FLAGS: Final = 3
# ETHTOOL_FLAG_STATS; commands that keep no statistics refuse it.
FLAG_STATISTICS: Final = 4

_GENERIC_HEADER: Final = struct.Struct("=BBH")
_U8: Final = struct.Struct("=B")
_U16: Final = struct.Struct("=H")
_U32: Final = struct.Struct("=I")


class Question(NamedTuple):
    """What can be asked of a device; `what` names it where it cannot be answered."""

    what: str
    command: int
    flags: int = 0


def parse_family(data: bytes, start: int, end: int) -> int:
    """Return the number of a generic netlink family from a CTRL_CMD_NEWFAMILY."""
    span = find_attribute(data, start + _GENERIC_HEADER.size, end, _FAMILY_ID)
    if span is None or span[1] - span[0] < _U16.size:
        raise SourceError("ethtool: no number in the kernel's answer about its netlink family")
    return int(_U16.unpack_from(data, span[0])[0])


def find_u8(data: bytes, start: int, end: int, kind: int) -> int | None:
    """Return the number in the attribute of this type, None without one."""
    return _find_number(data, start, end, kind, _U8)


def find_u32(data: bytes, start: int, end: int, kind: int) -> int | None:
    """Return the number in the attribute of this type, None without one."""
    return _find_number(data, start, end, kind, _U32)


def _find_number(data: bytes, start: int, end: int, kind: int, form: struct.Struct) -> int | None:
    span = find_attribute(data, start, end, kind)
    if span is None or span[1] - span[0] < form.size:
        return None
    return int(form.unpack_from(data, span[0])[0])


class EthtoolNetlink:
    """Asks about one device after another; for one thread."""

    def __init__(self, netlink: Netlink | None = None) -> None:
        self._netlink = Netlink(NETLINK_GENERIC) if netlink is None else netlink
        self._family: int | None = None

    def ask(
        self,
        question: Question,
        parse: Callable[[bytes, int, int], T],
        ifindex: int,
        attributes: bytes = b"",
    ) -> T | None:
        """Return what *parse* makes of the answer's attributes, None if there is no such thing.

        Raises
        ------
        SourceError
            It is there and cannot be read; NotPermittedError if not by this user.
        """
        try:
            if self._family is None:
                self._family = self._find_family()
            answer = self._ask(self._family, question, ifindex, attributes)
        except KernelError as exc:
            if exc.code == errno.ENOENT:
                # No such family: a kernel without it, or one that numbers it anew.
                self._family = None
                return None
            error = classify(exc.code, f"{question.what} of interface {ifindex}")
            if error is None:
                return None
            raise error from exc
        return None if answer is None else parse(*answer)

    def _find_family(self) -> int:
        body = _GENERIC_HEADER.pack(_GET_FAMILY, 1, 0) + attribute(_FAMILY_NAME, _FAMILY)
        request = SingleRequest("netlink family of ethtool", _CONTROLLER, _CONTROLLER, body)
        replies = self._netlink.dump(request)
        if not replies:
            raise SourceError("ethtool: no answer about its netlink family")
        return parse_family(*replies[0])

    def _ask(
        self, family: int, question: Question, ifindex: int, attributes: bytes
    ) -> Payload | None:
        header = attribute(_HEADER_INDEX, _U32.pack(ifindex))
        if question.flags:
            header += attribute(_HEADER_FLAGS, _U32.pack(question.flags))
        body = _GENERIC_HEADER.pack(question.command, 1, 0)
        body += attribute(_HEADER | _NESTED, header) + attributes
        replies = self._netlink.dump(SingleRequest(question.what, family, family, body))
        if not replies:
            return None
        data, start, end = replies[0]
        return data, start + _GENERIC_HEADER.size, end

    def close(self) -> None:
        """Close the socket; another question opens it again."""
        self._netlink.close()
