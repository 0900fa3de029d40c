# SPDX-License-Identifier: Apache-2.0
"""The answers of Prometheus's HTTP API, https://prometheus.io/docs/prometheus/latest/querying/api/.

Pure: status and body in, series or an error out.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple, TypedDict, cast

import orjson

from railwatch_analyzer.sources.http_client import FetchError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

_LONGEST_REASON = 200


class _Element(TypedDict):
    metric: Mapping[str, str]
    values: Sequence[tuple[float, str]]


class _Data(TypedDict):
    resultType: str
    result: Sequence[_Element]


class _Document(TypedDict, total=False):
    """What is hoped for; that it is so shows when it is read."""

    data: _Data
    warnings: Sequence[str]


class RangeSeries(NamedTuple):
    """A series over a range: its newest sample, Unix seconds and value, and the one before."""

    name: str
    labels: Mapping[str, str]
    newest: float
    newest_at: float
    spacing_seconds: float | None


def parse_matrix(status: int, body: bytes) -> list[RangeSeries]:
    """Return the series of a matrix, the result of an instant query for a range selector.

    Raises
    ------
    FetchError
        If the answer is an error, is not a matrix, or says that it is not complete.
    """
    document = _document(status, body)
    if document.get("warnings"):
        raise FetchError(f"the answer is not complete: {_one_line(document['warnings'])}")
    try:
        data = document["data"]
        if data["resultType"] != "matrix":
            raise FetchError(f"expected a matrix, got {_one_line(data['resultType'])}")
        return [_series(element["metric"], element["values"]) for element in data["result"]]
    except (KeyError, IndexError, TypeError, ValueError) as exc:
        raise FetchError(f"the answer is not that of Prometheus: {exc!r}") from exc


def _document(status: int, body: bytes) -> _Document:
    try:
        document: object = orjson.loads(body)
    except orjson.JSONDecodeError as exc:
        if status != 200:
            raise FetchError(f"answers with status {status}") from exc
        raise FetchError(f"the answer is not JSON: {_one_line(exc)}") from exc
    if not isinstance(document, dict):
        raise FetchError(f"answers with status {status} and no object")
    if status != 200 or document.get("status") != "success":
        reason = document.get("error", "no reason given")
        raise FetchError(f"answers with status {status}: {_one_line(reason)}")
    return cast("_Document", document)


def _series(labels: Mapping[str, str], values: Sequence[tuple[float, str]]) -> RangeSeries:
    newest_at, newest = values[-1]
    spacing = newest_at - values[-2][0] if len(values) > 1 else None
    return RangeSeries(labels["__name__"], labels, float(newest), float(newest_at), spacing)


def _one_line(what: object) -> str:
    return " ".join(str(what).split())[:_LONGEST_REASON]
