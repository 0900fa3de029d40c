"""Agent and analyzer behind the shipped web configurations, scraped by a real Prometheus."""

from __future__ import annotations

import shutil
import sys
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from support.certificates import Authority, Pair
from support.conditions import wait_until
from support.process import Process, free_address
from support.prometheus import Prometheus
from support.repository import WEB_CONFIGS

if TYPE_CHECKING:
    from collections.abc import Iterator

_PATIENCE_SECONDS = 60.0
_BIN = Path(sys.executable).parent

# What Prometheus says of those who are not known.
_REFUSALS = {
    "no password": "401 Unauthorized",
    "wrong password": "401 Unauthorized",
    "no certificate": "tls: ",
    "foreign certificate": "tls: ",
    "no TLS": "EOF",
}
# Rounds were made and in the newest one no agent was missed, whether or not it has rails.
_AGENT_SEEN = (
    'railwatch_analyzer_targets{state="missed"} == 0 and on () railwatch_analyzer_rounds_total > 2'
)


class Site:
    """An agent that asks for client certificates, an analyzer that asks for a password, both TLS.

    The analyzer scrapes the agent, with a certificate of its own.
    """

    def __init__(self, directory: Path, opened: ExitStack) -> None:
        self.directory = directory
        self.authority = Authority(directory, "ca")
        self.stranger = Authority(directory / "elsewhere", "stranger")
        self.authority.issue("server")
        self.client = self.authority.issue("client")
        for file in WEB_CONFIGS.glob("*.yml"):
            shutil.copy(file, directory)
        self.agent, self.analyzer = free_address(), free_address()
        self._start(opened, "agent", "client-certificates.yml", self.agent)
        self._start(opened, "analyzer", "basic-auth.yml", self.analyzer)

    def prometheus(self, opened: ExitStack) -> Prometheus:
        """Return a Prometheus that asks both as it should, and as it should not."""
        tls = {"ca_file": str(self.authority.certificate)}
        secure: dict[str, Any] = {"scheme": "https", "tls_config": tls}
        password = {"username": "prometheus", "password": "example"}
        wrong = self.stranger.issue("mallory")
        access = {
            "certificate": {**secure, "tls_config": {**tls, **_shown(self.client)}},
            "no certificate": secure,
            "foreign certificate": {**secure, "tls_config": {**tls, **_shown(wrong)}},
            "password": {**secure, "basic_auth": password},
            "no password": secure,
            "wrong password": {**secure, "basic_auth": {**password, "password": "wrong"}},
            "no TLS": {},
        }
        targets = {
            name: [self.agent if "certificate" in name else self.analyzer] for name in access
        }
        prometheus = Prometheus(self.directory, targets)
        prometheus.reach(access)
        return opened.enter_context(prometheus)

    def replace_certificate(self, pair: Pair) -> None:
        """Put another certificate of the servers in place, as a renewal does."""
        for new, name in ((pair.certificate, "server.crt"), (pair.key, "server.key")):
            shutil.copy(new, self.directory / "new")
            (self.directory / "new").replace(self.directory / name)

    def _start(self, opened: ExitStack, name: str, web_config: str, listen: str) -> None:
        config = self.directory / f"{name}.toml"
        config.write_text(
            f'[server]\nlisten = "{listen}"\nweb_config_file = "{self.directory / web_config}"\n'
            f'[paths]\nstate = "{self.directory / name}"\n'
        )
        if name == "analyzer":
            shown = "\n".join(f'tls_{key} = "{path}"' for key, path in _shown(self.client).items())
            with config.open("a") as file:
                file.write(
                    f'[cycle]\ninterval_seconds = 1.0\n[source]\ntargets = ["{self.agent}"]\n'
                    f'tls_ca_file = "{self.authority.certificate}"\n{shown}\n'
                )
        argv = [str(_BIN / f"railwatch-{name}"), "run", "--config", str(config)]
        opened.enter_context(Process(argv, log=self.directory / f"{name}.log"))


def _shown(pair: Pair) -> dict[str, str]:
    return {"cert_file": str(pair.certificate), "key_file": str(pair.key)}


@pytest.fixture
def opened() -> Iterator[ExitStack]:
    with ExitStack() as stack:
        yield stack


def test_only_who_is_known_is_answered_and_certificates_are_replaced_while_all_runs(
    tmp_path: Path, opened: ExitStack
) -> None:
    site = Site(tmp_path, opened)
    prometheus = site.prometheus(opened)

    def up() -> dict[str, float]:
        return {s.labels["job"]: s.value for s in prometheus.query("up") if s.value}

    wait_until(lambda: set(up()) == {"certificate", "password"}, _PATIENCE_SECONDS, "both scraped")
    for job, reason in _REFUSALS.items():
        wait_until(
            lambda job=job, reason=reason: reason in prometheus.scrape_errors()[job],  # type: ignore[misc]
            _PATIENCE_SECONDS,
            f"{job} is refused with {reason}",
        )
    # The analyzer scrapes the agent with a certificate of its own.
    wait_until(lambda: prometheus.query(_AGENT_SEEN), _PATIENCE_SECONDS, "an agent scraped")

    # A certificate that Prometheus does not trust shows which one it was given.
    site.replace_certificate(site.stranger.issue("server"))
    prometheus.process.restart()
    prometheus.process.wait_until(
        lambda: "unknown authority" in prometheus.scrape_errors().get("certificate", ""),
        _PATIENCE_SECONDS,
    )
    site.replace_certificate(site.authority.issue("renewed"))
    wait_until(lambda: set(up()) == {"certificate", "password"}, _PATIENCE_SECONDS, "both again")
