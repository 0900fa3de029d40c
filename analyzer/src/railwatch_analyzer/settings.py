# SPDX-License-Identifier: Apache-2.0
"""The keys of analyzer.toml: what they mean, what they may be, what they default to."""

from __future__ import annotations

import urllib.parse
from dataclasses import dataclass

from railwatch.settings import ConfigError, key, section
from railwatch.web import parse_listen, refuse_public


@dataclass(frozen=True, slots=True)
class SourceSettings:
    """Where frames come from: a Prometheus, or the agents themselves."""

    prometheus: str | None = key(
        None,
        doc="URL of a Prometheus (or what speaks its API); without it agents are scraped.",
        live=True,
    )
    targets: tuple[str, ...] = key(
        ("127.0.0.1:9810",),
        doc="Agents to scrape, `host:port` each; not used with `prometheus`.",
        live=True,
    )
    matchers: tuple[str, ...] = key(
        (), doc='Label matchers that every series must satisfy, such as `cluster="a"`.', live=True
    )
    node_label: str | None = key(
        None,
        doc="Label that names the node; by default `instance` without its port does.",
        live=True,
    )
    headers_file: str | None = key(
        None,
        doc="File of `Name: value` lines sent with each question, such as a bearer token.",
        live=True,
    )

    def __post_init__(self) -> None:
        if self.prometheus is None and not self.targets:
            raise ConfigError("targets: needs an agent, or `prometheus` a URL")
        if self.prometheus is not None and not _is_web_address(self.prometheus):
            raise ConfigError(f"prometheus: expected an http(s) URL, got {self.prometheus!r}")
        for target in self.targets:
            _check_target(target)


def _is_web_address(url: str) -> bool:
    try:
        parts = urllib.parse.urlsplit(url)
        known = parts.scheme in ("http", "https") and parts.port != 0
    except ValueError:
        return False
    return known and bool(parts.hostname) and url.isprintable() and " " not in url


def _check_target(target: str) -> None:
    try:
        host, _ = parse_listen(target)
    except ConfigError as exc:
        raise ConfigError(str(exc).replace("listen", "targets", 1)) from None
    if not host or " " in host:
        raise ConfigError(f"targets: expected HOST:PORT, got {target!r}")


@dataclass(frozen=True, slots=True)
class CycleSettings:
    """How often a round is made."""

    interval_seconds: float = key(
        5.0, doc="Seconds between rounds.", minimum=0.2, maximum=300.0, live=True
    )


@dataclass(frozen=True, slots=True)
class ServerSettings:
    """Where /metrics, /api/v1/findings and the page are served."""

    listen: str = key("127.0.0.1:9811", doc="Address and port.")
    insecure: bool = key(
        False, doc="Allow an address that other machines reach, without TLS and authentication."
    )

    def __post_init__(self) -> None:
        refuse_public(self.listen, insecure=self.insecure)


@dataclass(frozen=True, slots=True)
class MicroscopeSettings:
    """Close looks at links that look bad."""

    token_file: str = key(
        "", doc="File of the token of the agents' [microscope]; without one nobody is asked."
    )
    port: int = key(
        9810, doc="Port of the agents, where a node's name has none.", minimum=1, maximum=65535
    )


@dataclass(frozen=True, slots=True)
class PathSettings:
    """Where things are kept."""

    state: str = key(
        "/var/lib/railwatch", doc="Directory of the state file; what was learned outlives restarts."
    )


@dataclass(frozen=True, slots=True)
class AnalyzerSettings:
    """analyzer.toml."""

    source: SourceSettings = section(SourceSettings, doc="Where frames come from.")
    cycle: CycleSettings = section(CycleSettings, doc="How often a round is made.")
    server: ServerSettings = section(ServerSettings, doc="Where results are served.")
    paths: PathSettings = section(PathSettings, doc="Where things are kept.")
    microscope: MicroscopeSettings = section(
        MicroscopeSettings, doc="Close looks at links that look bad."
    )
