"""What the handbook and SECURITY.md name is there: metrics, alerts, tests."""

import re
from pathlib import Path

import pytest

from railwatch import catalogue
from support.repository import ROOT, RULES

_PAGES = ("HANDBOOK.md", "INSTALL.md", "SECURITY.md")


def _named(pattern: str, page: str) -> set[str]:
    return set(re.findall(pattern, (ROOT / page).read_text(encoding="utf-8")))


@pytest.mark.parametrize("page", _PAGES)
def test_metrics_that_a_page_names_are_in_the_catalogue(page: str) -> None:
    known = {spec.name for spec in catalogue.METRICS}

    assert _named(r"railwatch_[a-z_]+[a-z](?![a-z_*/.:-])", page) <= known


def test_tests_that_a_page_names_are_there() -> None:
    named = _named(r"\btests/[\w/]+\.py", "SECURITY.md")

    assert named
    assert [name for name in sorted(named) if not Path(ROOT / name).is_file()] == []


@pytest.mark.parametrize("page", _PAGES)
def test_alerts_that_a_page_names_are_there(page: str) -> None:
    rules = "".join(path.read_text(encoding="utf-8") for path in RULES.glob("*.yml"))

    assert [
        n for n in sorted(_named(r"\bRailwatch\w+", page)) if f"alert: {n}\n" not in rules
    ] == []
