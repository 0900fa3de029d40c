# SPDX-License-Identifier: Apache-2.0
"""TOML files become frozen dataclasses; what a key means and may be lives on its field.

A program describes its file as a dataclass of dataclasses whose fields are made by `key`.
Precedence is flag > environment > file > default. Every error is one line that names the key.
"""

from __future__ import annotations

import dataclasses
import difflib
import tomllib
import types
import typing
from dataclasses import MISSING
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

Schema = TypeVar("Schema")


class ConfigError(ValueError):
    """A configuration that cannot be used; the message is one line that names the key."""


def key(
    default: Any = MISSING,
    *,
    doc: str,
    minimum: float | None = None,
    maximum: float | None = None,
    choices: tuple[str, ...] | None = None,
    live: bool = False,
) -> Any:
    """Describe one key of a file; without a *default* it must be given.

    *minimum* and *maximum* are inclusive and in the unit that the key's name ends in. What is
    *live* may change while the program runs; `reload` has it changed.
    """
    facts = {
        "doc": doc,
        "minimum": minimum,
        "maximum": maximum,
        "choices": choices,
        "live": live,
    }
    return dataclasses.field(default=default, metadata=facts)


def section(schema: type, *, doc: str) -> Any:
    """Describe a table of the file, itself a dataclass whose keys all have defaults."""
    return dataclasses.field(default_factory=schema, metadata={"doc": doc})


def load(
    schema: type[Schema],
    *,
    file: Path | None,
    environment: Mapping[str, str],
    prefix: str,
    flags: Mapping[str, str],
) -> Schema:
    """Return the settings of a program.

    Parameters
    ----------
    schema
        The dataclass that describes the file.
    file
        The TOML file, or None for defaults only.
    environment, prefix
        `PREFIX_SECTION_KEY` sets a key that is a single value.
    flags
        `section.key` → text, as given on the command line.

    Raises
    ------
    ConfigError
        In one line, with the key and, for an unknown one, the nearest known.
    """
    raw = {} if file is None else _read(file)
    where = "" if file is None else f"{file}: "
    for path, kind in scalar_keys(schema):
        name = f"{prefix}_{path.replace('.', '_')}".upper()
        if name in environment:
            _put(raw, path, _from_text(environment[name], kind, f"environment {name}"))
        if path in flags:
            _put(raw, path, _from_text(flags[path], kind, f"--{path}"))
    try:
        return build(schema, raw, "")
    except ConfigError as exc:
        raise ConfigError(f"{where}{exc}") from None


def scalar_keys(schema: type, path: str = "") -> Iterator[tuple[str, Any]]:
    """Yield (`section.key`, type) of each key that holds a single value."""
    for field, kind in _fields(schema):
        if dataclasses.is_dataclass(kind):
            yield from scalar_keys(typing.cast("type", kind), f"{path}{field.name}.")
        elif typing.get_origin(kind) is not tuple:
            yield f"{path}{field.name}", kind


def describe(schema: type, path: str) -> str:
    """Return what the key at `section.key` is for."""
    name, _, rest = path.partition(".")
    field, kind = next(pair for pair in _fields(schema) if pair[0].name == name)
    return describe(kind, rest) if rest else str(field.metadata["doc"])


def _fields(schema: Any) -> list[tuple[dataclasses.Field[Any], Any]]:
    hints = typing.get_type_hints(schema)
    return [(field, hints[field.name]) for field in dataclasses.fields(schema)]


def _read(file: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(file.read_text(encoding="utf-8"))
    except OSError as exc:
        raise ConfigError(f"{file}: cannot be read: {exc.strerror}") from exc
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as exc:
        raise ConfigError(f"{file}: not TOML: {exc}") from exc


def _put(raw: dict[str, Any], path: str, value: object) -> None:
    *sections, name = path.split(".")
    for part in sections:
        table = raw.setdefault(part, {})
        if not isinstance(table, dict):
            raise ConfigError(f"[{part}]: expected a table, got {table!r}")
        raw = table
    raw[name] = value


def _from_text(text: str, kind: Any, where: str) -> object:
    """Read a flag or variable as TOML would read the value; bare text is a string."""
    if str in (kind, *typing.get_args(kind)):
        return text
    try:
        return tomllib.loads(f"value = {text}")["value"]
    except tomllib.TOMLDecodeError:
        raise ConfigError(f"{where}: expected {kind_name(kind)}, got {text!r}") from None


def build(schema: type[Schema], raw: Mapping[str, Any], path: str) -> Schema:
    """Return the dataclass *schema* made of the table *raw*, which stands at *path*.

    Raises
    ------
    ConfigError
        In one line, with the key.
    """
    return typing.cast("Schema", _build(schema, raw, path))


def _build(schema: Any, raw: Mapping[str, Any], path: str) -> object:
    fields = _fields(schema)
    refuse_unknown(raw, [field.name for field, _ in fields], path)
    values: dict[str, object] = {}
    for field, kind in fields:
        where = _where(path, field.name)
        if field.name in raw:
            values[field.name] = _value(raw[field.name], kind, field, where)
        elif field.default is MISSING and field.default_factory is MISSING:
            raise ConfigError(f"{where}: is missing")
    try:
        return schema(**values)
    except ConfigError as exc:
        raise ConfigError(f"[{path}] {exc}" if path else str(exc)) from None


def _where(path: str, name: str) -> str:
    return f"[{path}] {name}" if path else name


def refuse_unknown(raw: Mapping[str, Any], known: list[str], path: str) -> None:
    """Raise ConfigError for a key of *raw*, which stands at *path*, that is not *known*."""
    for name in raw:
        if name not in known:
            near = difflib.get_close_matches(name, known, n=1, cutoff=0.0)
            raise ConfigError(
                f"{_where(path, name)}: unknown key; the nearest known one is {near[0]!r}"
            )


def _value(raw: Any, kind: Any, field: dataclasses.Field[Any], where: str) -> object:
    if dataclasses.is_dataclass(kind):
        if not isinstance(raw, dict):
            raise ConfigError(f"{where}: expected a table, got {raw!r}")
        return _build(kind, raw, _path(where))
    if typing.get_origin(kind) is tuple:
        if not isinstance(raw, list):
            raise ConfigError(f"{where}: expected an array, got {raw!r}")
        (item, _) = typing.get_args(kind)
        return tuple(
            _value(entry, item, field, f"{where}[{number}]") for number, entry in enumerate(raw)
        )
    value = _scalar(raw, kind, where)
    _check_range(value, field.metadata, where)
    return value


def _path(where: str) -> str:
    """Return the path that errors below *where* begin with: `rails[1]` → `rails.1`."""
    return where.replace("] ", ".").replace("[", ".").replace("]", "").lstrip(".")


def _scalar(raw: Any, kind: Any, where: str) -> object:
    wanted = _plain(kind)
    if wanted is float and isinstance(raw, int) and not isinstance(raw, bool):
        return float(raw)
    if type(raw) is not wanted:
        raise ConfigError(f"{where}: expected {kind_name(kind)}, got {raw!r}")
    return raw


def _plain(kind: Any) -> Any:
    """The type behind `X | None`: a key that may be left out still has one type."""
    if isinstance(kind, types.UnionType):
        return next(arm for arm in typing.get_args(kind) if arm is not types.NoneType)
    return kind


def kind_name(kind: Any) -> str:
    """Return how a message or a page calls the type of a single value."""
    names = {str: "a string", int: "a whole number", float: "a number", bool: "true or false"}
    return names[_plain(kind)]


def _check_range(value: Any, facts: Mapping[str, Any], where: str) -> None:
    low, high, choices = facts["minimum"], facts["maximum"], facts["choices"]
    if choices is not None and value not in choices:
        raise ConfigError(f"{where}: must be one of {', '.join(choices)}, got {value!r}")
    if isinstance(value, str | bool):
        return
    # Written so that NaN, which compares with nothing, is refused too.
    if (low is not None and not value >= low) or (high is not None and not value <= high):
        raise ConfigError(f"{where}: must be {_range_text(low, high)}, got {value!r}")


def _range_text(low: float | None, high: float | None) -> str:
    if low is None:
        return f"at most {high}"
    return f"at least {low}" if high is None else f"between {low} and {high}"
