"""Traps that alert rules fall into, each proven with promtool; numbers as in the agent's traps."""

import re
import subprocess
from pathlib import Path

import pytest
import yaml

from railwatch.catalogue import METRICS
from railwatch.catalogue.metric import MetricSpec, MetricType
from railwatch.catalogue.rail import RAIL_FAULTS, RAIL_FEC_CORRECTED_BITS, RAIL_RECEIVED_BITS, Fault
from support.repository import RULES

_RULE_FILES = sorted(RULES.glob("*.yml"))
_PROMETHEUS_OWN = {"up", "ALERTS"}


def _rules() -> list[dict[str, str]]:
    contents = [yaml.safe_load(path.read_text(encoding="utf-8")) for path in _RULE_FILES]
    return [rule for content in contents for group in content["groups"] for rule in group["rules"]]


_ALERTS = [rule["alert"] for rule in _rules() if "alert" in rule]


def _series(spec: MetricSpec, value: str = "") -> str:
    """Return one series of a family, whose last label has *value* if it is a closed set."""
    labels = {"job": "railwatch-agent", "instance": "n1:9810", **dict.fromkeys(spec.labels, "x")}
    if value:
        labels[spec.labels[-1]] = value
    inside = ",".join(f'{name}="{text}"' for name, text in labels.items())
    return f"{spec.name}{{{inside}}}"


def _assert_nothing_fires(tmp_path: Path, series: dict[str, str]) -> None:
    """Have promtool evaluate all rules on *series* for twenty minutes."""
    checks = [
        {"alertname": alert, "eval_time": f"{minutes}m", "exp_alerts": []}
        for alert in _ALERTS
        for minutes in (2, 10, 20)
    ]
    inputs = [{"series": name, "values": values} for name, values in series.items()]
    case = {"interval": "15s", "input_series": inputs, "alert_rule_test": checks}
    file = tmp_path / "test.yml"
    rules = [str(path) for path in _RULE_FILES]
    file.write_text(yaml.safe_dump({"rule_files": rules, "tests": [case]}))
    done = subprocess.run(
        ["promtool", "test", "rules", file], check=False, capture_output=True, text=True
    )

    assert done.returncode == 0, done.stdout + done.stderr


def test_trap_4_an_old_count_never_fires(tmp_path: Path) -> None:
    """What a counter stood at long ago is no news: alerts are on what it grows by in a window."""
    counters = [spec for spec in METRICS if spec.type is MetricType.COUNTER]
    series = {_series(spec, v): "4711x80" for spec in counters for v in spec.values or ("",)}

    assert len(series) > 30
    _assert_nothing_fires(tmp_path, series)


@pytest.mark.parametrize("growth", ["0+1000x80", "0+100000000x80"])
def test_trap_6_fec_at_work_and_symbol_errors_alone_never_fire(tmp_path: Path, growth: str) -> None:
    """On PAM4 links both are routine."""
    series = (
        _series(RAIL_FEC_CORRECTED_BITS),
        _series(RAIL_FAULTS, Fault.SYMBOL_ERROR),
    )

    _assert_nothing_fires(
        tmp_path,
        dict.fromkeys(series, growth) | {_series(RAIL_RECEIVED_BITS): "0+1000000000000x80"},
    )


def test_trap_7_rules_read_no_name_that_another_program_may_rename() -> None:
    """DCGM renamed fields, and alerts on the old names never fired."""
    recorded = {rule["record"] for rule in _rules() if "record" in rule}
    read = {
        name
        for rule in _rules()
        for name in re.findall(r"\b([a-zA-Z_][\w:]*)(?:\{[^}]*\})?\[", rule["expr"])
    }

    assert "railwatch_rail_up" in read
    ours = {name for spec in METRICS for name in spec.series_names}
    assert read <= ours | recorded | _PROMETHEUS_OWN
