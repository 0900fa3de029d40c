"""The shipped inhibition, by the real Alertmanager: what is told, and what is told by another."""

from pathlib import Path

from support.alertmanager import Alertmanager
from support.conditions import wait_until

_LINK = {"rail": "0", "device": "mlx5_0"}
_TOLD = [
    {"alertname": "RailwatchLinkDown", "node": "n1", **_LINK},
    {"alertname": "RailwatchLinkDegraded", "node": "n2", **_LINK},
    {"alertname": "RailwatchStraggler", "node": "n3", "job_id": "1"},
    {"alertname": "RailwatchStepSlowdown", "job_id": "1", "severity": "critical"},
    {"alertname": "RailwatchStepSlowdown", "job_id": "2", "severity": "warning"},
    {"alertname": "RailwatchAgentDown", "node": "n4"},
    {"alertname": "RailwatchGpuLost", "node": "n5", "gpu": "1"},
    {"alertname": "RailwatchXid", "node": "n5", "gpu": "2"},
    # Without a node it must not be taken for one that lacks the same.
    {"alertname": "RailwatchNoAgents"},
    {"alertname": "RailwatchNoData"},
]
_TOLD_BY_ANOTHER = [
    {"alertname": "RailwatchLinkDegraded", "node": "n1", **_LINK},
    {"alertname": "RailwatchStraggler", "node": "n1", "job_id": "1"},
    {"alertname": "RailwatchStepSlowdown", "job_id": "1", "severity": "warning"},
    {"alertname": "RailwatchNoData", "node": "n4"},
    {"alertname": "RailwatchXid", "node": "n5", "gpu": "1"},
]


def _kept_back(alertmanager: Alertmanager) -> set[frozenset[tuple[str, str]]]:
    held = alertmanager.alerts()
    return {frozenset(alert.labels.items()) for alert in held if alert.is_inhibited}


def test_what_follows_from_another_alert_is_kept_back(tmp_path: Path) -> None:
    with Alertmanager(tmp_path, "http://127.0.0.1:9/") as alertmanager:
        alertmanager.add([*_TOLD, *_TOLD_BY_ANOTHER])
        wait_until(
            lambda: len(_kept_back(alertmanager)) >= len(_TOLD_BY_ANOTHER),
            30.0,
            "Alertmanager keeps alerts back",
        )
        kept_back = _kept_back(alertmanager)

    assert kept_back == {frozenset(labels.items()) for labels in _TOLD_BY_ANOTHER}
