# SPDX-License-Identifier: Apache-2.0
"""The matrix of nodes and rails: a glyph a link, nodes that have something wrong first."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, TypeAlias

from rich.cells import cell_len, set_cell_size
from rich.text import Text

from railwatch_analyzer.terminal.palette import DIM, GLYPHS, STYLES
from railwatch_analyzer.verdicts import Verdict

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from railwatch_analyzer.terminal.picture import Picture

_LONGEST_NODE = 24
_LONGEST_RAIL = 6
_BETWEEN_BLOCKS = "    "
_DIGITS = re.compile(r"(\d+)")

Cells: TypeAlias = dict[str, Verdict]


def matrix(picture: Picture, width: int, height: int) -> list[Text]:
    """Return the matrix in at most *height* lines, in several blocks if one is too tall."""
    rows = _rows(picture)
    rails = sorted({rail for cells in rows.values() for rail in cells}, key=_natural)
    block = _Block(list(rows), rails, width)
    names = sorted(rows, key=lambda node: (-_urgency(rows[node]), _natural(node)))
    tall = max(height - 1 - bool(block.rest), 1)
    fitting = max((width + len(_BETWEEN_BLOCKS)) // (block.width + len(_BETWEEN_BLOCKS)), 1)
    if len(names) > tall * fitting:
        tall = max(tall - 1, 1)
    shown, hidden = names[: tall * fitting], names[tall * fitting :]
    blocks = -(-len(shown) // tall)
    # Blocks of one height, as in a newspaper.
    lines = block.lines(rows, shown, -(-len(shown) // blocks))
    if block.rest:
        lines.append(Text(f"and {block.rest} more rails", DIM))
    if hidden:
        lines.append(Text(_left_out([rows[node] for node in hidden]), DIM))
    return lines


class _Block:
    """One column of nodes with their rails: its measures, and its lines."""

    def __init__(self, nodes: Sequence[str], rails: Sequence[str], width: int) -> None:
        widest = max([cell_len(node) for node in nodes] + [len("node")])
        self.margin = min(widest, _LONGEST_NODE) + 2
        label = min(max(cell_len(rail) for rail in rails), _LONGEST_RAIL)
        self.cell = label + 1
        fitting = max((width - self.margin) // self.cell, 1)
        self.rails = rails[:fitting]
        self.rest = len(rails) - len(self.rails)
        self.width = self.margin + self.cell * len(self.rails)

    def lines(self, rows: Mapping[str, Cells], names: Sequence[str], tall: int) -> list[Text]:
        """Return the head and the nodes of *names*, *tall* of them to a column."""
        head = Text(set_cell_size("node", self.margin), DIM)
        for rail in self.rails:
            head.append(set_cell_size(rail, self.cell - 1) + " ")
        parts = [names[first : first + tall] for first in range(0, len(names), tall)]
        lines = [_joined([head] * len(parts))]
        lines += [
            _joined([self._line(rows, part[number]) for part in parts if number < len(part)])
            for number in range(tall)
        ]
        return lines

    def _line(self, rows: Mapping[str, Cells], node: str) -> Text:
        line = Text(no_wrap=True)
        short = node if cell_len(node) <= _LONGEST_NODE else set_cell_size(node, 23) + "…"
        line.append(set_cell_size(short, self.margin), "" if _urgency(rows[node]) else DIM)
        for rail in self.rails:
            verdict = rows[node].get(rail)
            if verdict is None:
                line.append(" " * self.cell)
            else:
                line.append(GLYPHS[verdict], STYLES[verdict])
                line.append(" " * (self.cell - 1))
        return line


def _joined(parts: Sequence[Text]) -> Text:
    return Text(_BETWEEN_BLOCKS, no_wrap=True).join(parts)


def _rows(picture: Picture) -> dict[str, Cells]:
    """Verdicts by node and rail; of two devices that claim one rail the worse."""
    rows: dict[str, Cells] = {}
    for link in picture.links:
        cells = rows.setdefault(link.place.node, {})
        before = cells.get(link.place.rail, Verdict.UNKNOWN)
        cells[link.place.rail] = max(before, link.verdict)
    return rows


def _urgency(cells: Cells) -> int:
    """The worst verdict of a node, 0 if nothing is wrong."""
    worst = max(cells.values())
    return int(worst) if worst > Verdict.NORMAL else 0


def _left_out(rows: Sequence[Cells]) -> str:
    noun = "node" if len(rows) == 1 else "nodes"
    words = f"and {len(rows)} more {noun}"
    abnormal = sum(_urgency(cells) > 0 for cells in rows)
    if abnormal:
        return f"{words}, {abnormal} of them abnormal"
    if all(verdict is Verdict.NORMAL for cells in rows for verdict in cells.values()):
        return f"{words}, all normal"
    return f"{words}, normal or unknown"


def _natural(name: str) -> list[tuple[int, int, str]]:
    """Order in which node2 comes before node10."""
    # Digits of other scripts pass \d; absurdly long numbers are text.
    parts = _DIGITS.split(name)
    return [(0, int(p), "") if p.isdecimal() and len(p) < 20 else (1, 0, p) for p in parts]
