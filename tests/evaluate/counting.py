"""Counts with their uncertainty, and tables, for the pages of the evaluation."""

from collections.abc import Iterable, Sequence

from support.interval import wilson


def share(count: int, of: int) -> str:
    """Return a count as text: the share, its interval, and the numbers.

    >>> share(1, 100)
    '1.0 % (0.2 to 5.4; 1/100)'
    """
    if of == 0:
        return "none"
    low, high = wilson(count, of)
    return f"{count / of:.1%} ({low * 100:.1f} to {high * 100:.1f}; {count}/{of})".replace(
        "%", " %"
    )


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Return a Markdown table."""
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)
