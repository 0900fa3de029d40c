# SPDX-License-Identifier: Apache-2.0
"""The kernel's ethtool family as a fake socket: what it is asked, and what it answers."""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, Any

from agent.test_netlink import FakeKernel, message
from railwatch_agent.sources.ethtool_netlink import EthtoolNetlink
from railwatch_agent.sources.netlink import Netlink, attribute

if TYPE_CHECKING:
    from collections.abc import Callable

CONTROLLER, FAMILY, ERROR = 16, 21, 2
GENERIC = struct.pack("=BBH", 0, 1, 0)


def family(number: int = FAMILY) -> bytes:
    return GENERIC + attribute(2, b"ethtool\0") + attribute(1, struct.pack("=H", number))


def acknowledged(sequence: int, code: int = 0) -> bytes:
    return message(ERROR, sequence, struct.pack("=i", -code) + bytes(16))


class EthtoolKernel(FakeKernel):
    """Names its family; to each other request *answer* gives attributes, or an errno to refuse.

    `requests` are those, from the generic header on.
    """

    def __init__(self, answer: Callable[[bytes], bytes | int]) -> None:
        super().__init__(self._reply)
        self.requests: list[bytes] = []
        self._answer = answer
        self._request = b""

    def send(self, data: Any, *args: Any) -> int:
        """Take a request and prepare the answer."""
        self._request = bytes(data[16:])
        return super().send(data, *args)

    def _reply(self, asked: int, sequence: int) -> list[bytes]:
        if asked == 1:
            return [message(CONTROLLER, sequence, family()), acknowledged(sequence)]
        self.requests.append(self._request)
        told = self._answer(self._request)
        if isinstance(told, int):
            return [acknowledged(sequence, told)]
        return [message(FAMILY, sequence, GENERIC + told), acknowledged(sequence)]

    def netlink(self) -> EthtoolNetlink:
        """Return a conversation with it."""
        return EthtoolNetlink(Netlink(16, opener=self.open))


def u8(kind: int, value: int) -> bytes:
    return attribute(kind, struct.pack("=B", value))


def u32(kind: int, value: int) -> bytes:
    return attribute(kind, struct.pack("=I", value))
