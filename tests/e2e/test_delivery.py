"""Delivery for real: exporter → Prometheus → Alertmanager → webhook, with the shipped rules."""

import time
from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from support.conditions import wait_until
from support.exporter import Exporter
from support.stack import Stack
from support.webhook import DeliveredAlert

# The promise for a link that dies, at one-second scrapes and a group_wait of one second.
_LINK_DOWN_SECONDS = 10.0
# Slack for a machine that is busy with other tests, where the time is not what is tested.
_PATIENCE_SECONDS = 20.0
# keep_firing_for, with a scrape, an evaluation and a group interval.
_RESOLVED_SECONDS = 30.0 + _PATIENCE_SECONDS

_NODE = "127.0.0.1"


@dataclass(frozen=True, slots=True)
class Rail:
    """What agent and analyzer say of one rail."""

    number: int
    up: int = 1
    link_downed: int = 0
    degraded: int = 0

    @property
    def identity(self) -> dict[str, str]:
        """The labels of its alerts, but for name and severity."""
        return {"node": _NODE, "rail": str(self.number), "device": f"mlx5_{self.number}"}

    def agent_text(self) -> str:
        """Return the agent's series."""
        labels = f'rail="{self.number}",device="mlx5_{self.number}"'
        return (
            f"railwatch_rail_present{{{labels}}} 1\n"
            f"railwatch_rail_admin_up{{{labels}}} 1\n"
            f"railwatch_rail_up{{{labels}}} {self.up}\n"
            f'railwatch_rail_faults_total{{{labels},kind="link_downed"}} {self.link_downed}\n'
        )

    def analyzer_text(self) -> str:
        """Return the analyzer's series; cause and evidence only while degraded."""
        labels = f'node="{_NODE}",rail="{self.number}",device="mlx5_{self.number}"'
        feature = 'feature="transmit_window_top_decile_bytes_per_second"'
        verdict = f"railwatch_link_degraded{{{labels}}} {self.degraded}\n"
        evidence = (
            f'railwatch_link_cause_info{{{labels},cause="bandwidth",job_id="4242"}} 1\n'
            f'railwatch_link_evidence{{{labels},{feature},kind="observed"}} 6.2e6\n'
            f'railwatch_link_evidence{{{labels},{feature},kind="expected"}} 24.5e6\n'
        )
        return verdict + (evidence if self.degraded else "")


class Lab:
    """One node with five rails, its agent and analyzer played by exporters, and the stack.

    Each test has rails of its own, because Prometheus takes 5 s to discover its first target.
    """

    def __init__(self, stack: Stack, agent: Exporter, analyzer: Exporter) -> None:
        self.stack = stack
        self.agent = agent
        self._analyzer = analyzer
        self._rails = {number: Rail(number) for number in range(5)}

    def set_rail(self, rail: Rail) -> None:
        """Let agent and analyzer tell of `rail` from the next scrape on."""
        self._rails[rail.number] = rail
        self.agent.set_text("".join(rail.agent_text() for rail in self._rails.values()))
        self._analyzer.set_text("".join(rail.analyzer_text() for rail in self._rails.values()))

    def delivered(self, rail: int, name: str | None = None) -> list[DeliveredAlert]:
        """Return what the webhook has received about `rail`."""
        alerts = self.stack.delivered.alerts(name)
        return [alert for alert in alerts if alert.labels["rail"] == str(rail)]

    def await_delivery(
        self, rail: int, name: str, status: str, within: float = _PATIENCE_SECONDS
    ) -> DeliveredAlert:
        """Return the first notification about `rail` of alert `name` with `status`."""
        return wait_until(
            lambda: [alert for alert in self.delivered(rail, name) if alert.status == status],
            within,
            f"{name} {status} for rail {rail} at the webhook",
        )[0]

    def await_scrapes(self, count: int) -> None:
        """Wait for `count` more scrapes of the agent, each with an evaluation after it."""
        target = self.agent.scrapes + count
        wait_until(
            lambda: self.agent.scrapes >= target, count + _PATIENCE_SECONDS, f"{count} scrapes"
        )


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    """Everything started and healthy, both targets scraped."""
    with Exporter() as agent, Exporter() as analyzer:
        targets = {"railwatch-agent": [agent.address], "railwatch-analyzer": [analyzer.address]}
        with Stack(tmp_path_factory.mktemp("stack"), targets) as stack:
            lab = Lab(stack, agent, analyzer)
            lab.set_rail(Rail(0))
            wait_until(
                lambda: len(stack.prometheus.query("up == 1")) == 2,
                _PATIENCE_SECONDS,
                "both targets are scraped",
            )
            yield lab


def test_a_link_that_goes_down_is_delivered_and_resolved(lab: Lab) -> None:
    fault_seconds = time.time()
    lab.set_rail(Rail(0, up=0))
    firing = lab.await_delivery(0, "RailwatchLinkDown", "firing")
    repair_seconds = time.time()
    lab.set_rail(Rail(0))
    resolved = lab.await_delivery(0, "RailwatchLinkDown", "resolved", _RESOLVED_SECONDS)

    assert firing.received_seconds - fault_seconds < _LINK_DOWN_SECONDS
    assert resolved.received_seconds - repair_seconds < 60.0
    identity = {"alertname": "RailwatchLinkDown", "severity": "critical", **Rail(0).identity}
    assert firing.labels == resolved.labels == identity
    assert firing.receiver == "pager"
    assert [alert.status for alert in lab.delivered(0)] == ["firing", "resolved"]


def test_a_degraded_link_is_delivered_with_its_evidence(lab: Lab) -> None:
    lab.set_rail(Rail(1, degraded=1))
    firing = lab.await_delivery(1, "RailwatchLinkDegraded", "firing")

    identity = {"alertname": "RailwatchLinkDegraded", "severity": "warning", **Rail(1).identity}
    assert firing.labels == identity
    assert firing.receiver == "chat"
    assert firing.annotations["description"].endswith(
        "Cause: bandwidth (job 4242). "
        "transmit_window_top_decile_bytes_per_second: observed 6.2MB, expected 24.5MB."
    )


def test_a_link_both_degraded_and_down_is_one_notification(lab: Lab) -> None:
    lab.set_rail(Rail(2, up=0))
    lab.await_delivery(2, "RailwatchLinkDown", "firing")
    lab.set_rail(Rail(2, up=0, degraded=1))
    held_back = {"alertname": "RailwatchLinkDegraded", "severity": "warning", **Rail(2).identity}
    wait_until(
        lambda: [
            alert
            for alert in lab.stack.alertmanager.alerts()
            if alert.is_inhibited and alert.labels == held_back
        ],
        _PATIENCE_SECONDS,
        "Alertmanager holds the degraded link back",
    )
    # Several group waits and intervals, in which it would have gone out.
    lab.await_scrapes(4)

    assert [alert.name for alert in lab.delivered(2)] == ["RailwatchLinkDown"]


def test_a_missed_scrape_does_not_resolve(lab: Lab) -> None:
    """The flapping rail's alert has no keep_firing_for, so only its window can hold it."""
    lab.set_rail(Rail(3, up=0))
    lab.set_rail(Rail(4, link_downed=3))
    lab.await_delivery(3, "RailwatchLinkDown", "firing")
    lab.await_delivery(4, "RailwatchLinkFlapping", "firing")
    lab.agent.fail_next(1)
    wait_until(
        lambda: lab.stack.prometheus.query('up{job="railwatch-agent"} == 0'),
        _PATIENCE_SECONDS,
        "Prometheus misses a scrape",
    )
    lab.await_scrapes(4)

    assert [alert.status for alert in lab.delivered(3) + lab.delivered(4)] == ["firing", "firing"]
