# SPDX-License-Identifier: Apache-2.0
"""Reads a RAILS.parquet: a long table with a row per sample of a rail, in whatever order.

The columns are those of the contract: `timestamp_ms`, `instance`, `rail`, `device`, `job_id`,
optionally `switch`, and one per rail metric without its prefix. Others are passed over.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from railwatch_analyzer.frame import COLUMNS, COUNTER_COLUMNS, Link
from railwatch_analyzer.sources.errors import SourceError
from railwatch_analyzer.sources.node import node_names
from railwatch_analyzer.sources.parquet import numbers, read_columns

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

_TIME = "timestamp_ms"
_IDENTITY = ("instance", "rail", "device")
_REQUIRED = (_TIME, *_IDENTITY, "job_id")
_OPTIONAL = ("switch",)


@dataclass(frozen=True, slots=True)
class Text:
    """A column of text: `names[codes[i]]` is the text of row i, empty where it is unknown."""

    codes: NDArray[np.intp]
    names: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Recording:
    """A trace in memory, rows in order of link and then of time.

    Rows `bounds[i]:bounds[i + 1]` are those of `links[i]`; `times` are Unix seconds; `columns`
    holds what the file has of `frame.COLUMNS`, NaN where a row has no value.
    """

    links: tuple[Link, ...]
    bounds: NDArray[np.intp]
    times: NDArray[np.float64]
    columns: Mapping[str, NDArray[np.float64]]
    job_id: Text
    switch: Text


def read_recording(path: Path) -> Recording:
    """Read the trace in *path*.

    Raises
    ------
    SourceError
        If it is not such a table; the message names the column that is at fault.
    """
    table = read_columns(
        path,
        required=_REQUIRED,
        optional=(*_OPTIONAL, *COLUMNS),
        any_of=(*COUNTER_COLUMNS, *COLUMNS),
    )
    seconds = numbers(path, table, _TIME) / 1000.0
    if not np.isfinite(seconds).all():
        raise SourceError(f"{path}: column {_TIME!r} has rows without a value")
    links, number = _links([_identity(path, table, name) for name in _IDENTITY])
    order = np.lexsort((seconds, number))
    present = [name for name in COLUMNS if name in table.columns]
    return Recording(
        links=links,
        bounds=np.searchsorted(number[order], np.arange(len(links) + 1)),
        times=seconds[order],
        columns={name: numbers(path, table, name)[order] for name in present},
        job_id=_text(table, "job_id", order),
        switch=_text(table, "switch", order),
    )


def _codes(table: pd.DataFrame, name: str) -> Text:
    codes, found = pd.factorize(table[name])
    # Code -1, which is null, finds the empty name at the end.
    return Text(codes, (*(_written(value) for value in found), ""))


def _identity(path: Path, table: pd.DataFrame, name: str) -> Text:
    if table[name].isna().any():
        raise SourceError(f"{path}: column {name!r} has rows without a value")
    return _codes(table, name)


def _text(table: pd.DataFrame, name: str, order: NDArray[np.intp]) -> Text:
    if name not in table.columns:
        return Text(np.full(len(order), -1, dtype=np.intp), ("",))
    text = _codes(table, name)
    return Text(text.codes[order], text.names)


def _written(value: object) -> str:
    # A column of integers that once had nulls comes as floats: rail 3.0 is rail 3.
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    return str(value)


def _links(identity: Sequence[Text]) -> tuple[tuple[Link, ...], NDArray[np.intp]]:
    """Return the links in sorted order and the number of each row's link."""
    instance, rail, device = identity
    nodes = node_names(instance.names)
    keys = np.zeros(len(instance.codes), dtype=np.int64)
    for text in identity:
        keys = keys * len(text.names) + text.codes
    _, first, inverse = np.unique(keys, return_index=True, return_inverse=True)
    found = [
        Link(
            nodes[instance.names[instance.codes[row]]],
            rail.names[rail.codes[row]],
            device.names[device.codes[row]],
        )
        for row in first
    ]
    order = sorted(range(len(found)), key=found.__getitem__)
    rank = np.empty(len(found), dtype=np.intp)
    rank[order] = np.arange(len(found))
    return tuple(found[i] for i in order), rank[inverse]
