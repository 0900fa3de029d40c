# SPDX-License-Identifier: Apache-2.0
"""Glyphs and styles of verdicts in a terminal; colours are the terminal's own, by name."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.text import Text

from railwatch_analyzer.verdicts import Verdict

if TYPE_CHECKING:
    from collections.abc import Mapping

DIM = "bright_black"
WARNING = "yellow"

GLYPHS: Mapping[Verdict, str] = {
    Verdict.UNKNOWN: "·",
    Verdict.NORMAL: "●",
    Verdict.SUSPECT: "◆",
    Verdict.DEGRADED: "▲",
    Verdict.DOWN: "✖",
}
STYLES: Mapping[Verdict, str] = {
    Verdict.UNKNOWN: DIM,
    Verdict.NORMAL: "green",
    Verdict.SUSPECT: "yellow",
    Verdict.DEGRADED: "bold red",
    Verdict.DOWN: "bold white on red",
}


def assemble(*parts: str | tuple[str, str]) -> Text:
    """Return one line of *parts*, each plain or with a style; markup in them is shown as it is."""
    return Text.assemble(*parts, no_wrap=True)
