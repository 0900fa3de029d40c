# SPDX-License-Identifier: Apache-2.0
"""The worst links in words and bars, what was resolved, and what cannot be known yet."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING

from rich.cells import cell_len, set_cell_size
from rich.text import Text

from railwatch_analyzer.terminal.palette import DIM, GLYPHS, STYLES, assemble
from railwatch_analyzer.terminal.wording import (
    comparison,
    feature,
    of_line_rate,
    place,
    rate,
    said,
    time_of_day,
    verdict_name,
    worst_first,
)
from railwatch_analyzer.verdicts import Verdict

if TYPE_CHECKING:
    from collections.abc import Sequence

    from railwatch_analyzer.terminal.picture import FindingPicture, LinkPicture, Picture

_BAR = 20
_MOST_NOTES = 4
_MOST_RESOLVED = 3
_MOST_CANDIDATES = 2
_COLUMNS = {"verdict": 15, "transmit peak": 15, "receive peak": 14, "line rate": 11}


@dataclass(frozen=True, slots=True)
class _Entry:
    """A link to look at, in full and on one line."""

    full: tuple[Text, ...]
    short: Text


def details(picture: Picture, height: int, *, rates: bool = True) -> list[Text]:
    """Return the links to look at, worst first, then what was resolved, in *height* lines."""
    links = {link.place: link for link in picture.links}
    firing = worst_first([f for f in picture.findings if f.state == "firing"])
    entries = [_finding(f, links.get(f.place), rates=rates) for f in firing]
    entries += [_suspicion(link) for link in _suspects(picture)]
    resolved = [f for f in picture.findings if f.state != "firing"][:_MOST_RESOLVED]
    tail = [_resolved(finding) for finding in resolved]
    if not entries:
        tail = [Text(_nothing(picture), DIM), *([Text(), *tail] if tail else [])]
        return tail[: max(height, 0)]
    lines = _packed(entries, height)
    if tail and len(lines) + 1 + len(tail) <= height:
        lines += [Text(), *tail]
    return lines


def per_link_table(picture: Picture, width: int) -> list[Text]:
    """Return a line a link with its rates of the last window, and its note below it."""
    widest = max(cell_len(place(link.place)) for link in picture.links)
    name_width = min(widest, max(width - sum(_COLUMNS.values()) - 4, 8)) + 2
    titles = (set_cell_size(title, size) for title, size in _COLUMNS.items())
    lines = [Text(f"  {set_cell_size('link', name_width)}{''.join(titles)}", DIM)]
    for link in sorted(picture.links, key=lambda link: -link.verdict):
        score = "" if link.score is None else f" {link.score:.1f}"
        cells = (
            f"{link.verdict.name.lower()}{score}",
            rate(link.transmit),
            rate(link.receive),
            rate(link.speed),
        )
        padded = (set_cell_size(c, w) for c, w in zip(cells, _COLUMNS.values(), strict=True))
        glyph = (GLYPHS[link.verdict], STYLES[link.verdict])
        name = set_cell_size(place(link.place), name_width)
        lines.append(assemble(glyph, f" {name}{''.join(padded)}"))
        if link.note:
            lines.append(Text(f"  {link.note}", DIM))
    return lines


def notes(picture: Picture) -> list[Text]:
    """Return what cannot be known yet and of how many links, the most common first."""
    found = Counter(link.note for link in picture.links if link.note)
    lines = []
    for note, number in found.most_common(_MOST_NOTES):
        noun = "link: " if number == 1 else "links:"
        lines.append(Text(f"{number} {noun} {note}", DIM))
    return lines


def _packed(entries: Sequence[_Entry], height: int) -> list[Text]:
    """As many entries in full as *height* takes with the others on a line each; the worst first.

    Where not even the lines fit, the worst is told in full and the last line counts the left out.
    """
    for full in range(min(len(entries), height), -1, -1):
        lines = _joined(entries[:full], entries[full:])
        if len(lines) <= height:
            return lines
    lines = _joined(entries[:1], entries[1:])
    if len(entries[0].full) + 2 > height:
        lines = [entry.short for entry in entries]
    if len(lines) <= height:
        return lines
    shown = max(height - 1, 1)
    left = len(lines) - shown
    more = f"and {left} more {'link' if left == 1 else 'links'} to look at"
    return [*lines[:shown], Text(more, DIM)]


def _joined(full: Sequence[_Entry], short: Sequence[_Entry]) -> list[Text]:
    lines: list[Text] = []
    for entry in full:
        lines += [*([Text()] if lines else []), *entry.full]
    return [*lines, *([Text()] if short else []), *(entry.short for entry in short)]


def _finding(finding: FindingPicture, link: LinkPicture | None, *, rates: bool) -> _Entry:
    verdict = Verdict.DOWN if finding.kind == "link_down" else Verdict.DEGRADED
    score = "" if finding.score is None else f"   score {finding.score:.1f}"
    job = f"   {finding.job_id}" if finding.job_id else ""
    name = (f" {place(finding.place)}", "bold")
    title = f"   {verdict_name(finding)}{score}{job}"
    lines = [assemble((GLYPHS[verdict], STYLES[verdict]), name, title)]
    since = "" if finding.onset is None else f", since {time_of_day(finding.onset)}"
    lines.append(assemble(("  cause     ", DIM), f"{finding.cause or 'unknown'}{since}"))
    if link is not None and rates:
        lines += _rates(link)
    short = assemble((GLYPHS[verdict], STYLES[verdict]), f" {said(finding)}")
    return _Entry((*lines, *_evidence(finding), *_candidates(finding)), short)


def _suspicion(link: LinkPicture) -> _Entry:
    score = "" if link.score is None else f"   score {link.score:.1f}"
    glyph = (GLYPHS[link.verdict], STYLES[link.verdict])
    name = (f" {place(link.place)}", "bold")
    title = assemble(glyph, name, f"   {link.verdict.name.lower()}{score}")
    short = assemble(glyph, f" {place(link.place)} suspect, not told of yet")
    return _Entry((title, *_rates(link)), short)


def _rates(link: LinkPicture) -> list[Text]:
    """The peaks of the last window against line rate."""
    return [
        assemble(
            (f"  {name:<10}", DIM), f"{of_line_rate(peak, link.speed):<25}", _bar(peak, link.speed)
        )
        for name, peak in (("transmit", link.transmit), ("receive", link.receive))
    ]


def _bar(peak: float | None, speed: float | None) -> tuple[str, str]:
    if peak is None or speed is None or speed <= 0:
        return ("", "")
    full = min(max(round(_BAR * peak / speed), 0), _BAR)
    return ("█" * full + "░" * (_BAR - full), "cyan")


def _evidence(finding: FindingPicture) -> list[Text]:
    if not finding.evidence:
        return []
    names = [feature(evidence.feature) for evidence in finding.evidence]
    wide = max(map(cell_len, names))
    head = Text(f"  {'evidence':<{wide + 2}}  observed → expected", DIM)
    return [head] + [
        assemble((f"    {set_cell_size(name, wide)}  ", DIM), comparison(evidence))
        for name, evidence in zip(names, finding.evidence, strict=True)
    ]


def _candidates(finding: FindingPicture) -> list[Text]:
    """The other links that the fault may be at, where the evidence cannot decide."""
    others = [(where, weight) for where, weight in finding.candidates if where != finding.place]
    if not others:
        return []
    words = [
        place(where) + ("" if weight is None else f" {100 * weight:.0f} %")
        for where, weight in others[:_MOST_CANDIDATES]
    ]
    if len(others) > _MOST_CANDIDATES:
        words.append(f"{len(others) - _MOST_CANDIDATES} more")
    return [assemble(("  or else   ", DIM), ", ".join(words))]


def _suspects(picture: Picture) -> list[LinkPicture]:
    found = [link for link in picture.links if link.verdict is Verdict.SUSPECT]
    return sorted(found, key=lambda link: -(link.score or 0.0))


def _resolved(finding: FindingPicture) -> Text:
    return Text(f"{time_of_day(finding.time)}  {said(finding)}", DIM)


def _nothing(picture: Picture) -> str:
    if not picture.trained:
        return "learning what is usual; a link that is down is told at once"
    return "no link stands out"
