"""The examples in the docstrings of the agent and of what both programs share are true."""

import doctest
import importlib
from pathlib import Path

import pytest

import railwatch

_SOURCES = Path(railwatch.__file__).parent.parent
_MODULES = sorted(
    ".".join(path.relative_to(_SOURCES).with_suffix("").parts)
    for path in _SOURCES.rglob("*.py")
    if ">>> " in path.read_text(encoding="utf-8")
)


@pytest.mark.parametrize("module", _MODULES)
def test_the_examples_of_a_module_are_true(module: str) -> None:
    failed, tried = doctest.testmod(importlib.import_module(module))

    assert (failed, tried > 0) == (0, True)
