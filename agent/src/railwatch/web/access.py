# SPDX-License-Identifier: Apache-2.0
"""Who may connect and ask: a web configuration file, followed while it and its files change.

As exporter-toolkit does, the file is looked at for each request and its certificates for each
handshake. What cannot be used changes nothing, and is said once.
"""

from __future__ import annotations

import logging
import threading
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

from railwatch.settings import ConfigError
from railwatch.web.address import is_loopback, parse_listen
from railwatch.web.basic_auth import Admission, Passwords
from railwatch.web.route import Response, Route, has_own_guard
from railwatch.web.tls import server_context
from railwatch.web.web_config import EXTRA_HINT, WebConfig, read_web_config

if TYPE_CHECKING:
    import ssl
    from collections.abc import Callable

log = logging.getLogger(__name__)

_KEY = "[server] web_config_file"

_Mark: TypeAlias = tuple[int, int, int] | None


@dataclass(frozen=True, slots=True)
class Policy:
    """What holds at a moment; without a file everybody who can connect may ask."""

    config: WebConfig = field(default_factory=WebConfig)
    context: ssl.SSLContext | None = None


class Access:
    """The policy in force.

    Parameters
    ----------
    file
        The web configuration, None for none.
    accept
        Raises ConfigError for a configuration that must not be put in force.

    Raises
    ------
    ConfigError
        The file cannot be used.
    """

    def __init__(
        self, file: Path | None = None, accept: Callable[[WebConfig], None] = lambda _: None
    ) -> None:
        self._file = file
        self._accept = accept
        self._policy = Policy()
        self._passwords: Passwords | None = None
        self._lock = threading.Lock()
        self._watched: tuple[Path, ...] = ()
        self._seen: tuple[_Mark, ...] = ()
        if file is not None:
            self._watched = (file,)
            self._policy = self._read(file)

    def policy(self) -> Policy:
        """Return what holds now."""
        file = self._file
        if file is None:
            return self._policy
        with self._lock:
            if _marks(self._watched) != self._seen:
                self._renew(file)
            return self._policy

    def keeps_secrets(self, listen: str) -> bool:
        """Whether what is said to a server on *listen* cannot be read on the way."""
        return self._policy.context is not None or is_loopback(parse_listen(listen)[0])

    @property
    def headers(self) -> tuple[tuple[str, str], ...]:
        """What is sent with each answer."""
        return self._policy.config.headers

    def objection(self, route: Route | None, authorization: str) -> Response | None:
        """Return what is answered in place of *route* to who may not ask, None to who may."""
        users = self.policy().config.users
        if not users or self._passwords is None or has_own_guard(route, authorization):
            return None
        admission = self._passwords.judge(users, authorization)
        if admission is Admission.GRANTED:
            return None
        if admission is Admission.BUSY:
            wait = (("Retry-After", "1"),)
            return Response(b"too many passwords at once\n", status=503, headers=wait)
        challenge = (("WWW-Authenticate", 'Basic realm="railwatch"'),)
        return Response(b"not authorized\n", status=401, headers=challenge)

    def _renew(self, file: Path) -> None:
        try:
            self._policy = self._read(file)
        except ConfigError as exc:
            log.error("access stays as it was: %s", exc)  # noqa: TRY400 - the reason is in it
            return
        log.info("access was read anew from %s", file)

    def _keep_protection(self, config: WebConfig) -> None:
        """Refuse to give up what there was: a file may be looked at while it is half written."""
        before = self._policy.config
        if (before.tls and not config.tls) or (before.authenticates and not config.authenticates):
            raise ConfigError(
                f"{self._file}: has no TLS or no authentication any more; a restart gives them up"
            )

    def _read(self, file: Path) -> Policy:
        """Read everything; what is seen is noted first, so that a later change is not missed."""
        self._seen = _marks(self._watched)
        try:
            config = read_web_config(file)
            self._accept(config)
            self._keep_protection(config)
            self._watched = (file, *_files_of(config))
            self._seen = (self._seen[0], *_marks(self._watched[1:]))
            context = None if config.tls is None else server_context(config.tls)
            if config.users and self._passwords is None:
                self._passwords = Passwords(_bcrypt())
        except ConfigError as exc:
            raise ConfigError(f"{_KEY}: {exc}") from None
        return Policy(config, context)


def open_access(listen: str, *, web_config_file: str, insecure: bool) -> Access:
    """Return the access to a server that listens on *listen*.

    Raises
    ------
    ConfigError
        The file cannot be used, or leaves an address that other machines reach without TLS or
        without authentication.
    """
    if not web_config_file:
        return Access()
    host, _ = parse_listen(listen)

    def accept(config: WebConfig) -> None:
        if insecure or is_loopback(host) or (config.tls is not None and config.authenticates):
            return
        lacking = "basic_auth_users or RequireAndVerifyClientCert" if config.tls else "TLS"
        raise ConfigError(
            f"{listen!r} is reachable from other machines, and {web_config_file} has no {lacking}; "
            "set insecure = true to allow that"
        )

    return Access(Path(web_config_file), accept)


def _files_of(config: WebConfig) -> tuple[Path, ...]:
    if config.tls is None:
        return ()
    names = (config.tls.cert_file, config.tls.key_file, config.tls.client_ca_file)
    return tuple(Path(name) for name in names if name)


def _marks(files: tuple[Path, ...]) -> tuple[_Mark, ...]:
    return tuple(_mark(file) for file in files)


def _mark(file: Path) -> _Mark:
    """Return what differs once *file* was written or replaced, None while there is none."""
    try:
        status = file.stat()
    except OSError:
        return None
    return status.st_mtime_ns, status.st_ino, status.st_size


def _bcrypt() -> Callable[[bytes, bytes], bool]:
    try:
        import bcrypt  # noqa: PLC0415 - an extra, needed for this only
    except ImportError as exc:
        raise ConfigError(EXTRA_HINT) from exc
    return bcrypt.checkpw
