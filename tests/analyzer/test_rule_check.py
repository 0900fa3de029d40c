"""`railwatch-analyzer check --rules`: names and labels of rules, against the catalogue."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from railwatch_analyzer.cli import main
from railwatch_analyzer.rules.check import faults
from railwatch_analyzer.rules.promql import Selector, reading
from support.repository import RULES


def _check(tmp_path: Path, expr: str, annotation: str = "") -> list[str]:
    """Return the rules' faults without the path in front."""
    file = tmp_path / "rules.yml"
    rule = f"{{alert: A, expr: {expr!r}, annotations: {{description: {annotation!r}}}}}"
    file.write_text(f"groups: [{{name: g, rules: [{rule}]}}]")
    return [line.partition(": A: ")[2] for line in faults([file])]


def test_the_shipped_rules_name_what_exists(capsys: pytest.CaptureFixture[str]) -> None:
    code = main(["check", "--rules", *map(str, sorted(RULES.glob("*.yml")))])

    assert (code, capsys.readouterr().out) == (0, "ok\n")


def test_a_wrong_name_is_a_line_and_an_exit_code(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "rules.yml"
    file.write_text("groups: [{name: g, rules: [{alert: A, expr: railwatch_rail_upp == 0}]}]")

    code = main(["check", "--rules", str(file)])

    said = f"{file}: A: no metric is called railwatch_rail_upp\n"
    assert (code, capsys.readouterr().out) == (1, said)


@pytest.mark.parametrize(
    ("expr", "fault"),
    [
        ('railwatch_rail_up{port="1"}', "railwatch_rail_up has no label port"),
        ("sum by (port) (railwatch_rail_up)", "none of railwatch_rail_up has the label port"),
        ('{__name__="railwatch_no"}', "no metric is called railwatch_no"),
        ("railwatch:no:rate5m > 0", "no rule of these files records railwatch:no:rate5m"),
        ("railwatch_step_seconds", "no metric is called railwatch_step_seconds"),
    ],
)
def test_what_does_not_exist_is_named(tmp_path: Path, expr: str, fault: str) -> None:
    assert _check(tmp_path, expr) == [fault]


@pytest.mark.parametrize(
    "expr",
    [
        "rate(railwatch_agent_sampler_lateness_seconds_bucket{le='0.005'}[5m])",
        "railwatch_rail_up # railwatch_no",
        'label_replace(up, "railwatch_no", "{port=", "instance", "railwatch_no(.*)")',
        'sum by (node) (label_replace(railwatch_rail_up, "node", "$1", "instance", "(.*)"))',
        'node_load1{railwatch_no="x"}',
    ],
)
def test_strings_comments_and_others_names_are_let_be(tmp_path: Path, expr: str) -> None:
    assert _check(tmp_path, expr) == []


def test_queries_of_annotations_are_read_too(tmp_path: Path) -> None:
    text = '{{ range query (printf "max(railwatch_no{job_id=%q})" .x) }}{{ end }}'

    assert _check(tmp_path, "up", text) == ["no metric is called railwatch_no"]


def test_a_file_without_rules_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "rules.yml"
    file.write_text("scrape_configs: []")

    assert main(["check", "--rules", str(file)]) == 1
    assert "not a file of rules" in capsys.readouterr().err


_NAME = st.from_regex(r"railwatch_[a-z_]{1,8}", fullmatch=True)
_TEXT = st.text(st.characters(exclude_characters='"\\\n`'), max_size=12)


@given(_NAME, _TEXT)
def test_a_selector_is_found_whatever_its_values_are(name: str, value: str) -> None:
    read = reading(f'sum(rate({name}{{rail="{value}"}}[5m])) > 1')

    assert Selector(name, ("rail",)) in read.selectors


@given(st.text(max_size=40))
def test_no_text_breaks_the_reader(text: str) -> None:
    assert reading(text) is not None
