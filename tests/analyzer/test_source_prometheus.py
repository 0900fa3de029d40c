# SPDX-License-Identifier: Apache-2.0
"""What the Prometheus source makes of answers, good and bad; tests/e2e asks a real Prometheus."""

from __future__ import annotations

import json
import math
import urllib.parse
from contextlib import closing
from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from railwatch.clock import SystemClock
from railwatch_analyzer.frame import Link
from railwatch_analyzer.sources.errors import SourceError
from railwatch_analyzer.sources.http_client import Access, FetchError
from railwatch_analyzer.sources.node import node_name, node_names
from railwatch_analyzer.sources.prometheus import PrometheusSource
from railwatch_analyzer.sources.prometheus_api import parse_matrix
from support.loopback import Loopback, answer_with, wait_for_the_end

if TYPE_CHECKING:
    from collections.abc import Iterator

_NOW = 1_700_000_000.0
_RAIL = {"rail": "0", "device": "mlx5_0"}
_TRANSMIT = "railwatch_rail_transmit_bytes_total"


class SetClock(SystemClock):
    """A wall clock that a test sets."""

    def __init__(self) -> None:
        self.seconds = _NOW

    def wall(self) -> float:
        """Unix seconds."""
        return self.seconds


def _series(
    name: str, *ages_and_values: tuple[float, float | str], **labels: str
) -> dict[str, object]:
    """A series of the API with samples so many seconds old."""
    return {
        "metric": {"instance": "node-1:9810", **labels, "__name__": name},
        "values": [[_NOW - age, str(value)] for age, value in ages_and_values],
    }


def _matrix(*series: dict[str, object], **more: object) -> bytes:
    data = {"resultType": "matrix", "result": list(series)}
    return json.dumps({"status": "success", "data": data, **more}).encode()


@pytest.fixture
def server() -> Iterator[Loopback]:
    with Loopback(answer_with(_matrix())) as running:
        yield running


def _queries(server: Loopback) -> list[dict[str, str]]:
    return [dict(urllib.parse.parse_qsl(urllib.parse.urlsplit(p).query)) for p in server.paths]


def test_the_newest_sample_counts_and_keeps_its_own_time(server: Loopback) -> None:
    server.answer = answer_with(
        _matrix(
            _series(_TRANSMIT, (12.5, 1), (7.5, 2), (2.5, 9007199254740991), **_RAIL),
            _series("railwatch_rail_up", (7.0, 1), (2.0, 0), **_RAIL),
            _series("railwatch_agent_window_end_timestamp_seconds", (2.0, 1_699_999_995)),
            _series("railwatch_agent_window_seconds", (2.0, 5)),
        )
    )
    with closing(PrometheusSource(server.url, SetClock())) as source:
        frame = source.fetch()

    assert frame.links == (Link("node-1", "0", "mlx5_0"),)
    assert frame["transmit_bytes_total"].tolist() == [9007199254740991.0]
    assert frame["up"].tolist() == [0.0]
    assert frame.sampled_at.tolist() == [_NOW - 2.5]
    assert frame.time == _NOW
    assert frame.interval_seconds == 5.0
    assert frame.window_end.tolist() == [1_699_999_995.0]


def test_a_series_without_a_young_sample_is_missing_and_not_held(server: Loopback) -> None:
    """At a scrape every 10 s a sample counts for 30 s."""
    server.answer = answer_with(
        _matrix(
            _series("railwatch_rail_up", (39.0, 1), (29.0, 1), **_RAIL),
            _series(_TRANSMIT, (41.0, 1), (31.0, 2), **_RAIL),
        )
    )
    with closing(PrometheusSource(server.url, SetClock())) as source:
        frame = source.fetch()

    assert frame["up"].tolist() == [1.0]
    assert math.isnan(frame["transmit_bytes_total"][0])


def test_nan_and_infinity_are_taken_for_unknown(server: Loopback) -> None:
    server.answer = answer_with(
        _matrix(
            _series("railwatch_rail_up", (2.0, "NaN"), **_RAIL),
            _series("railwatch_rail_speed_bytes_per_second", (2.0, "+Inf"), **_RAIL),
        )
    )
    with closing(PrometheusSource(server.url, SetClock())) as source:
        frame = source.fetch()

    assert math.isnan(frame["up"][0])
    assert math.isnan(frame["speed_bytes_per_second"][0])


def test_a_node_that_falls_silent_is_missed_until_it_is_no_longer_expected(
    server: Loopback,
) -> None:
    clock = SetClock()
    server.answer = answer_with(_matrix(_series("railwatch_rail_up", (6.0, 1), (1.0, 1), **_RAIL)))
    with closing(PrometheusSource(server.url, clock)) as source:
        source.fetch()
        missed = {}
        for later in (5.0, 20.0, 890.0, 910.0):
            clock.seconds = _NOW + later
            missed[later] = source.fetch().missed

    assert missed == {5.0: (), 20.0: ("node-1",), 890.0: ("node-1",), 910.0: ()}


def test_of_two_jobs_of_a_rail_the_younger_counts(server: Loopback) -> None:
    info = "railwatch_rail_job_info"
    series = [
        _series("railwatch_rail_up", (6.0, 1), (1.0, 1), **_RAIL),
        _series(info, (1.0, 1), job_id="new", **_RAIL),
        _series(info, (6.0, 1), job_id="old", **_RAIL),
    ]
    server.answer = answer_with(_matrix(*series))
    with closing(PrometheusSource(server.url, SetClock())) as source:
        assert source.fetch().job_id == ("new",)

        server.answer = answer_with(_matrix(*reversed(series)))
        assert source.fetch().job_id == ("new",)


def test_the_lookback_follows_the_scrape_interval(server: Loopback) -> None:
    """One small question tells the interval; from then on the answers themselves do."""
    server.answer = answer_with(_matrix(_series("railwatch_rail_up", (61.0, 1), (1.0, 1), **_RAIL)))
    with closing(PrometheusSource(server.url, SetClock())) as source:
        source.fetch()
        server.answer = answer_with(
            _matrix(_series("railwatch_rail_up", (2.0, 1), (1.0, 1), **_RAIL))
        )
        assert source.fetch().interval_seconds == 60.0
        assert source.fetch().interval_seconds == 1.0

    queries = [query["query"] for query in _queries(server)]
    assert queries[0] == '{__name__=~"railwatch_agent_window_seconds"}[300s]'
    assert [query.rpartition("}")[2] for query in queries[1:]] == ["[240s]", "[240s]", "[16s]"]
    assert {query["time"] for query in _queries(server)} == {f"{_NOW:.3f}"}


def test_before_there_are_two_samples_the_interval_is_assumed(server: Loopback) -> None:
    server.answer = answer_with(_matrix(_series("railwatch_rail_up", (1.0, 1), **_RAIL)))
    with closing(PrometheusSource(server.url, SetClock())) as source:
        frame = source.fetch()

    assert frame.interval_seconds == 15.0
    assert len(frame.links) == 1


def test_the_query_names_every_family_and_all_matchers(server: Loopback) -> None:
    matchers = ('cluster="a"', 'job=~"rail.*"')
    with closing(PrometheusSource(f"{server.url}/prom/", SetClock(), matchers=matchers)) as source:
        source.fetch()

    query = _queries(server)[-1]["query"]
    assert query.startswith('{__name__=~"railwatch_agent_window_end_timestamp_seconds|')
    assert "|railwatch_rail_faults_total|" in query
    assert "|railwatch_rail_job_info|" in query
    assert query.endswith('",cluster="a",job=~"rail.*"}[60s]')
    assert {urllib.parse.urlsplit(path).path for path in server.paths} == {"/prom/api/v1/query"}


def test_the_node_label_names_the_node(server: Loopback) -> None:
    server.answer = answer_with(
        _matrix(
            _series("railwatch_rail_up", (1.0, 1), host="gpu-7", **_RAIL),
            _series("railwatch_rail_up", (1.0, 1), rail="1", device="mlx5_1"),
        )
    )
    with closing(PrometheusSource(server.url, SetClock(), node_label="host")) as source:
        frame = source.fetch()

    assert [link.node for link in frame.links] == ["gpu-7", "node-1"]


def test_two_agents_on_one_host_keep_their_ports_for_good(server: Loopback) -> None:
    first, second = (
        _series("railwatch_rail_up", (1.0, 1), **_RAIL, instance=f"host:{port}") for port in (1, 2)
    )
    found = []
    with closing(PrometheusSource(server.url, SetClock())) as source:
        for series in ((first,), (first, second), (second,)):
            server.answer = answer_with(_matrix(*series))
            frame = source.fetch()
            found.append(([link.node for link in frame.links], frame.missed))

    assert found == [
        (["host"], ()),
        (["host:1", "host:2"], ()),
        (["host:2"], ()),
    ]


def test_secret_headers_are_sent(server: Loopback) -> None:
    access = Access(headers={"X-Scope-OrgID": "tenant"})
    with closing(PrometheusSource(server.url, SetClock(), access=access)) as source:
        source.fetch()

    assert {headers["X-Scope-OrgID"] for headers in server.headers} == {"tenant"}


def _error(status: str, **fields: str) -> bytes:
    return json.dumps({"status": status, **fields}).encode()


@pytest.mark.parametrize(
    ("status", "body", "expected"),
    [
        pytest.param(503, b"down\n", "answers with status 503", id="no JSON behind an error"),
        pytest.param(302, b"", "answers with status 302", id="redirect"),
        pytest.param(
            422,
            _error("error", errorType="execution", error="query\nprocessing would load too many"),
            "answers with status 422: query processing would load too many",
            id="refused by Prometheus",
        ),
        pytest.param(200, _error("error", error="no"), "status 200: no", id="error with 200"),
        pytest.param(200, b"<html>\n</html>", "the answer is not JSON", id="a page"),
        pytest.param(200, b'{"status": "succ', "the answer is not JSON", id="cut short"),
        pytest.param(200, b"[]", "no object", id="not an object"),
        pytest.param(200, _error("success"), "not that of Prometheus", id="no data"),
        pytest.param(
            200,
            b'{"status": "success", "data": {"resultType": "vector", "result": []}}',
            "expected a matrix, got vector",
            id="another type",
        ),
        pytest.param(
            200,
            _matrix({"metric": {}, "values": [[1, "1"]]}),
            "not that of Prometheus",
            id="a series without a name",
        ),
        pytest.param(
            200,
            _matrix(_series("a", (1.0, "one"))),
            "not that of Prometheus",
            id="a value that is none",
        ),
        pytest.param(
            200,
            _matrix(warnings=["store a: timeout"]),
            "the answer is not complete: ['store a: timeout']",
            id="partial",
        ),
    ],
)
def test_an_answer_that_cannot_be_used_is_an_error_of_one_line(
    server: Loopback, status: int, body: bytes, expected: str
) -> None:
    server.answer = answer_with(body, status=status)
    url = server.url.replace("//", "//user:s3cret@")
    with (
        closing(PrometheusSource(url, SetClock())) as source,
        pytest.raises(SourceError) as caught,
    ):
        source.fetch()

    message = str(caught.value)
    assert expected in message
    assert server.address in message
    assert "s3cret" not in message
    assert "\n" not in message


def test_a_prometheus_that_does_not_answer_is_an_error_of_one_line(server: Loopback) -> None:
    server.answer = wait_for_the_end
    with (
        closing(PrometheusSource(server.url, SetClock(), timeout_seconds=0.2)) as source,
        pytest.raises(SourceError, match=r"no answer within 0\.2 s"),
    ):
        source.fetch()


def test_a_prometheus_that_is_gone_is_an_error_and_its_return_is_not() -> None:
    with Loopback(answer_with(_matrix(_series("railwatch_rail_up", (1.0, 1), **_RAIL)))) as server:
        url = server.url
        source = PrometheusSource(url, SetClock())
        assert len(source.fetch().links) == 1
        server.answer = answer_with(b"", status=500)
        with pytest.raises(SourceError):
            source.fetch()
        server.answer = answer_with(_matrix(_series("railwatch_rail_up", (1.0, 1), **_RAIL)))
        assert len(source.fetch().links) == 1
    source.close()
    with (
        closing(PrometheusSource(url, SetClock())) as gone,
        pytest.raises(SourceError, match=url),
    ):
        gone.fetch()


_JSON = st.recursive(
    st.one_of(st.none(), st.booleans(), st.floats(), st.text()),
    lambda inner: st.one_of(
        st.lists(inner),
        st.dictionaries(
            st.sampled_from(["status", "data", "resultType", "result", "metric", "values"]), inner
        ),
    ),
    max_leaves=8,
)


@settings(deadline=None)
@given(result=_JSON)
def test_no_answer_whatever_raises_anything_else(result: object) -> None:
    data = {"resultType": "matrix", "result": result}
    body = json.dumps({"status": "success", "data": data}).encode()
    try:
        parse_matrix(200, body)
    except FetchError as exc:
        assert "\n" not in str(exc)  # noqa: PT017 - that it raises is one of two good ends


@settings(deadline=None)
@given(body=st.binary(), status=st.integers(100, 599))
def test_no_bytes_whatever_raise_anything_else(body: bytes, status: int) -> None:
    with pytest.raises(FetchError):
        parse_matrix(status, body)


_HOST = st.one_of(
    st.from_regex(r"[a-z][a-z0-9.-]{0,20}", fullmatch=True),
    st.ip_addresses(v=4).map(str),
    st.ip_addresses(v=6).map(lambda address: f"[{address}]"),
)


@settings(deadline=None)
@given(host=_HOST, port=st.integers(1, 65535))
def test_a_node_is_its_instance_without_the_port(host: str, port: int) -> None:
    assert node_name(f"{host}:{port}") == host
    assert node_name(host) == host


@settings(deadline=None)
@given(address=st.ip_addresses(v=6).map(str))
def test_an_address_without_brackets_loses_nothing(address: str) -> None:
    assert node_name(address) == address


@settings(deadline=None)
@given(instances=st.sets(st.builds("{}:{}".format, st.sampled_from("ab"), st.integers(1, 3))))
def test_two_agents_never_share_a_node(instances: set[str]) -> None:
    names = node_names(instances)

    assert len(set(names.values())) == len(instances)
