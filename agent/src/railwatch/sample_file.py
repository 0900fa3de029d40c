# SPDX-License-Identifier: Apache-2.0
"""A configuration file with every key commented out, at its default; written from the settings."""

from __future__ import annotations

import dataclasses
import json
import textwrap
import typing
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator

_WIDTH = 96


def sample_file(name: str, schema: type) -> str:
    """Return the file *name*, which *schema* describes; as it is it changes nothing."""
    head = (
        f"{name}: written from the settings, every key with its default and commented out. After a "
        "change of what is marked (reload), `systemctl reload` is enough."
    )
    return "\n".join([*_comment(head), *_tables(schema)]) + "\n"


def _tables(schema: Any) -> Iterator[str]:
    hints = typing.get_type_hints(schema)
    for field in dataclasses.fields(schema):
        kind = hints[field.name]
        if dataclasses.is_dataclass(kind):
            yield from ("", *_comment(field.metadata["doc"]), f"[{field.name}]")
        else:
            # Of an array of tables there are none by default: its head is a comment too.
            kind = typing.get_args(kind)[0]
            yield from ("", *_comment(field.metadata["doc"]), f"# [[{field.name}]]")
        for key in dataclasses.fields(kind):
            mark = " (reload)" if key.metadata["live"] else ""
            yield from _comment(f"{key.metadata['doc']}{mark}")
            yield f"# {key.name} = {_value(key.default)}".rstrip()


def _comment(text: str) -> list[str]:
    return textwrap.wrap(
        text, _WIDTH, initial_indent="## ", subsequent_indent="## ", break_on_hyphens=False
    )


def _value(default: object) -> str:
    """Return a default as TOML has it, nothing for a key that has none."""
    if default is None or default is dataclasses.MISSING:
        return ""
    return json.dumps(default, ensure_ascii=False)
