# SPDX-License-Identifier: Apache-2.0
"""Where the demonstration is seen: what is simulated, and apart from it what railwatch says."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Protocol, Self

from rich.text import Text

from railwatch_analyzer.terminal.layout import Size, draw
from railwatch_analyzer.terminal.palette import DIM, WARNING, assemble
from railwatch_analyzer.terminal.picture import NOTHING
from railwatch_analyzer.terminal.screen import Screen, say
from railwatch_analyzer.terminal.wording import counts, learning, said, time_of_day

if TYPE_CHECKING:
    from collections.abc import Sequence

    from railwatch_analyzer.demonstration.narration import Announcement
    from railwatch_analyzer.findings import Finding
    from railwatch_analyzer.terminal.picture import Picture

_REMEMBERED = 3


class Stage(Protocol):
    """Shows the demonstration while its context is open."""

    def announce(self, announcement: Announcement) -> None:
        """Say what is going on in the simulation."""
        ...

    def show(self, picture: Picture, lines: Sequence[Finding]) -> None:
        """Show what railwatch knows, and what it said in this round."""
        ...

    def leave(self, summary: Sequence[Text]) -> None:
        """Show how it ended, for good."""
        ...

    def __enter__(self) -> Self:
        """Open the curtain."""
        ...

    def __exit__(self, *exception: object) -> None:
        """Close it, whatever happened."""
        ...


class ScreenStage:
    """Draws on the whole terminal."""

    def __init__(self, screen: Screen | None = None) -> None:
        self._screen = screen or Screen()
        self._said: deque[Announcement] = deque(maxlen=_REMEMBERED)
        self._picture = NOTHING

    def announce(self, announcement: Announcement) -> None:
        """Draw the sentence among the last ones."""
        self._said.append(announcement)
        self._draw()

    def show(self, picture: Picture, lines: Sequence[Finding]) -> None:  # noqa: ARG002 - drawn
        """Draw what railwatch knows."""
        self._picture = picture
        self._draw()

    def leave(self, summary: Sequence[Text]) -> None:
        """Leave *summary* in the terminal."""
        self._screen.leave(summary)

    def _draw(self) -> None:
        """Draw the simulation's last sentences above what railwatch knows."""
        size = self._screen.size
        above = self._narration(size.width)
        below = draw(self._picture, Size(size.width, size.height - len(above)), clock="simulated")
        self._screen.draw([*above, *below])

    def _narration(self, width: int) -> list[Text]:
        lines = [_rule("the simulation, of which railwatch is told nothing", width)]
        for announcement in self._said:
            style = WARNING if announcement.is_fault else ""
            when = (f"{time_of_day(announcement.seconds)}  ", DIM)
            lines.append(assemble(when, (announcement.text, style)))
        # The same height from the first sentence on: what is below stays where it is.
        lines += [Text()] * (_REMEMBERED - len(self._said))
        return [*lines, Text(), _rule("what railwatch sees", width), Text()]

    def __enter__(self) -> Self:
        self._screen.__enter__()
        return self

    def __exit__(self, *exception: object) -> None:
        self._screen.__exit__(*exception)


class LineStage:
    """Writes lines: each says whose it is, and railwatch's only what is new."""

    def __init__(self) -> None:
        self._before = ""

    def announce(self, announcement: Announcement) -> None:
        """Write the sentence."""
        say(f"simulated  {time_of_day(announcement.seconds)}  {announcement.text}")

    def show(self, picture: Picture, lines: Sequence[Finding]) -> None:
        """Write the verdicts if they changed, and each new finding."""
        when = f"railwatch  {time_of_day(picture.time)}  "
        words = f"{counts(picture)}  {learning(picture)}"
        if words != self._before:
            say(when + words)
        self._before = words
        new = {(line.id, str(line.state)) for line in lines}
        for finding in picture.findings:
            if (finding.id, finding.state) in new:
                say(when + said(finding))

    def leave(self, summary: Sequence[Text]) -> None:
        """Write *summary*."""
        for line in summary:
            say(line.plain)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        pass


def _rule(title: str, width: int) -> Text:
    return assemble((f"── {title} ", DIM), ("─" * max(width - len(title) - 4, 0), DIM))
