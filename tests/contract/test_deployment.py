"""What is deployed: units as exposed as they may be, and files that are what the settings say."""

import re
import subprocess
from pathlib import Path

import pytest

from railwatch.settings import load
from railwatch_agent.settings import AgentSettings
from railwatch_analyzer.settings import AnalyzerSettings

_DEPLOY = Path(__file__).parent.parent.parent / "deploy"
_FILES = [("agent.toml", AgentSettings), ("analyzer.toml", AnalyzerSettings)]


@pytest.mark.parametrize(
    ("unit", "most"), [("railwatch-agent.service", 2.0), ("railwatch-analyzer.service", 1.5)]
)
def test_a_unit_is_exposed_no_more_than_it_may_be(unit: str, most: float) -> None:
    done = subprocess.run(
        ["systemd-analyze", "security", "--offline=true", _DEPLOY / "systemd" / unit],
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )

    exposure = re.search(r"exposure level for \S+: ([\d.]+)", done.stdout)
    assert exposure is not None, done.stdout + done.stderr
    assert float(exposure[1]) <= most
    assert done.stderr == ""


@pytest.mark.parametrize(("name", "schema"), _FILES)
def test_a_sample_file_changes_nothing_and_every_default_in_it_may_be_given(
    tmp_path: Path, name: str, schema: type
) -> None:
    text = (_DEPLOY / name).read_text()
    given = tmp_path / name
    given.write_text(re.sub(r"^# (\w+ = .)", r"\1", text, flags=re.MULTILINE))

    def read(file: Path) -> object:
        return load(schema, file=file, environment={}, prefix="", flags={})

    assert read(_DEPLOY / name) == schema() == read(given)
    assert given.read_text().count("\n# ") < text.count("\n# ")
