"""Traps that alert rules fall into, each proven with promtool; numbers as in the agent's traps.

All silent cases are one run of promtool, whose start costs more than what it evaluates.
"""

import re
import subprocess

import pytest
import yaml

from railwatch.catalogue import METRICS
from railwatch.catalogue.gpu import (
    GPU_LAST_XID,
    GPU_PCIE_GENERATION,
    GPU_PCIE_GENERATION_MAX,
    GPU_PRESENT,
    GPU_THROTTLED,
    GPU_UTILIZATION,
)
from railwatch.catalogue.job import JOB_COMMUNICATION_BOUND, JOB_SLOWDOWN_RATIO
from railwatch.catalogue.metric import MetricSpec, MetricType
from railwatch.catalogue.node import (
    AGENT_COLLECTOR_SUCCESS,
    AGENT_NVML_RESTARTS,
    AGENT_RAILS,
    AGENT_READ_ERRORS,
)
from railwatch.catalogue.rail import (
    RAIL_ADMIN_UP,
    RAIL_FAULTS,
    RAIL_FEC_CORRECTED_BITS,
    RAIL_PCIE_BANDWIDTH_RATIO,
    RAIL_PCIE_STALLED,
    RAIL_PRESENT,
    RAIL_RECEIVED_BITS,
    RAIL_UP,
    Fault,
)
from support.repository import RULES

_RULE_FILES = sorted(RULES.glob("*.yml"))
_PROMETHEUS_OWN = {"up", "ALERTS"}


def _rules() -> list[dict[str, str]]:
    contents = [yaml.safe_load(path.read_text(encoding="utf-8")) for path in _RULE_FILES]
    return [rule for content in contents for group in content["groups"] for rule in group["rules"]]


_ALERTS = sorted({rule["alert"] for rule in _rules() if "alert" in rule})


def _series(spec: MetricSpec, value: str = "", **more: str) -> str:
    """Return one series of a family, whose last label has *value* if it is a closed set."""
    labels = {"job": "railwatch-agent", "instance": "n1:9810", **dict.fromkeys(spec.labels, "x")}
    if value:
        labels[spec.labels[-1]] = value
    inside = ",".join(f'{name}="{text}"' for name, text in (labels | more).items())
    return f"{spec.name}{{{inside}}}"


_COUNTERS = [spec for spec in METRICS if spec.type is MetricType.COUNTER]
_FEC = (_series(RAIL_FEC_CORRECTED_BITS), _series(RAIL_FAULTS, Fault.SYMBOL_ERROR))
_RECEIVED = {_series(RAIL_RECEIVED_BITS): "0+1000000000000x80"}

# Twenty minutes of readings, every 15 s.
_SILENT = {
    "trap_2_one_counter_that_cannot_be_read_costs_no_collector": {
        _series(AGENT_READ_ERRORS): "0+15x80",
        _series(AGENT_COLLECTOR_SUCCESS): "1x80",
    },
    # DCGM goes on to show the last Xid for as long as it runs.
    "trap_3_a_number_that_sticks_is_no_news": {_series(GPU_LAST_XID): "79x80"},
    "trap_4_an_old_count_is_no_news": {
        _series(spec, value): "4711x80" for spec in _COUNTERS for value in spec.values or ("",)
    },
    "trap_5_a_port_that_nobody_uses_is_down_on_purpose": {
        _series(RAIL_PRESENT): "1x80",
        _series(RAIL_ADMIN_UP): "0x80",
        _series(RAIL_UP): "0x80",
    },
    "trap_5_a_slot_that_is_narrow_on_all_nodes_is_meant_to_be": {
        _series(RAIL_PCIE_BANDWIDTH_RATIO, instance=f"n{node}:9810"): "0.5x80" for node in range(3)
    },
    "trap_6_fec_at_work_and_symbol_errors": dict.fromkeys(_FEC, "0+1000x80") | _RECEIVED,
    "trap_6_much_more_of_them": dict.fromkeys(_FEC, "0+100000000x80") | _RECEIVED,
    "trap_8_jobs_come_and_go_on_a_node": {
        _series(spec, job_id=job): values
        for job, values in (("1", "1x39 stale"), ("2", "_x40 1x40"))
        for spec in METRICS
        if "job_id" in spec.labels
        and spec not in (JOB_COMMUNICATION_BOUND, JOB_SLOWDOWN_RATIO)
        and spec.name.startswith(("railwatch_job_", "railwatch_rail_job", "railwatch_step_"))
    },
    "trap_9_a_profiler_that_takes_the_activity_away": {
        _series(spec): "0.5x20 stale" for spec in METRICS if spec.name.endswith("_active_ratio")
    },
    "trap_13_all_utilisation_is_no_proof_of_anything": {
        _series(GPU_UTILIZATION): "1x80",
        _series(GPU_PRESENT): "1x80",
        _series(GPU_PCIE_GENERATION): "5x80",
        _series(GPU_PCIE_GENERATION_MAX): "5x80",
    },
    "trap_14_a_share_of_a_second_is_no_counter": {
        _series(RAIL_PCIE_STALLED, "receive"): "0.9x80",
    },
    "request_2_a_link_that_drops_twice_does_not_flap": {
        _series(RAIL_FAULTS, Fault.LINK_DOWNED): "0x20 1x20 2x40",
        _series(RAIL_PRESENT): "1x80",
        _series(RAIL_ADMIN_UP): "1x80",
        _series(RAIL_UP): "1x20 0 1x19 0 1x40",
    },
    "request_2_a_full_power_limit_is_no_throttling": {
        _series(GPU_THROTTLED, "sw_power_cap"): "1x80",
    },
    "request_9_a_driver_that_hangs_for_a_moment_is_asked_again": {
        _series(AGENT_NVML_RESTARTS): "0x10 1x30 2x40",
        _series(AGENT_COLLECTOR_SUCCESS): "1x10 0x3 1x26 0x3 1x40",
    },
    "request_12_a_node_without_rails_has_no_data_to_miss": {_series(AGENT_RAILS): "0x80"},
}


@pytest.fixture(scope="module")
def loud(tmp_path_factory: pytest.TempPathFactory) -> str:
    """What promtool says of those silent cases in which an alert fires."""
    checks = [
        {"alertname": alert, "eval_time": f"{minutes}m", "exp_alerts": []}
        for alert in _ALERTS
        for minutes in (2, 10, 20)
    ]
    agent = {"series": 'up{job="railwatch-agent",instance="n1:9810"}', "values": "1x80"}
    cases = [
        {
            "name": name,
            "interval": "15s",
            "input_series": [
                agent,
                *({"series": one, "values": values} for one, values in series.items()),
            ],
            "alert_rule_test": checks,
        }
        for name, series in _SILENT.items()
    ]
    file = tmp_path_factory.mktemp("promtool") / "test.yml"
    file.write_text(yaml.safe_dump({"rule_files": list(map(str, _RULE_FILES)), "tests": cases}))
    done = subprocess.run(
        ["promtool", "test", "rules", file], check=False, capture_output=True, text=True
    )
    said = done.stdout + done.stderr
    assert done.returncode == 0 or "got:[" in said, said
    return said


@pytest.mark.parametrize("case", _SILENT)
def test_nothing_fires(case: str, loud: str) -> None:
    assert f"name: {case}," not in loud, loud


def test_trap_7_rules_read_no_name_that_another_program_may_rename() -> None:
    """DCGM renamed fields, and alerts on the old names never fired."""
    recorded = {rule["record"] for rule in _rules() if "record" in rule}
    read = {
        name
        for rule in _rules()
        for name in re.findall(r"\b([a-zA-Z_][\w:]*)(?:\{[^}]*\})?\[", rule["expr"])
    }

    assert "railwatch_rail_up" in read
    ours = {name for spec in METRICS for name in spec.series_labels}
    assert read <= ours | recorded | _PROMETHEUS_OWN
