# SPDX-License-Identifier: Apache-2.0
"""The PCIe link of a function and its errors (Documentation/ABI/testing/sysfs-bus-pci and -aer).

All of it is readable by everybody. The link is what was negotiated with the slot; the maximum is
what the function could do, which a narrower or older slot keeps from it for good.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from railwatch_agent.sources.errors import SourceError
from railwatch_agent.sources.files import TextFile

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

# Gigatransfers per second and lane by generation (PCI Express Base Specification).
_GENERATIONS: Final = {2.5: 1, 5.0: 2, 8.0: 3, 16.0: 4, 32.0: 5, 64.0: 6, 128.0: 7}
# Bits of payload in a transfer: 8 of 10 are in the first two, 128 of 130 in the next three, and
# all in those that are sent in flits.
_PAYLOAD: Final = {1: 0.8, 2: 0.8, 3: 128 / 130, 4: 128 / 130, 5: 128 / 130}
_SPEED: Final = re.compile(r"(\d+(?:\.\d+)?) GT/s(?: PCIe)?")
_TOTAL: Final = re.compile(r"^TOTAL_ERR_\w+ (\d+)$", re.MULTILINE | re.ASCII)
# The field in the register has six bits, and a function that is gone answers with all of them.
_UNKNOWN_WIDTHS: Final = frozenset({0, 63, 255})


def parse_generation(text: str) -> int | None:
    """Return the generation of a `link_speed`, None while there is no link.

    >>> parse_generation("32.0 GT/s PCIe"), parse_generation("8 GT/s"), parse_generation("Unknown")
    (5, 3, None)
    """
    word = text.strip()
    if word.startswith("Unknown"):
        return None
    match = _SPEED.fullmatch(word)
    if match is None or float(match[1]) not in _GENERATIONS:
        raise ValueError(f"not the speed of a PCIe link: {word[:60]!r}")
    return _GENERATIONS[float(match[1])]


def parse_width(text: str) -> int | None:
    """Return the lanes of a `link_width`, None while there is no link.

    >>> parse_width("16"), parse_width("0"), parse_width("63")
    (16, None, None)
    """
    lanes = int(text)
    if lanes < 0:
        raise ValueError(f"not the width of a PCIe link: {text.strip()[:60]!r}")
    return None if lanes in _UNKNOWN_WIDTHS else lanes


def bandwidth(width: int, generation: int) -> float:
    """Return the payload of a link in gigabits per second.

    >>> round(bandwidth(16, 4)), round(bandwidth(1, 1))
    (252, 2)
    """
    transfers = next(rate for rate, number in _GENERATIONS.items() if number == generation)
    return width * transfers * _PAYLOAD.get(generation, 1.0)


def parse_error_total(text: str) -> int:
    r"""Return the last line of an `aer_dev_*` file, which is the sum of those above.

    >>> parse_error_total("RxErr 1\nBadTLP 2\nTOTAL_ERR_COR 3\n")
    3
    """
    match = _TOTAL.search(text)
    if match is None:
        raise ValueError(f"no total among the errors: {text[:60]!r}")
    return int(match[1])


class LinkFact:
    """One file of the function at *address*, read again and again."""

    def __init__(
        self, sysfs: Path, address: str, attribute: str, parse: Callable[[str], int | None]
    ) -> None:
        self.what = f"{attribute} of {address}"
        self._file = TextFile(sysfs / "bus" / "pci" / "devices" / address / attribute)
        self._parse = parse

    def read(self) -> int | None:
        """Return what *parse* makes of the file, None if it is not there.

        Raises
        ------
        SourceError
            It is there and cannot be read or parsed.
        """
        text = self._file.read()
        try:
            return None if text is None else self._parse(text)
        except ValueError as exc:
            raise SourceError(f"cannot parse {self._file.path}: {exc}") from exc
