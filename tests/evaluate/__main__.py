"""`make evaluate`: measure what can be measured without a network, and write EVALUATION.md.

Each section is a module with `report()`, which returns its Markdown and may write plots; a section
stands between two marks of the page, so that one can be measured anew alone:
`python -m evaluate steps`. Seeds and revision stand in the text.
"""

from __future__ import annotations

import argparse
import importlib
import re
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PAGE = ROOT / "EVALUATION.md"

# In the order of the page.
SECTIONS: tuple[str, ...] = ("links", "link_studies", "yardsticks", "steps", "realism", "jobs")


def main() -> int:
    """Run the sections that are named, all by default."""
    parser = argparse.ArgumentParser(description=__doc__, prog="python -m evaluate")
    parser.add_argument("section", nargs="*", help=f"of {', '.join(SECTIONS)}")
    wanted = parser.parse_args().section or list(SECTIONS)
    for name in wanted:
        if name not in SECTIONS:
            parser.error(f"unknown section {name!r}")
    for name in wanted:
        text = importlib.import_module(f"evaluate.{name}").report()
        PAGE.write_text(with_section(PAGE.read_text(encoding="utf-8"), name, text), "utf-8")
    return 0


def with_section(page: str, name: str, text: str) -> str:
    """Return *page* with what stands between the marks of section *name* replaced.

    Raises
    ------
    ValueError
        If the page has no such marks.
    """
    marks = re.compile(rf"(<!-- {name} -->\n).*?(<!-- /{name} -->\n)", re.DOTALL)
    page, count = marks.subn(lambda found: f"{found[1]}{text.strip()}\n{found[2]}", page)
    if count != 1:
        raise ValueError(f"EVALUATION.md has {count} places for section {name!r}")
    return page


if __name__ == "__main__":
    sys.exit(main())
