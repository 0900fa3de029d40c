"""The commands in PLAN.md, and what it says that they answer."""

import os
import re
import shlex
from pathlib import Path

import pytest

from railwatch_analyzer.cli import main

_PAGE = Path(__file__).parents[2] / "PLAN.md"
_EXAMPLE = re.compile(r"```console\n\$ (?P<command>(?:.*\\\n)*.*\n)(?P<answer>[^`]*)```")


def _answer(command: str, capsys: pytest.CaptureFixture[str]) -> str:
    program, *arguments = shlex.split(command.replace("\\\n", " "))
    assert program == "railwatch-analyzer"
    assert main(arguments) == 0
    return capsys.readouterr().out


def test_golden_page_of_plan_shows_what_its_commands_answer(
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Rewritten with RAILWATCH_GOLDEN=1; review it as a diff."""
    page = _PAGE.read_text(encoding="utf-8")

    ran = _EXAMPLE.sub(
        lambda found: f"```console\n$ {found['command']}{_answer(found['command'], capsys)}```",
        page,
    )

    if os.environ.get("RAILWATCH_GOLDEN") == "1":
        _PAGE.write_text(ran, encoding="utf-8")
    assert len(_EXAMPLE.findall(page)) == 5
    assert ran == _PAGE.read_text(encoding="utf-8")
