# SPDX-License-Identifier: Apache-2.0
"""The web configuration file, in the format that Prometheus's exporter-toolkit documents.

https://github.com/prometheus/exporter-toolkit/blob/master/docs/web-configuration.md. What is known
there and cannot be done here is refused rather than passed over. PyYAML and bcrypt are imported
only where such a file is named.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from railwatch.settings import ConfigError, build, key, refuse_unknown

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

# Such a file has a dozen lines.
_MOST_BYTES = 65_536
_HASH = re.compile(r"\$2[aby]\$(\d\d)\$[./A-Za-z0-9]{53}")
# Each step doubles the time; this takes about ten seconds.
_LOWEST_COST, _HIGHEST_COST = 4, 16
_HEADERS: Mapping[str, tuple[str, ...]] = {
    "Content-Security-Policy": (),
    "Strict-Transport-Security": (),
    "X-Content-Type-Options": ("nosniff",),
    "X-Frame-Options": ("deny", "sameorigin"),
    "X-XSS-Protection": (),
}
# Known to exporter-toolkit, and why not here.
_NOT_HERE: Mapping[str, str] = {
    "cert": "only cert_file can be used here",
    "key": "only key_file can be used here",
    "client_ca": "only client_ca_file can be used here",
    "curve_preferences": "the library's own order is used here",
    "rate_limit": "connections and failed passwords are limited without it",
}
# RequireAnyClientCert takes any certificate on trust, which the TLS library here cannot.
CLIENT_AUTH_TYPES = (
    "NoClientCert",
    "RequestClientCert",
    "VerifyClientCertIfGiven",
    "RequireAndVerifyClientCert",
)
VERSIONS = ("TLS12", "TLS13")
EXTRA_HINT = "needs PyYAML and bcrypt: pip install 'railwatch-agent[web]'"


@dataclass(frozen=True, slots=True)
class TlsServerConfig:
    """`tls_server_config`; names as in Go's crypto/tls."""

    cert_file: str = key("", doc="Certificate of the server, with intermediates.")
    key_file: str = key("", doc="Its key.")
    client_auth_type: str = key(
        "NoClientCert", doc="What is asked of clients.", choices=CLIENT_AUTH_TYPES
    )
    client_ca_file: str = key("", doc="Who may have signed clients' certificates.")
    client_allowed_sans: tuple[str, ...] = key((), doc="Names of which a client must have one.")
    min_version: str = key("TLS12", doc="Oldest version.", choices=VERSIONS)
    max_version: str = key("TLS13", doc="Newest version.", choices=VERSIONS)
    cipher_suites: tuple[str, ...] = key((), doc="Suites of TLS 1.2, by their IANA names.")
    prefer_server_cipher_suites: bool = key(True, doc="Whether the server's order counts.")

    def __post_init__(self) -> None:
        if not self.cert_file or not self.key_file:
            raise ConfigError("cert_file and key_file: both are needed")
        if self.min_version > self.max_version:
            raise ConfigError("min_version: must not be newer than max_version")
        if self.verifies_clients and not self.client_ca_file:
            raise ConfigError("client_ca_file: is missing, clients cannot be verified without")
        if self.client_ca_file and self.client_auth_type == "NoClientCert":
            raise ConfigError("client_auth_type: client_ca_file is of no use with NoClientCert")
        if self.client_allowed_sans and not self.requires_clients:
            raise ConfigError("client_allowed_sans: needs RequireAndVerifyClientCert")

    @property
    def verifies_clients(self) -> bool:
        """Whether a client's certificate is looked at."""
        return self.client_auth_type in {"VerifyClientCertIfGiven", "RequireAndVerifyClientCert"}

    @property
    def requires_clients(self) -> bool:
        """Whether a client without a certificate is refused."""
        return self.client_auth_type == "RequireAndVerifyClientCert"


@dataclass(frozen=True, slots=True)
class HttpServerConfig:
    """`http_server_config` without `headers`, whose names are no fields."""

    http2: bool = key(True, doc="Taken and of no effect: HTTP/1.1 is spoken.")


@dataclass(frozen=True, slots=True)
class WebConfig:
    """What a web configuration file says; hashes are not shown."""

    tls: TlsServerConfig | None = None
    headers: tuple[tuple[str, str], ...] = ()
    users: Mapping[str, bytes] = field(default_factory=dict, repr=False)

    @property
    def authenticates(self) -> bool:
        """Whether nobody gets an answer without a certificate or a password."""
        return bool(self.users) or (self.tls is not None and self.tls.requires_clients)


def read_web_config(file: Path) -> WebConfig:
    """Return what *file* says, paths in it made whole.

    Raises
    ------
    ConfigError
        It cannot be read or used; one line that names the key.
    """
    try:
        with file.open("rb") as opened:
            config = parse_web_config(opened.read(_MOST_BYTES + 1))
    except OSError as exc:
        raise ConfigError(f"{file}: cannot be read: {exc.strerror}") from exc
    except ConfigError as exc:
        raise ConfigError(f"{file}: {' '.join(str(exc).split())}") from None
    return config if config.tls is None else replace(config, tls=_placed(config.tls, file.parent))


def parse_web_config(content: bytes) -> WebConfig:
    """Return what *content* says.

    Raises
    ------
    ConfigError
        It is not YAML, or not what the format has; the message names the key.
    """
    raw = _table(_load_yaml(content), "the file")
    tls = _table(raw.get("tls_server_config"), "tls_server_config")
    for name in _NOT_HERE.keys() & (raw.keys() | tls.keys()):
        raise ConfigError(f"{name}: {_NOT_HERE[name]}")
    refuse_unknown(raw, ["tls_server_config", "http_server_config", "basic_auth_users"], "")
    http = _table(raw.get("http_server_config"), "http_server_config")
    headers = _headers(_table(http.pop("headers", None), "headers"))
    build(HttpServerConfig, http, "http_server_config")
    return WebConfig(
        tls=build(TlsServerConfig, tls, "tls_server_config") if tls else None,
        headers=headers,
        users=_users(_table(raw.get("basic_auth_users"), "basic_auth_users")),
    )


def _load_yaml(content: bytes) -> object:
    if len(content) > _MOST_BYTES:
        raise ConfigError(f"is larger than {_MOST_BYTES} bytes")
    try:
        import yaml  # noqa: PLC0415 - an extra, needed for this only
    except ImportError as exc:
        raise ConfigError(EXTRA_HINT) from exc
    try:
        loaded: object = yaml.safe_load(content.decode("utf-8"))
    except (yaml.YAMLError, ValueError, RecursionError) as exc:
        # The whole message would show the line, which may hold a hash.
        mark = getattr(exc, "problem_mark", None)
        where = "" if mark is None else f" in line {mark.line + 1}"
        problem = getattr(exc, "problem", None) or type(exc).__name__
        raise ConfigError(f"not YAML{where}: {problem}") from None
    return loaded


def _table(raw: object, where: str) -> dict[str, Any]:
    """Return the mapping *raw*, empty for a key without a value."""
    if raw is None:
        return {}
    if not isinstance(raw, dict):
        raise ConfigError(f"{where}: expected a mapping")
    return {str(name): value for name, value in raw.items()}


def _headers(raw: Mapping[str, Any]) -> tuple[tuple[str, str], ...]:
    refuse_unknown(raw, list(_HEADERS), "http_server_config.headers")
    for name, value in raw.items():
        if not isinstance(value, str) or not value.isprintable() or not value.isascii():
            raise ConfigError(f"{name}: expected one line of ASCII, got {value!r}")
        if _HEADERS[name] and value not in ("", *_HEADERS[name]):
            raise ConfigError(f"{name}: must be one of {', '.join(_HEADERS[name])}, got {value!r}")
    return tuple((name, value) for name, value in raw.items() if value)


def _users(raw: Mapping[str, Any]) -> dict[str, bytes]:
    users = {}
    for name, value in raw.items():
        # Neither what is wrong nor what is right of a hash is shown.
        match = _HASH.fullmatch(value) if isinstance(value, str) else None
        if match is None:
            raise ConfigError(f"basic_auth_users: {name!r} has no bcrypt hash, $2y$10$...")
        if not _LOWEST_COST <= int(match[1]) <= _HIGHEST_COST:
            raise ConfigError(
                f"basic_auth_users: {name!r} has a hash of cost {match[1]}; "
                f"{_LOWEST_COST} to {_HIGHEST_COST} can be used"
            )
        users[name] = value.encode("ascii")
    return users


def _placed(tls: TlsServerConfig, folder: Path) -> TlsServerConfig:
    """Return *tls* with its paths relative to *folder* made whole."""

    def whole(path: str) -> str:
        return str(folder / path) if path else ""

    return replace(
        tls,
        cert_file=whole(tls.cert_file),
        key_file=whole(tls.key_file),
        client_ca_file=whole(tls.client_ca_file),
    )
