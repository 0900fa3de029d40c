# SPDX-License-Identifier: Apache-2.0
"""Where a server listens, and whether other machines reach it there."""

from __future__ import annotations

import ipaddress

from railwatch.settings import ConfigError


def parse_listen(listen: str) -> tuple[str, int]:
    """Return host and port of `HOST:PORT` or `[IPV6]:PORT`.

    Raises
    ------
    ConfigError
        If it is neither.

    >>> parse_listen("[::1]:9810")
    ('::1', 9810)
    """
    host, colon, port = listen.rpartition(":")
    if not colon or not port.isdecimal() or int(port) > 65535:
        raise ConfigError(f"listen: expected HOST:PORT, got {listen!r}")
    if host.startswith("[") and host.endswith("]"):
        return host[1:-1], int(port)
    if ":" in host:
        raise ConfigError(f"listen: an IPv6 address needs brackets, got {listen!r}")
    return host, int(port)


def is_loopback(host: str) -> bool:
    """Whether only this machine can reach a server that listens on *host*."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def refuse_public(listen: str, *, web_config_file: str, insecure: bool) -> None:
    """Refuse an address that other machines reach, unless that is meant.

    With a *web_config_file* the address may be right; whether it is, shows when that is read.

    Raises
    ------
    ConfigError
        If *listen* is such an address, or none at all.
    """
    host, _ = parse_listen(listen)
    if not insecure and not web_config_file and not is_loopback(host):
        raise ConfigError(
            f"listen: {listen!r} is reachable from other machines without TLS and "
            "authentication; name a web_config_file that has both, or set insecure = true"
        )
