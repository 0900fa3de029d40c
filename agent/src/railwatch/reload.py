# SPDX-License-Identifier: Apache-2.0
"""Settings of a running program, read anew: what may change while it runs is said on the fields."""

from __future__ import annotations

import dataclasses
import logging
import typing
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from railwatch.settings import ConfigError

if TYPE_CHECKING:
    from collections.abc import Callable

log = logging.getLogger(__name__)

Schema = TypeVar("Schema")


class Reloader(Generic[Schema]):
    """Keeps the settings in force.

    *read* reads them anew and *put_in_force* is given those that hold from now on; either may raise
    ConfigError, *put_in_force* only before it has changed anything.
    """

    def __init__(
        self,
        settings: Schema,
        *,
        read: Callable[[], Schema],
        put_in_force: Callable[[Schema], None],
    ) -> None:
        self._settings = settings
        self._read = read
        self._put_in_force = put_in_force

    def reload(self) -> None:
        """Read the settings anew; those that cannot be used leave everything as it was."""
        try:
            settings, left = adopt(self._settings, self._read())
            self._put_in_force(settings)
        except ConfigError as exc:
            log.error("settings stay as they were: %s", " ".join(str(exc).split()))  # noqa: TRY400
            return
        self._settings = settings
        log.info("settings were read anew")
        if left:
            log.warning("changes that hold after a restart only: %s", ", ".join(left))


def adopt(running: Schema, wanted: Schema) -> tuple[Schema, tuple[str, ...]]:
    """Return *running* with what of *wanted* may change meanwhile, and the keys of the rest.

    >>> from railwatch.settings import key
    >>> @dataclasses.dataclass(frozen=True)
    ... class Watch:
    ...     names: str = key("", doc="", live=True)
    ...     port: int = key(1, doc="")
    >>> adopt(Watch("a", 1), Watch("b", 2))
    (Watch(names='b', port=1), ('port',))
    """
    left: list[str] = []
    settings = _adopted(running, wanted, "", left)
    return typing.cast("Schema", settings), tuple(left)


def _adopted(running: Any, wanted: Any, path: str, left: list[str]) -> object:
    changed: dict[str, object] = {}
    for field in dataclasses.fields(running):
        before, after = getattr(running, field.name), getattr(wanted, field.name)
        if before == after:
            continue
        if dataclasses.is_dataclass(before):
            changed[field.name] = _adopted(before, after, f"[{field.name}] ", left)
        elif field.metadata["live"]:
            changed[field.name] = after
        else:
            left.append(f"{path}{field.name}")
    return dataclasses.replace(running, **changed)
