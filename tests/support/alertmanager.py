"""A real Alertmanager with the shipped routing and inhibition, its receivers led to a webhook."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.request import Request, urlopen

import yaml

from support.fetch import Fetch
from support.repository import ALERTMANAGER_CONFIG
from support.service import Service

_LAB_TIMINGS = {"group_wait": "1s", "group_interval": "1s"}


@dataclass(frozen=True, slots=True)
class HeldAlert:
    """An alert as Alertmanager holds it; `is_inhibited` if another one keeps it from going out."""

    labels: Mapping[str, str]
    annotations: Mapping[str, str]
    is_inhibited: bool


def lab_config(webhook_url: str) -> dict[str, Any]:
    """Return the shipped configuration, quick, with every receiver delivering to `webhook_url`."""
    config: dict[str, Any] = yaml.safe_load(ALERTMANAGER_CONFIG.read_text(encoding="utf-8"))
    _hasten(config["route"])
    webhook = {"url": webhook_url, "send_resolved": True}
    config["receivers"] = [
        {
            "name": receiver["name"],
            # A receiver that tells nobody still does.
            **({"webhook_configs": [webhook]} if len(receiver) > 1 else {}),
        }
        for receiver in config["receivers"]
    ]
    return config


def _hasten(route: dict[str, Any]) -> None:
    """Set the timings of a route and of those below it, which may override their parent's."""
    route.update(_LAB_TIMINGS)
    for child in route.get("routes", ()):
        _hasten(child)


class Alertmanager(Service):
    """An Alertmanager that delivers everything to `webhook_url`."""

    name = "alertmanager"

    def __init__(
        self,
        directory: Path,
        webhook_url: str,
        *,
        listen: str | None = None,
        prefix: Sequence[str] = (),
        fetch: Fetch | None = None,
    ) -> None:
        super().__init__(directory, listen=listen, prefix=prefix, fetch=fetch)
        directory.mkdir(parents=True, exist_ok=True)
        config = yaml.safe_dump(lab_config(webhook_url))
        (directory / "alertmanager.yml").write_text(config, encoding="utf-8")

    def arguments(self) -> list[str]:
        """The command line, program first."""
        return [
            "prometheus-alertmanager",
            f"--config.file={self.directory / 'alertmanager.yml'}",
            f"--storage.path={self.directory / 'alertmanager-data'}",
            f"--web.listen-address={self.address}",
            "--cluster.listen-address=",
            "--log.level=warn",
        ]

    def add(self, alerts: Sequence[Mapping[str, str]]) -> None:
        """Let alerts with these labels fire, as Prometheus does."""
        request = Request(
            f"{self.url}/api/v2/alerts",
            data=json.dumps([{"labels": labels} for labels in alerts]).encode(),
            headers={"Content-Type": "application/json"},
        )
        with urlopen(request, timeout=10):
            pass

    def alerts(self) -> list[HeldAlert]:
        """Return the active alerts, inhibited ones included."""
        return [
            HeldAlert(
                labels=alert["labels"],
                annotations=alert["annotations"],
                is_inhibited=bool(alert["status"]["inhibitedBy"]),
            )
            for alert in json.loads(self.fetch(f"{self.url}/api/v2/alerts"))
        ]
