"""The shipped rules, routing and runbook: valid, tested and referring to each other rightly."""

import re
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from railwatch import catalogue
from support.repository import (
    ALERTMANAGER_CONFIG,
    COMPATIBILITY,
    PROMETHEUS_CONFIG,
    RULE_TESTS,
    RULES,
    RUNBOOK,
)

Rule = dict[str, Any]

_RULE_FILES = sorted(RULES.glob("*.yml"))
_TEST_FILES = sorted(RULE_TESTS.glob("*.yml"))
_IDENTITY = frozenset({"node", "rail", "device", "job_id", "gpu"})
_CASES = frozenset({"fires", "not yet", "not any more"})


def _load(path: Path) -> dict[str, Any]:
    content: dict[str, Any] = yaml.safe_load(path.read_text(encoding="utf-8"))
    return content


def _rules() -> Iterator[Rule]:
    for path in _RULE_FILES:
        for group in _load(path)["groups"]:
            yield from group["rules"]


def _alerts() -> list[Rule]:
    return [rule for rule in _rules() if "alert" in rule]


def _cases() -> dict[str, list[tuple[str, dict[str, Any]]]]:
    """Return the unit tests as rule → (case, test); their names are `Rule: case`."""
    cases: dict[str, list[tuple[str, dict[str, Any]]]] = {}
    for path in _TEST_FILES:
        for test in _load(path)["tests"]:
            rule, _, case = test["name"].partition(": ")
            cases.setdefault(rule, []).append((case, test))
    return cases


def _expected(test: dict[str, Any], alert: str) -> list[list[dict[str, Any]]]:
    """Return what the test expects of `alert` at each of its times."""
    checks = test.get("alert_rule_test", ())
    return [check["exp_alerts"] for check in checks if check["alertname"] == alert]


def _run(*argv: str | Path) -> str:
    """Return the program's output; fail with it if the program does."""
    done = subprocess.run(argv, check=False, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


_ALERTS = [
    pytest.param(rule, id=f"{rule['alert']}-{rule['labels']['severity']}") for rule in _alerts()
]


def test_promtool_accepts_the_rules() -> None:
    _run("promtool", "check", "rules", "--lint-fatal", *_RULE_FILES)


def test_promtool_accepts_the_configuration() -> None:
    _run("promtool", "check", "config", PROMETHEUS_CONFIG)


@pytest.mark.parametrize("path", _TEST_FILES, ids=lambda path: path.stem)
def test_the_rules_pass_their_unit_tests(path: Path) -> None:
    _run("promtool", "test", "rules", path)


def test_the_rail_view_is_recorded_from_other_exporters() -> None:
    """Trap 1 is one of the cases."""
    _run("promtool", "test", "rules", COMPATIBILITY / "test.yml")


def test_what_is_recorded_from_other_exporters_is_in_the_catalogue() -> None:
    rules = _load(COMPATIBILITY / "rail-from-exporters.yml")["groups"][0]["rules"]
    values = {(spec.name, value) for spec in catalogue.METRICS for value in spec.values or ("",)}

    assert {(rule["record"], rule.get("labels", {}).get("kind", "")) for rule in rules} <= values


def test_amtool_accepts_the_configuration() -> None:
    _run("amtool", "check-config", ALERTMANAGER_CONFIG)


@pytest.mark.parametrize("about", ["rail=3", "job_id=42"])
@pytest.mark.parametrize(
    ("severity", "receiver"), [("critical", "pager"), ("warning", "chat"), ("info", "nobody")]
)
def test_severity_decides_the_receiver(severity: str, receiver: str, about: str) -> None:
    _run(
        "amtool",
        "config",
        "routes",
        "test",
        f"--config.file={ALERTMANAGER_CONFIG}",
        f"--verify.receivers={receiver}",
        "alertname=RailwatchLinkDown",
        f"severity={severity}",
        about,
    )


@pytest.mark.parametrize("rule", _ALERTS)
def test_an_alert_says_how_urgent_what_and_what_to_do(rule: Rule) -> None:
    assert rule["labels"].keys() == {"severity"}
    assert rule["labels"]["severity"] in {"info", "warning", "critical"}
    assert rule["annotations"].keys() == {"summary", "description", "runbook_url"}


@pytest.mark.parametrize("rule", _ALERTS)
def test_an_alert_leads_to_its_own_heading_of_the_runbook(rule: Rule) -> None:
    headings = re.findall(r"^## (.+)$", RUNBOOK.read_text(encoding="utf-8"), flags=re.MULTILINE)
    page, _, anchor = rule["annotations"]["runbook_url"].partition("#")

    assert page == "https://example.com/railwatch/RUNBOOK.md"
    assert anchor == rule["alert"].lower()
    assert rule["alert"] in headings


def test_the_runbook_has_no_heading_without_an_alert() -> None:
    headings = re.findall(r"^## (.+)$", RUNBOOK.read_text(encoding="utf-8"), flags=re.MULTILINE)

    assert sorted(headings) == sorted({rule["alert"] for rule in _alerts()})


@pytest.mark.parametrize("rule", _ALERTS)
def test_an_alert_is_tested_to_fire_not_yet_and_not_any_more(rule: Rule) -> None:
    """The names are checked, and that each case expects what its name says."""
    name = rule["alert"]
    cases = {case: test for case, test in _cases().get(name, []) if case in _CASES}

    assert cases.keys() == _CASES
    assert any(_expected(cases["fires"], name)), "expects no alert"
    assert not any(_expected(cases["not yet"], name)), "expects an alert"
    first, *_, last = _expected(cases["not any more"], name)
    assert first, "does not fire in the first place"
    assert not last, "still fires in the end"


@pytest.mark.parametrize("rule", _ALERTS)
def test_labels_are_identity_only(rule: Rule) -> None:
    """A label beyond identity, such as the cause, would make a change of it a second alert."""
    name = rule["alert"]
    seen = {
        label
        for _, test in _cases()[name]
        for alerts in _expected(test, name)
        for alert in alerts
        for label in alert["exp_labels"]
    }

    assert "severity" in seen
    assert seen - {"severity"} <= _IDENTITY


def test_every_rule_is_tested_and_every_unit_test_belongs_to_a_rule() -> None:
    assert _cases().keys() == {rule.get("alert", rule.get("record")) for rule in _rules()}


@pytest.mark.parametrize("rule", _ALERTS)
def test_every_series_is_read_over_a_window(rule: Rule) -> None:
    """A bare selector goes stale with one missed scrape and sends a wrong resolved."""
    selectors = re.findall(r"\b(?:railwatch_\w+|up)(?:\{[^}]*\})?(\[\w+\])?", rule["expr"])

    assert selectors
    assert all(selectors)


def test_inhibition_never_matches_through_a_missing_label() -> None:
    """Alertmanager takes two missing labels for equal."""
    for rule in _load(ALERTMANAGER_CONFIG)["inhibit_rules"]:
        required = {f'{label} != ""' for label in rule["equal"]}

        assert required <= set(rule["source_matchers"])
        assert required <= set(rule["target_matchers"])


def test_inhibition_names_alerts_that_exist() -> None:
    text = ALERTMANAGER_CONFIG.read_text(encoding="utf-8")

    assert set(re.findall(r"Railwatch\w+", text)) <= {rule["alert"] for rule in _alerts()}


@pytest.mark.parametrize("path", _TEST_FILES, ids=lambda path: path.name)
def test_series_and_their_labels_are_those_of_the_catalogue(path: Path) -> None:
    """Of the rules `check --rules` tells; a unit test that makes up the same name would not."""
    labels_of = {
        name: {*labels, "job", "instance"}
        for spec in catalogue.METRICS
        for name, labels in spec.series_labels.items()
    }
    text = path.read_text(encoding="utf-8")

    assert set(re.findall(r"\brailwatch_[a-z_]+", text)) <= labels_of.keys()
    for name, matchers in re.findall(r"\b(railwatch_[a-z_]+)\{([^}]*)\}", text):
        assert set(re.findall(r"(\w+)=", matchers)) <= labels_of[name], name
