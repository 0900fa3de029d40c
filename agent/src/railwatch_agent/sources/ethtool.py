# SPDX-License-Identifier: Apache-2.0
"""A driver's own statistics, by ioctl (linux/ethtool.h, net/ethtool/ioctl.c, netdevice(7)).

    struct ifreq               { char name[16]; void *data; ... }
    struct ethtool_sset_info   { u32 cmd; u32 reserved; u64 sset_mask; u32 data[]; }
    struct ethtool_gstrings    { u32 cmd; u32 string_set; u32 len; u8 data[][32]; }
    struct ethtool_stats       { u32 cmd; u32 n_stats; u64 data[]; }

None of the three questions needs a privilege. The kernel holds the lock of all network
configuration while the driver answers, and some ask their firmware: this is not for fast sampling.

The kernel copies as many strings and numbers as the driver has at that moment, whatever the buffer
holds. Their number is therefore asked for immediately before, and the buffer has room for it to
double in between, as when an administrator doubles the queues.
"""

from __future__ import annotations

import ctypes
import errno
import socket
import struct
from fcntl import ioctl
from typing import TYPE_CHECKING, Final, Protocol, TypeAlias

from railwatch_agent.sources.errors import NotPermittedError, SourceError

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping

_SIOCETHTOOL: Final = 0x8946
_GET_STRINGS: Final = 0x1B
_GET_STATISTICS: Final = 0x1D
_GET_SET_INFO: Final = 0x37
_STATISTICS_SET: Final = 1
# ETH_GSTRING_LEN.
NAME_BYTES: Final = 32

_IFREQ: Final = struct.Struct("@16sP16x")
_SET_INFO: Final = struct.Struct("=IIQI")
_STRINGS: Final = struct.Struct("=III")
_STATISTICS: Final = struct.Struct("=II")
_NUMBER: Final = struct.Struct("=Q")

# A driver with a thousand queues of a hundred statistics each is imaginable, more is a mistake.
_MOST_STATISTICS: Final = 131_072
_SPARE_STATISTICS: Final = 1024
# Pause statistics move from one priority to another without a change in number (mlx5).
_READS_A_NAME: Final = 60

# How the kernel says that there is no such device, or that its driver keeps no such thing.
ABSENT: Final = frozenset({errno.EOPNOTSUPP, errno.EINVAL, errno.ENODEV, errno.ENXIO})
_REFUSED: Final = frozenset({errno.EPERM, errno.EACCES})

Positions: TypeAlias = "Mapping[str, int]"
"""Where in a driver's row of numbers those of these names are."""


class Control(Protocol):
    """One question to the driver of a network device; raises OSError as the kernel answers."""

    def __call__(self, netdev: str, buffer: bytearray) -> None:
        """Ask what *buffer* begins with; the answer replaces what it holds."""
        ...


def classify(code: int, what: str) -> SourceError | None:
    """Return the error that an errno stands for, None for what is simply not there.

    >>> classify(errno.EOPNOTSUPP, "statistics of rail0")
    >>> classify(errno.EPERM, "statistics of rail0")
    NotPermittedError('cannot read statistics of rail0: EPERM')
    """
    if code in ABSENT:
        return None
    message = f"cannot read {what}: {errno.errorcode.get(code, str(code))}"
    return NotPermittedError(message) if code in _REFUSED else SourceError(message)


def parse_count(data: bytes | bytearray) -> int:
    """Return how many statistics a device has, from its ethtool_sset_info; 0 if it keeps none.

    The kernel clears the bit of a set that the driver does not have.
    """
    if len(data) < _SET_INFO.size:
        raise SourceError(f"ethtool: set information of {len(data)} bytes")
    _, _, mask, count = _SET_INFO.unpack_from(data)
    if not mask & 1 << _STATISTICS_SET:
        return 0
    if count > _MOST_STATISTICS:
        raise SourceError(f"ethtool: {count} statistics are more than any driver has")
    return int(count)


def parse_names(data: bytes | bytearray) -> list[str]:
    """Return the names in an ethtool_gstrings, in the order of the numbers.

    A name ends at its first zero byte or fills its 32 bytes; what is not ASCII is replaced.
    """
    if len(data) < _STRINGS.size:
        raise SourceError(f"ethtool: names in {len(data)} bytes")
    _, _, count = _STRINGS.unpack_from(data)
    end = _STRINGS.size + count * NAME_BYTES
    if end > len(data):
        raise SourceError(f"ethtool: {count} names in {len(data)} bytes")
    rows = (bytes(data[at : at + NAME_BYTES]) for at in range(_STRINGS.size, end, NAME_BYTES))
    return [row.partition(b"\0")[0].decode("ascii", "replace").strip() for row in rows]


def parse_number_count(data: bytes | bytearray) -> int:
    """Return how many numbers an ethtool_stats says it holds, which it then does."""
    if len(data) < _STATISTICS.size:
        raise SourceError(f"ethtool: statistics in {len(data)} bytes")
    _, count = _STATISTICS.unpack_from(data)
    if _STATISTICS.size + count * _NUMBER.size > len(data):
        raise SourceError(f"ethtool: {count} statistics in {len(data)} bytes")
    return int(count)


def pick(data: bytes | bytearray, positions: Positions) -> dict[str, int]:
    """Return the numbers at *positions* of an ethtool_stats; raises SourceError if it is short."""
    count = parse_number_count(data)
    found: dict[str, int] = {}
    for name, position in positions.items():
        if position >= count:
            raise SourceError(f"ethtool: {count} statistics, and {name} is number {position}")
        (found[name],) = _NUMBER.unpack_from(data, _STATISTICS.size + position * _NUMBER.size)
    return found


class EthtoolControl:
    """Asks the kernel of the network namespace in which the first question is asked."""

    def __init__(self) -> None:
        self._socket: socket.socket | None = None

    def __del__(self) -> None:
        if self._socket is not None:
            self._socket.close()

    def __call__(self, netdev: str, buffer: bytearray) -> None:
        """Ask the driver of *netdev*."""
        if self._socket is None:
            kind = socket.SOCK_DGRAM | socket.SOCK_CLOEXEC
            self._socket = socket.socket(socket.AF_INET, kind)
        # The kernel writes through the pointer; the export keeps the buffer where it is.
        view = (ctypes.c_char * len(buffer)).from_buffer(buffer)
        ioctl(self._socket, _SIOCETHTOOL, _IFREQ.pack(netdev.encode(), ctypes.addressof(view)))


class StatisticsReader:
    """Reads some of a device's statistics again and again; for one thread.

    Names are kept until the device or the number of its statistics is another, and for sixty reads
    at most; only the numbers that are wanted are looked at, as a driver has dozens for each queue.
    """

    def __init__(
        self,
        wanted: Collection[str],
        control: Control | None = None,
        *,
        name_of: Callable[[int], str] = socket.if_indextoname,
    ) -> None:
        self._wanted = frozenset(wanted)
        self._control = EthtoolControl() if control is None else control
        self._name_of = name_of
        self._known: tuple[int, int] | None = None
        self._positions: Positions = {}
        self._reads = 0

    def read(self, ifindex: int) -> dict[str, int] | None:
        """Return the wanted statistics that the device keeps, None if it keeps none or is gone.

        Raises
        ------
        SourceError
            They are there and cannot be read; NotPermittedError if not by this user.
        """
        try:
            return self._read(ifindex, self._name_of(ifindex))
        except OSError as exc:
            self._known = None
            error = classify(exc.errno or 0, f"statistics of interface {ifindex}")
            if error is None:
                return None
            raise error from exc

    def _read(self, ifindex: int, netdev: str) -> dict[str, int] | None:
        count = self._count(netdev)
        if count == 0:
            return None
        self._reads += 1
        if self._known != (ifindex, count) or self._reads > _READS_A_NAME:
            self._positions = self._learn(netdev, count)
            self._known = (ifindex, count)
            self._reads = 1
        if not self._positions:
            return {}
        data = bytearray(_STATISTICS.size + _room(count) * _NUMBER.size)
        _STATISTICS.pack_into(data, 0, _GET_STATISTICS, count)
        self._control(netdev, data)
        if parse_number_count(data) != count:
            # They changed in between: the names are not theirs.
            self._known = None
            raise SourceError(f"statistics of {netdev} changed in number while they were read")
        return pick(data, self._positions)

    def _count(self, netdev: str) -> int:
        data = bytearray(_SET_INFO.pack(_GET_SET_INFO, 0, 1 << _STATISTICS_SET, 0))
        self._control(netdev, data)
        return parse_count(data)

    def _learn(self, netdev: str, count: int) -> Positions:
        data = bytearray(_STRINGS.size + _room(count) * NAME_BYTES)
        _STRINGS.pack_into(data, 0, _GET_STRINGS, _STATISTICS_SET, count)
        self._control(netdev, data)
        names = parse_names(data)
        if len(names) != count:
            raise SourceError(f"statistics of {netdev}: {len(names)} names for {count} numbers")
        # The first of a name, should a driver have it twice.
        return {n: i for i, n in reversed(list(enumerate(names))) if n in self._wanted}


def _room(count: int) -> int:
    return 2 * count + _SPARE_STATISTICS
