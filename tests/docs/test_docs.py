"""What the documents promise is true: their commands run, their links lead somewhere."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

import golden
from railwatch.catalogue.metric import Scope
from railwatch.reference import counts_by_scope
from railwatch_agent.settings import COLLECTORS

_ROOT = Path(__file__).parent.parent.parent
_PAGES = sorted(path.name for path in _ROOT.glob("*.md"))
_BIN = Path(sys.executable).parent
_FENCE = re.compile(r"^```sh\n(.*?)^```", re.MULTILINE | re.DOTALL)

# Commands that are not run here: CI runs them itself, or they would install into this very
# environment.
_ELSEWHERE = {
    "make test": "this very run",
    "make check": "what CI runs",
    "pip install ./agent": "the environment of this run was made so",
    "pip install ./agent ./analyzer": "the same",
}


def _commands() -> list[str]:
    return sorted(
        {
            line
            for page in _PAGES
            for block in _FENCE.findall((_ROOT / page).read_text(encoding="utf-8"))
            for line in block.splitlines()
        }
        - set(_ELSEWHERE)
    )


@pytest.fixture(autouse=True, scope="module")
def _environment_is_ready() -> None:
    """Keep `make` from installing anew, in the middle of a run, what this very run uses."""
    (_BIN.parent / "ready").touch()


@pytest.mark.timeout(180)
@pytest.mark.parametrize("command", _commands())
def test_commands_of_the_documents_run(command: str) -> None:
    environment = {
        **os.environ,
        "PATH": f"{_BIN}:{os.environ['PATH']}",
        "RUN_SECONDS": "8",
        # `make` would build an environment of its own; this one is it.
        "MAKEFLAGS": f"VENV={_BIN.parent}",
    }

    done = subprocess.run(
        ["bash", "-c", command],
        cwd=_ROOT,
        env=environment,
        capture_output=True,
        text=True,
        timeout=150,
        check=False,
    )

    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]


@pytest.mark.parametrize("page", _PAGES)
def test_links_of_the_documents_lead_to_a_file(page: str) -> None:
    text = (_ROOT / page).read_text(encoding="utf-8")

    for target in re.findall(r"\]\(([^)#]+)\)", text):
        if "://" not in target:
            assert (_ROOT / target).exists(), target


def test_files_that_the_readme_names_exist() -> None:
    text = (_ROOT / "README.md").read_text(encoding="utf-8")

    for name in re.findall(r"\b[A-Z]+\.md\b|\bdeploy/[\w./]+", text):
        assert (_ROOT / name.rstrip(".")).exists(), name


@pytest.mark.parametrize("name", sorted(golden.generated()))
def test_generated_pages_are_what_the_code_says(name: str) -> None:
    assert (_ROOT / name).read_text(encoding="utf-8") == golden.generated()[name]


def test_the_two_distributions_have_one_version() -> None:
    texts = [(_ROOT / part / "pyproject.toml").read_text() for part in ("agent", "analyzer")]
    versions = {re.search(r'^version = "(.+)"', text, re.MULTILINE)[1] for text in texts}

    assert len(versions) == 1
    assert f'"railwatch-agent=={versions.pop()}"' in texts[1]


def test_a_node_stays_below_a_thousand_series() -> None:
    """Eight rails and every collector of the agent; what the contract allows a node in all."""
    each = counts_by_scope()
    total = each[Scope.NODE] + 8 * each[Scope.RAIL] + len(COLLECTORS) * each[Scope.COLLECTOR]

    assert total <= 1000
