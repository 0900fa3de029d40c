"""A real Prometheus with the shipped scrape jobs and rules, at the lab's one-second pace."""

import json
import urllib.parse
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from support.fetch import Fetch
from support.repository import PROMETHEUS_CONFIG, RULES
from support.service import Service

# Lab only: an alert sent before Alertmanager was discovered is repeated after this, not a minute.
_RESEND_DELAY = "5s"


@dataclass(frozen=True, slots=True)
class QueriedSample:
    """One element of an instant vector."""

    labels: Mapping[str, str]
    value: float


@dataclass(frozen=True, slots=True)
class RuleAlert:
    """An alert as Prometheus holds it; `state` is pending or firing."""

    name: str
    state: str
    labels: Mapping[str, str]
    annotations: Mapping[str, str]


def lab_config(
    targets: Mapping[str, Sequence[str]],
    alertmanager: str | None,
) -> dict[str, Any]:
    """Return the shipped configuration at one second, with `targets` (job → addresses)."""
    config: dict[str, Any] = yaml.safe_load(PROMETHEUS_CONFIG.read_text(encoding="utf-8"))
    config["global"] |= {
        "scrape_interval": "1s",
        "scrape_timeout": "1s",
        "evaluation_interval": "1s",
    }
    config["rule_files"] = [str(path) for path in sorted(RULES.glob("*.yml"))]
    jobs = {job["job_name"]: job for job in config["scrape_configs"]}
    config["scrape_configs"] = [
        _lab_job(jobs.get(name, {}), name, addresses) for name, addresses in targets.items()
    ]
    config["alerting"] = {"alertmanagers": _static([alertmanager] if alertmanager else [])}
    return config


def _lab_job(shipped: Mapping[str, Any], name: str, addresses: Sequence[str]) -> dict[str, Any]:
    """Return the shipped job, relabelling included, without its discovery and its own pace."""
    dropped = ("_sd_configs", "static_configs", "scrape_interval", "scrape_timeout")
    kept = {key: value for key, value in shipped.items() if not key.endswith(dropped)}
    return {**kept, "job_name": name, "static_configs": [{"targets": list(addresses)}]}


def _static(addresses: Sequence[str]) -> list[dict[str, Any]]:
    return [{"static_configs": [{"targets": list(addresses)}]}] if addresses else []


class Prometheus(Service):
    """A Prometheus that scrapes `targets` (job → addresses) and notifies `alertmanager`."""

    name = "prometheus"

    def __init__(
        self,
        directory: Path,
        targets: Mapping[str, Sequence[str]],
        *,
        alertmanager: str | None = None,
        listen: str | None = None,
        prefix: Sequence[str] = (),
        fetch: Fetch | None = None,
    ) -> None:
        super().__init__(directory, listen=listen, prefix=prefix, fetch=fetch)
        config = yaml.safe_dump(lab_config(targets, alertmanager))
        directory.mkdir(parents=True, exist_ok=True)
        (directory / "prometheus.yml").write_text(config, encoding="utf-8")

    def reach(self, access: Mapping[str, Mapping[str, Any]]) -> None:
        """Say how the targets of a job are reached (job → keys of a scrape configuration)."""
        file = self.directory / "prometheus.yml"
        config = yaml.safe_load(file.read_text(encoding="utf-8"))
        for job in config["scrape_configs"]:
            job.update(access.get(job["job_name"], {}))
        file.write_text(yaml.safe_dump(config), encoding="utf-8")

    def arguments(self) -> list[str]:
        """The command line, program first."""
        return [
            "prometheus",
            f"--config.file={self.directory / 'prometheus.yml'}",
            f"--storage.tsdb.path={self.directory / 'prometheus-data'}",
            f"--web.listen-address={self.address}",
            f"--rules.alert.resend-delay={_RESEND_DELAY}",
            "--web.enable-lifecycle",
            "--web.enable-admin-api",
            "--web.enable-remote-write-receiver",
            "--log.level=warn",
        ]

    def query(self, expr: str, *, at_seconds: float | None = None) -> list[QueriedSample]:
        """Return the instant vector (or scalar, as one sample) of `expr`, now or at a Unix time."""
        parameters = {"query": expr} | ({} if at_seconds is None else {"time": str(at_seconds)})
        data = self._api(f"query?{urllib.parse.urlencode(parameters)}")
        if data["resultType"] == "scalar":
            return [QueriedSample({}, float(data["result"][1]))]
        return [QueriedSample(s["metric"], float(s["value"][1])) for s in data["result"]]

    def alerts(self) -> list[RuleAlert]:
        """Return the alerts that are pending or firing."""
        return [
            RuleAlert(
                name=alert["labels"]["alertname"],
                state=alert["state"],
                labels=alert["labels"],
                annotations=alert["annotations"],
            )
            for alert in self._api("alerts")["alerts"]
        ]

    def scrape_errors(self) -> dict[str, str]:
        """Return why the newest scrape failed, by job; empty where it did not."""
        targets = self._api("targets")["activeTargets"]
        return {target["scrapePool"]: target["lastError"] for target in targets}

    def _api(self, path: str) -> dict[str, Any]:
        answer = json.loads(self.fetch(f"{self.url}/api/v1/{path}"))
        data: dict[str, Any] = answer["data"]
        return data
