# SPDX-License-Identifier: Apache-2.0
"""A server's TLS context out of a web configuration; suites by their names in RFC 5289 and 7905."""

from __future__ import annotations

import ssl
from typing import TYPE_CHECKING

from railwatch.settings import ConfigError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from railwatch.web.web_config import TlsServerConfig

_VERSIONS = {"TLS12": ssl.TLSVersion.TLSv1_2, "TLS13": ssl.TLSVersion.TLSv1_3}
# Those of TLS 1.2 that Go calls secure and that encrypt and authenticate in one; by OpenSSL's name.
_SUITES: Mapping[str, str] = {
    "TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256": "ECDHE-RSA-AES128-GCM-SHA256",
    "TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384": "ECDHE-RSA-AES256-GCM-SHA384",
    "TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256": "ECDHE-RSA-CHACHA20-POLY1305",
    "TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256": "ECDHE-ECDSA-AES128-GCM-SHA256",
    "TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384": "ECDHE-ECDSA-AES256-GCM-SHA384",
    "TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256": "ECDHE-ECDSA-CHACHA20-POLY1305",
}
# Of TLS 1.3; always on, in Go too.
_ALWAYS = {
    "TLS_AES_128_GCM_SHA256",
    "TLS_AES_256_GCM_SHA384",
    "TLS_CHACHA20_POLY1305_SHA256",
}


def server_context(config: TlsServerConfig) -> ssl.SSLContext:
    """Return the context that *config* asks for; its files are read now.

    Raises
    ------
    ConfigError
        A file cannot be read or used; the message names its key.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = _VERSIONS[config.min_version]
    context.maximum_version = _VERSIONS[config.max_version]
    # A client that asks for one handshake after the other would have the server sign for ever.
    context.options |= ssl.OP_NO_RENEGOTIATION
    if not config.prefer_server_cipher_suites:
        context.options &= ~ssl.OP_CIPHER_SERVER_PREFERENCE
    _choose_suites(context, config.cipher_suites)
    try:
        # An empty password, for otherwise OpenSSL would ask a terminal.
        context.load_cert_chain(config.cert_file, config.key_file, password="")
    except OSError as exc:
        raise ConfigError(f"cert_file, key_file: cannot be used: {_reason(exc)}") from exc
    if config.verifies_clients:
        _verify_clients(context, config)
    return context


def has_name(certificate: Mapping[str, object] | None, allowed: tuple[str, ...]) -> bool:
    """Whether a verified certificate, as ssl describes it, has one of the *allowed* names."""
    names = (certificate or {}).get("subjectAltName", ())
    return isinstance(names, tuple) and any(value in allowed for _, value in names)


def _choose_suites(context: ssl.SSLContext, names: tuple[str, ...]) -> None:
    unknown = [name for name in names if name not in _SUITES.keys() | _ALWAYS]
    if unknown:
        raise ConfigError(
            f"cipher_suites: {unknown[0]!r} cannot be used; known are {', '.join(_SUITES)}"
        )
    chosen = [_SUITES[name] for name in names if name in _SUITES]
    if chosen:
        context.set_ciphers(":".join(chosen))


def _verify_clients(context: ssl.SSLContext, config: TlsServerConfig) -> None:
    context.verify_mode = ssl.CERT_REQUIRED if config.requires_clients else ssl.CERT_OPTIONAL
    # As in Go, whatever the file holds is trusted, an intermediate authority too.
    context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
    try:
        context.load_verify_locations(config.client_ca_file)
    except OSError as exc:
        raise ConfigError(f"client_ca_file: cannot be used: {_reason(exc)}") from exc


def _reason(exc: OSError) -> str:
    return exc.strerror or str(exc) or type(exc).__name__
