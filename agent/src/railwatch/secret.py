# SPDX-License-Identifier: Apache-2.0
"""Secrets are read from files, each time they are needed, so that they can be changed."""

from __future__ import annotations

from pathlib import Path

from railwatch.settings import ConfigError

_MOST_CHARACTERS = 4096


def read_secret(file: str, key: str) -> str:
    """Return the one line that *file*, named by the setting *key*, holds.

    Raises
    ------
    ConfigError
        It cannot be read, or is not one line of printable ASCII.
    """
    try:
        text = Path(file).read_text(encoding="ascii").strip()
    except (OSError, UnicodeDecodeError) as exc:
        reason = exc.strerror if isinstance(exc, OSError) else "it is not ASCII"
        raise ConfigError(f"{key}: cannot read {file}: {reason}") from exc
    if not text or len(text) > _MOST_CHARACTERS or not text.isprintable() or " " in text:
        raise ConfigError(f"{key}: {file} does not hold one line without spaces")
    return text
