# SPDX-License-Identifier: Apache-2.0
"""What is shown to servers and what they have to show: authorities, certificates, secrets in files.

Files are read when the settings are, and again when those are read anew.
"""

from __future__ import annotations

import base64
import re
import ssl
from pathlib import Path
from typing import TYPE_CHECKING

from railwatch.secret import read_secret
from railwatch.settings import ConfigError
from railwatch_analyzer.sources.http_client import Access

if TYPE_CHECKING:
    from railwatch_analyzer.settings import MicroscopeSettings, SourceSettings

# RFC 9110: a token, and printable text.
_HEADER = re.compile(r"\s*([!#$%&'*+.^_`|~0-9A-Za-z-]+):\s*([ -~]*?)\s*")
_AUTHORIZATION = "Authorization"


def source_access(settings: SourceSettings) -> Access:
    """Return how the servers of `[source]` are reached.

    Raises
    ------
    ConfigError
        A file cannot be read or used; the message names its key and none of its secrets.
    """
    headers = read_headers(settings.headers_file) if settings.headers_file else {}
    if settings.username:
        if any(name.lower() == _AUTHORIZATION.lower() for name in headers):
            raise ConfigError("[source] username: headers_file has an Authorization already")
        headers[_AUTHORIZATION] = _basic(settings.username, settings.password_file)
    return Access(headers, client_context(settings, "[source]"), settings.tls_server_name or None)


def microscope_access(settings: MicroscopeSettings) -> Access:
    """Return how agents' microscopes are reached; raises as `source_access`."""
    token = read_secret(settings.token_file, "[microscope] token_file")
    headers = {_AUTHORIZATION: f"Bearer {token}"}
    return Access(headers, client_context(settings, "[microscope]"))


def client_context(
    settings: SourceSettings | MicroscopeSettings, where: str
) -> ssl.SSLContext | None:
    """Return what *settings* say of TLS, None where they say nothing."""
    if not settings.wants_tls:
        return None
    try:
        context = ssl.create_default_context(cafile=settings.tls_ca_file or None)
    except OSError as exc:
        raise ConfigError(f"{where} tls_ca_file: cannot be used: {_reason(exc)}") from exc
    if settings.tls_cert_file:
        try:
            # An empty password, for otherwise OpenSSL would ask a terminal.
            context.load_cert_chain(settings.tls_cert_file, settings.tls_key_file, password="")
        except OSError as exc:
            keys = f"{where} tls_cert_file, tls_key_file"
            raise ConfigError(f"{keys}: cannot be used: {_reason(exc)}") from exc
    return context


def read_headers(file: str) -> dict[str, str]:
    """Return the `Name: value` lines of *file*."""
    where = f"[source] headers_file: {file}"
    try:
        text = Path(file).read_text(encoding="ascii")
    except OSError as exc:
        raise ConfigError(f"{where}: {exc.strerror}") from exc
    except UnicodeDecodeError as exc:
        raise ConfigError(f"{where}: is not plain ASCII") from exc
    return parse_headers(text, where)


def parse_headers(text: str, where: str) -> dict[str, str]:
    """Return the headers in *text*, one a line; empty lines count for nothing.

    >>> parse_headers("X-Scope-OrgID: tenant", "headers_file")
    {'X-Scope-OrgID': 'tenant'}
    """
    headers = {}
    for number, line in enumerate(text.splitlines(), start=1):
        match = _HEADER.fullmatch(line)
        if match is not None:
            headers[match[1]] = match[2]
        elif line.strip():
            # The line itself may be a secret and is not shown.
            raise ConfigError(f"{where}: line {number} is not `Name: value`")
    return headers


def _basic(username: str, password_file: str) -> str:
    password = read_secret(password_file, "[source] password_file")
    return "Basic " + base64.b64encode(f"{username}:{password}".encode()).decode("ascii")


def _reason(exc: OSError) -> str:
    return exc.strerror or str(exc) or type(exc).__name__
