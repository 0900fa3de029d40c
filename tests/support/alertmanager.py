"""A real Alertmanager with the shipped routing and inhibition, its receivers led to a webhook."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import yaml

from support.fetch import Fetch, default_fetch
from support.process import Process, free_address
from support.repository import ALERTMANAGER_CONFIG

_READY_SECONDS = 20.0
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
    config["receivers"] = [
        {
            "name": receiver["name"],
            "webhook_configs": [{"url": webhook_url, "send_resolved": True}],
        }
        for receiver in config["receivers"]
    ]
    return config


def _hasten(route: dict[str, Any]) -> None:
    """Set the timings of a route and of those below it, which may override their parent's."""
    route.update(_LAB_TIMINGS)
    for child in route.get("routes", ()):
        _hasten(child)


class Alertmanager:
    """An Alertmanager that delivers everything to `webhook_url`.

    `listen`, `prefix` and `fetch` are those of `Prometheus`.
    """

    def __init__(
        self,
        directory: Path,
        webhook_url: str,
        *,
        listen: str | None = None,
        prefix: Sequence[str] = (),
        fetch: Fetch | None = None,
    ) -> None:
        self.address = listen or free_address()
        self.url = f"http://{self.address}"
        self._directory = directory
        self._config = lab_config(webhook_url)
        self._fetch = fetch or default_fetch(prefix)
        self.process = Process([*prefix, *self._argv()], log=directory / "alertmanager.log")

    def _argv(self) -> list[str]:
        return [
            "prometheus-alertmanager",
            f"--config.file={self._directory / 'alertmanager.yml'}",
            f"--storage.path={self._directory / 'alertmanager-data'}",
            f"--web.listen-address={self.address}",
            "--cluster.listen-address=",
            "--log.level=warn",
        ]

    def __enter__(self) -> Self:
        self._directory.mkdir(parents=True, exist_ok=True)
        path = self._directory / "alertmanager.yml"
        path.write_text(yaml.safe_dump(self._config), encoding="utf-8")
        self.process.start()
        try:
            self.process.wait_until(lambda: self._fetch(f"{self.url}/-/ready"), _READY_SECONDS)
        except BaseException:
            self.process.stop()
            raise
        return self

    def __exit__(self, *exception: object) -> None:
        self.process.stop()

    def alerts(self) -> list[HeldAlert]:
        """Return the active alerts, inhibited ones included."""
        return [
            HeldAlert(
                labels=alert["labels"],
                annotations=alert["annotations"],
                is_inhibited=bool(alert["status"]["inhibitedBy"]),
            )
            for alert in json.loads(self._fetch(f"{self.url}/api/v2/alerts"))
        ]
