"""A certificate authority for tests, out of the openssl command."""

from __future__ import annotations

import subprocess
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

_KEY = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes")


@dataclass(frozen=True, slots=True)
class Pair:
    """A certificate and its key."""

    certificate: Path
    key: Path


class Authority:
    """Signs certificates; everything is in *directory*."""

    def __init__(self, directory: Path, name: str = "authority") -> None:
        directory.mkdir(parents=True, exist_ok=True)
        self._directory = directory
        self._own = Pair(directory / f"{name}.crt", directory / f"{name}.key")
        _openssl(
            "req", "-x509", *_KEY, "-days", "2", "-subj", f"/CN={name}",
            # What OpenSSL asks for where it is strict, as Python 3.13 has it.
            "-addext", "keyUsage=critical,keyCertSign,cRLSign",
            "-keyout", self._own.key, "-out", self._own.certificate,
        )  # fmt: skip

    @property
    def certificate(self) -> Path:
        """What those need who trust it."""
        return self._own.certificate

    def issue(self, name: str, *, names: str = "DNS:localhost,IP:127.0.0.1") -> Pair:
        """Return a pair for *name*, good for servers and clients that have *names*; replaces it."""
        pair = Pair(self._directory / f"{name}.crt", self._directory / f"{name}.key")
        _openssl(
            "req", "-x509", *_KEY, "-days", "2", "-subj", f"/CN={name}",
            "-addext", f"subjectAltName={names}", "-addext", "basicConstraints=critical,CA:FALSE",
            "-CA", self._own.certificate, "-CAkey", self._own.key,
            "-keyout", pair.key, "-out", pair.certificate,
        )  # fmt: skip
        return pair


def _openssl(*arguments: str | Path) -> None:
    done = subprocess.run(["openssl", *map(str, arguments)], capture_output=True, check=False)
    if done.returncode:
        raise AssertionError(done.stderr.decode())
