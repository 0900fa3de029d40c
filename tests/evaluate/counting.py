"""Counts with their uncertainty, and tables, for the pages of the evaluation."""

import math
from collections.abc import Iterable, Sequence


def wilson(count: int, of: int) -> tuple[float, float]:
    """Return the 95 % interval of a share (Wilson 1927).

    >>> [round(edge, 3) for edge in wilson(0, 100)]
    [0.0, 0.037]
    """
    if of == 0:
        return 0.0, 1.0
    z = 1.96
    share = count / of
    middle = share + z * z / (2 * of)
    spread = z * math.sqrt(share * (1 - share) / of + z * z / (4 * of * of))
    scale = 1 + z * z / of
    return max((middle - spread) / scale, 0.0), min((middle + spread) / scale, 1.0)


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
