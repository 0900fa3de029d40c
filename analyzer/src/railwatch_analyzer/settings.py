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
    username: str = key(
        "", doc="User of basic authentication, with `password_file`; none by default.", live=True
    )
    password_file: str = key("", doc="File of that user's password.", live=True)
    tls_ca_file: str = key(
        "",
        doc="Authorities that must have signed the server's certificate; by default the system's. "
        "With any of the `tls_` keys `targets` are asked over TLS.",
        live=True,
    )
    tls_cert_file: str = key("", doc="Certificate to show to the server.", live=True)
    tls_key_file: str = key("", doc="Key of `tls_cert_file`.", live=True)
    tls_server_name: str = key(
        "", doc="Name in the server's certificate, where it is not that in its address.", live=True
    )

    @property
    def wants_tls(self) -> bool:
        """Whether anything is said of TLS."""
        return bool(self.tls_ca_file or self.tls_cert_file or self.tls_server_name)

    def __post_init__(self) -> None:
        _check_pair("username", self.username, "password_file", self.password_file)
        _check_pair("tls_cert_file", self.tls_cert_file, "tls_key_file", self.tls_key_file)
        if ":" in self.username:
            raise ConfigError("username: must not have a colon")
        if self.wants_tls and (self.prometheus or "https:").split(":")[0].lower() != "https":
            raise ConfigError("prometheus: must begin with https:// where there are tls_ keys")
        if self.prometheus is None and not self.targets:
            raise ConfigError("targets: needs an agent, or `prometheus` a URL")
        if self.prometheus is not None and not _is_web_address(self.prometheus):
            raise ConfigError(f"prometheus: expected an http(s) URL, got {self.prometheus!r}")
        for target in self.targets:
            _check_target(target)


def _check_pair(first: str, given: str, second: str, also: str) -> None:
    if bool(given) != bool(also):
        raise ConfigError(f"{first} and {second}: one is of no use without the other")


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
    web_config_file: str = key(
        "", doc="TLS and authentication, a file in the format of Prometheus's exporter-toolkit."
    )
    insecure: bool = key(
        False, doc="Allow an address that other machines reach, without TLS and authentication."
    )

    def __post_init__(self) -> None:
        file, insecure = self.web_config_file, self.insecure
        refuse_public(self.listen, web_config_file=file, insecure=insecure)


@dataclass(frozen=True, slots=True)
class MicroscopeSettings:
    """Close looks at links that look bad."""

    token_file: str = key(
        "", doc="File of the token of the agents' [microscope]; without one nobody is asked."
    )
    port: int = key(
        9810, doc="Port of the agents, where a node's name has none.", minimum=1, maximum=65535
    )
    tls_ca_file: str = key(
        "",
        doc="Authorities that must have signed the agents' certificates; with it, or with a "
        "certificate, agents are asked over TLS, and others than this machine's only then.",
    )
    tls_cert_file: str = key("", doc="Certificate to show to the agents.")
    tls_key_file: str = key("", doc="Key of `tls_cert_file`.")

    @property
    def wants_tls(self) -> bool:
        """Whether anything is said of TLS."""
        return bool(self.tls_ca_file or self.tls_cert_file)

    def __post_init__(self) -> None:
        _check_pair("tls_cert_file", self.tls_cert_file, "tls_key_file", self.tls_key_file)


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
