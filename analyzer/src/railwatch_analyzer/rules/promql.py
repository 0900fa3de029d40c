# SPDX-License-Identifier: Apache-2.0
"""Which series an expression reads, and by which labels (Prometheus, *Querying basics*, lexer).

Tokens are told apart, so that what stands in a string or behind a # is no name; the grammar is left
to promtool.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

_TOKEN = re.compile(
    r"""
    (?P<string>"(?:\\.|[^"\\])*" | '(?:\\.|[^'\\])*' | `[^`]*`)
    | (?P<comment>\#[^\n]*)
    | (?P<number>(?<![\w:])[0-9][\w.]*)
    | (?P<word>[A-Za-z_:][\w:]*)
    | (?P<sign>=~|!~|!=|==|<=|>=|[^\s\w])
    """,
    re.VERBOSE,
)
_MATCHERS = frozenset({"=", "!=", "=~", "!~"})
_LISTS = frozenset({"by", "without", "on", "ignoring", "group_left", "group_right"})
_QUOTED = re.compile(r"\\(.)")


@dataclass(frozen=True, slots=True)
class Selector:
    """A series by name, and the labels that its braces match on; no name is known of a pattern."""

    name: str
    labels: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Reading:
    """What an expression reads: series, labels that it groups or joins by, and strings in it."""

    selectors: tuple[Selector, ...]
    listed: tuple[str, ...]
    strings: frozenset[str]


def reading(expression: str) -> Reading:
    """Return what *expression* reads.

    >>> reading('sum by (a) (rate(x_total{b="c{d=e}"}[5m]))').selectors
    (Selector(name='x_total', labels=('b',)),)
    """
    tokens = [(m.lastgroup or "", m.group()) for m in _TOKEN.finditer(expression)]
    tokens = [token for token in tokens if token[0] != "comment"]
    selectors: list[Selector] = []
    listed: list[str] = []
    place = 0
    while place < len(tokens):
        kind, text = tokens[place]
        follower = tokens[place + 1][1] if place + 1 < len(tokens) else ""
        if kind == "word" and text.lower() in _LISTS and follower == "(":
            inside, place = _until(tokens, place + 2, ")")
            listed += [word for kind, word in inside if kind == "word"]
        elif text == "{" or (kind == "word" and follower == "{"):
            inside, place = _until(tokens, place + (1 if text == "{" else 2), "}")
            selectors.append(_selector("" if text == "{" else text, inside))
        else:
            if kind == "word" and follower != "(":
                selectors.append(Selector(text))
            place += 1
    strings = frozenset(unquoted(text) for kind, text in tokens if kind == "string")
    return Reading(tuple(selectors), tuple(listed), strings)


def _until(
    tokens: Sequence[tuple[str, str]], start: int, end: str
) -> tuple[list[tuple[str, str]], int]:
    """Return the tokens from *start* up to *end*, and the place behind it."""
    place = start
    while place < len(tokens) and tokens[place][1] != end:
        place += 1
    return list(tokens[start:place]), place + 1


def _selector(name: str, inside: Sequence[tuple[str, str]]) -> Selector:
    labels = []
    for label, operator, value in _matchers(inside):
        if label != "__name__":
            labels.append(label)
        elif operator == "=":
            name = unquoted(value)
    return Selector(name, tuple(labels))


def _matchers(inside: Sequence[tuple[str, str]]) -> Iterator[tuple[str, str, str]]:
    for place in range(len(inside) - 2):
        (kind, label), (_, operator), (_, value) = inside[place : place + 3]
        if kind == "word" and operator in _MATCHERS:
            yield label, operator, value


def unquoted(text: str) -> str:
    """Return what the quoted *text* stands for, as far as quotes go."""
    inside = text[1:-1]
    return inside if text.startswith("`") else _QUOTED.sub(r"\1", inside)


def template_queries(template: str) -> list[str]:
    """Return the expressions that an annotation's template asks (`query "…"`, printf included).

    >>> template_queries('{{ query (printf "x{a=%q}" .b) }}')
    ['x{a="x"}']
    """
    found = re.findall(r'\bquery\s*\(?\s*(?:printf\s+)?("(?:\\.|[^"\\])*"|`[^`]*`)', template)
    return [
        unquoted(text).replace("%q", '"x"').replace("%s", "x").replace("%d", "0") for text in found
    ]
