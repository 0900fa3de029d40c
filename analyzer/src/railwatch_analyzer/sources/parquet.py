# SPDX-License-Identifier: Apache-2.0
"""Reads columns out of a parquet file, and says in one line what is wrong with it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from railwatch_analyzer.sources.errors import SourceError

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from pathlib import Path

    from numpy.typing import NDArray


def read_columns(
    path: Path, *, required: Sequence[str], optional: Iterable[str], any_of: Sequence[str] = ()
) -> pd.DataFrame:
    """Return the columns of *path* that are named; others are passed over.

    Raises
    ------
    SourceError
        If the file cannot be read, has no row, lacks one of *required*, or all of *any_of*.
    """
    try:
        import pyarrow as pa  # noqa: PLC0415 - an extra that the live analyzer does without
        from pyarrow import parquet  # noqa: PLC0415
    except ImportError as exc:
        raise SourceError(
            f"cannot read {path}: pyarrow is missing, install railwatch-analyzer[offline]"
        ) from exc
    try:
        with path.open("rb") as file:
            source = parquet.ParquetFile(file)
            known = source.schema_arrow.names
            _check(path, known, required, any_of)
            wanted = [name for name in (*required, *optional) if name in known]
            table: pd.DataFrame = source.read(columns=wanted).to_pandas()
    except OSError as exc:
        raise SourceError(f"cannot read {path}: {exc.strerror or _one_line(exc)}") from exc
    except pa.ArrowException as exc:
        raise SourceError(f"{path} is not a parquet file: {_one_line(exc)}") from exc
    if table.empty:
        raise SourceError(f"{path}: no samples, the table is empty")
    return table


def numbers(path: Path, table: pd.DataFrame, name: str) -> NDArray[np.float64]:
    """Return the column *name* as numbers, NaN where it has no value.

    Raises
    ------
    SourceError
        If it holds something else.
    """
    column = table[name]
    if not (pd.api.types.is_numeric_dtype(column) or column.isna().all()):
        raise SourceError(f"{path}: column {name!r} holds {column.dtype}, not numbers")
    return column.to_numpy(dtype=np.float64, na_value=np.nan)


def _check(
    path: Path, known: Sequence[str], required: Sequence[str], any_of: Sequence[str]
) -> None:
    for name in required:
        if name not in known:
            raise SourceError(f"{path}: column {name!r} is missing")
    if any_of and not set(any_of) & set(known):
        raise SourceError(f"{path}: no column of a rail metric, such as {any_of[0]!r}")


def _one_line(exc: Exception) -> str:
    return " ".join(str(exc).split())
