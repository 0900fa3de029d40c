# SPDX-License-Identifier: Apache-2.0
"""A picture of the fleet as lines for a terminal; pure, shared by `top` and `demo`.

Everything that a colour says a glyph says too.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from rich.text import Text

from railwatch_analyzer.terminal.details import details, notes, per_link_table
from railwatch_analyzer.terminal.jobs import job_lines
from railwatch_analyzer.terminal.matrix import matrix
from railwatch_analyzer.terminal.palette import DIM, GLYPHS, STYLES, WARNING, assemble
from railwatch_analyzer.terminal.wording import learning, nodes, time_of_day

if TYPE_CHECKING:
    from collections.abc import Sequence

    from railwatch_analyzer.terminal.picture import Picture

# With so few links every one gets a line with its rates.
FEW_LINKS = 8
# From this width on the matrix stands beside the worst links.
_WIDE = 100
_LEAST_DETAILS_WIDTH = 62
_GAP = 4


@dataclass(frozen=True, slots=True)
class Size:
    """Columns and rows to draw on."""

    width: int
    height: int


def draw(picture: Picture, size: Size, *, clock: str = "UTC", trouble: str = "") -> list[Text]:
    """Return *picture* as at most *size.height* lines; *clock* names what its times count in."""
    lines = _header(picture, clock, trouble)
    rest = Size(size.width, max(size.height - len(lines), 1))
    if not picture.links:
        lines.append(Text("no links are known yet", DIM))
    elif len(picture.links) <= FEW_LINKS:
        lines += _few(picture, rest)
    elif size.width >= _WIDE:
        lines += _beside(picture, rest)
    else:
        lines += _stacked(picture, rest)
    return fitted(lines, size)


def fitted(lines: Sequence[Text], size: Size) -> list[Text]:
    """Return *lines* cut to *size*."""
    cut = [line.copy() for line in lines[: size.height]]
    for line in cut:
        line.no_wrap = True
        line.truncate(size.width, overflow="ellipsis")
    return cut


def _header(picture: Picture, clock: str, trouble: str) -> list[Text]:
    when = f"{time_of_day(picture.time)} {clock}" if picture.rounds else "--:--:--"
    state = ("trained", "") if picture.trained else (learning(picture), WARNING)
    seen = (nodes(picture), WARNING if picture.nodes_missed else "")
    lines = [assemble(("railwatch", "bold"), f"   {when}   ", seen, "   ", state)]
    legend = Text()
    for verdict, number in picture.counts().items():
        style = STYLES[verdict] if number else DIM
        legend.append(GLYPHS[verdict], style)
        legend.append(f" {number} {verdict.name.lower()}   ", "" if number else DIM)
    lines.append(legend)
    if trouble:
        lines.append(Text(trouble, WARNING))
    if picture.complaint:
        lines.append(Text(f"the last round failed: {picture.complaint}", WARNING))
    return [*lines, *job_lines(picture.jobs), Text()]


def _few(picture: Picture, size: Size) -> list[Text]:
    table = per_link_table(picture, size.width)
    return [*table, Text(), *details(picture, size.height - len(table) - 1, rates=False)]


def _stacked(picture: Picture, size: Size) -> list[Text]:
    """Matrix above, worst links below; these may have half of the height."""
    below = _remarks(picture, size.height // 2)
    above = matrix(picture, size.width, size.height - len(below) - 1)
    return [*above, Text(), *below]


def _beside(picture: Picture, size: Size) -> list[Text]:
    """Matrix to the left, worst links to the right of it."""
    left = matrix(picture, size.width - _LEAST_DETAILS_WIDTH - _GAP, size.height)
    right = _remarks(picture, size.height)
    margin = max(line.cell_len for line in left) + _GAP
    lines = []
    for number in range(max(len(left), len(right))):
        line = left[number].copy() if number < len(left) else Text()
        if number < len(right):
            line.append(" " * (margin - line.cell_len))
            line.append_text(right[number])
        lines.append(line)
    return lines


def _remarks(picture: Picture, height: int) -> list[Text]:
    unknown = notes(picture)
    kept = min(len(unknown), max(height // 3, 1))
    found = details(picture, height - kept - bool(kept))
    gap = [Text()] if kept else []
    return [*found, *gap, *unknown[:kept]]
