# SPDX-License-Identifier: Apache-2.0
"""The terminal as a device: a screen to draw on, a stream to write lines to, signals to end by."""

from __future__ import annotations

import os
import signal
import sys
import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING, Self

from rich.console import Console, Group
from rich.live import Live

from railwatch_analyzer.terminal.layout import Size, fitted

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from rich.text import Text


def is_screen() -> bool:
    """Whether standard output is a terminal that can be drawn on."""
    # Not rich's own guess: FORCE_COLOR makes it take a file for a terminal.
    return sys.stdout.isatty() and os.environ.get("TERM", "") not in {"", "dumb", "unknown"}


@contextmanager
def stopping() -> Iterator[threading.Event]:
    """Yield an event that SIGINT and SIGTERM set, instead of what they did before."""
    stop = threading.Event()
    numbers = (signal.SIGINT, signal.SIGTERM)
    before = [signal.signal(number, lambda *_: stop.set()) for number in numbers]
    try:
        yield stop
    finally:
        for number, handler in zip(numbers, before, strict=True):
            signal.signal(number, handler)


class Screen:
    """The terminal's other screen while the context is open; its own contents come back after."""

    def __init__(self, console: Console | None = None) -> None:
        self._console = console or Console(markup=False, emoji=False, highlight=False)
        self._live = Live(console=self._console, screen=True, auto_refresh=False)

    @property
    def size(self) -> Size:
        """Columns and rows, as they are now."""
        return Size(self._console.width, self._console.height)

    def draw(self, lines: Sequence[Text]) -> None:
        """Show *lines* instead of what was there."""
        self._live.update(Group(*fitted(lines, self.size)), refresh=True)

    def leave(self, lines: Sequence[Text]) -> None:
        """Go back to the terminal's own contents and add *lines* to them."""
        self._live.stop()
        for line in lines:
            self._console.print(line)

    def __enter__(self) -> Self:
        self._live.start()
        return self

    def __exit__(self, *exception: object) -> None:
        self._live.stop()


def say(line: str) -> None:
    """Write one line to standard output at once."""
    encoding = sys.stdout.encoding or "utf-8"
    sys.stdout.write(line.encode(encoding, "replace").decode(encoding) + "\n")
    sys.stdout.flush()


def hang_up() -> None:
    """Throw away what standard output still holds: nobody reads it any more."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
