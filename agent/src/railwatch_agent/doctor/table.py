# SPDX-License-Identifier: Apache-2.0
"""The report as a person reads it: status, rails and text, whatever the width."""

from __future__ import annotations

import textwrap
from dataclasses import replace
from typing import TYPE_CHECKING, Final, NamedTuple

from railwatch.catalogue.metric import PREFIX
from railwatch_agent.doctor.findings import TROUBLE, Finding, Section, Status

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from railwatch_agent.doctor.examination import Examination

_LEAST_WIDTH: Final = 60
_STATUS_WIDTH: Final = max(len(status) for status in Status)


def render_table(examination: Examination, width: int) -> str:
    """Return the report; what is alike shares a line, and the sum is at the end."""
    blocks = [f"railwatch-agent {examination.version} on {examination.node}"]
    for section in Section:
        found = [f for f in examination.findings if f.section is section]
        if found:
            blocks.append("\n".join([section, *_lines(found, max(width, _LEAST_WIDTH))]))
    return "\n\n".join([*blocks, _summary(examination)]) + "\n"


def _summary(examination: Examination) -> str:
    about = {(f.section, f.what, f.status) for f in examination.findings}
    counts = ((status, sum(s is status for _, _, s in about)) for status in TROUBLE)
    trouble = "".join(f"; {count} {status}" for status, count in counts if count)
    return f"{examination.watched} of {examination.rails} rails can be watched{trouble}"


class _Row(NamedTuple):
    status: Status
    rails: str
    detail: str
    change: str


def _lines(findings: Sequence[Finding], width: int) -> Iterator[str]:
    rows = _rows(findings)
    rails_width = max(len(row.rails) for row in rows)
    for row, names in rows.items():
        rails = f"{row.rails:<{rails_width}}  " if rails_width else ""
        head = f"  {row.status:<{_STATUS_WIDTH}}  {rails}"
        text = ", ".join(names) + (f": {row.detail}" if row.detail else "")
        if row.change:
            text += f" -> {row.change}"
        yield textwrap.fill(
            text,
            width,
            initial_indent=head,
            subsequent_indent=" " * len(head),
            break_on_hyphens=False,
            break_long_words=False,
        )


def _rows(findings: Iterable[Finding]) -> dict[_Row, list[str]]:
    """Return what each row names; rows are in the order in which they first come up."""
    rails: dict[Finding, list[int]] = {}
    for finding in findings:
        known = rails.setdefault(replace(finding, rail=None, source=""), [])
        if finding.rail is not None:
            known.append(finding.rail)
    rows: dict[_Row, list[str]] = {}
    for finding, numbers in rails.items():
        row = _Row(finding.status, _ranges(numbers), finding.detail, finding.change)
        rows.setdefault(row, []).append(_name(finding))
    return rows


def _name(finding: Finding) -> str:
    name = finding.what.removeprefix(PREFIX)
    return f"{name} ({', '.join(finding.values)})" if finding.values else name


def _ranges(numbers: Sequence[int]) -> str:
    """Return numbers in few characters.

    >>> _ranges([0, 1, 2, 5])
    '0-2,5'
    """
    found: list[list[int]] = []
    for number in numbers:
        if found and number == found[-1][1] + 1:
            found[-1][1] = number
        else:
            found.append([number, number])
    return ",".join(f"{a}" if a == b else f"{a}-{b}" for a, b in found)
