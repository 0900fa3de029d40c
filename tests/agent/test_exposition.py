"""The text format, written and read, against the parser of prometheus_client."""

import math
from collections.abc import Iterable

import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client.parser import text_string_to_metric_families

from railwatch.catalogue import METRICS
from railwatch.catalogue.metric import Distribution, MetricSpec, MetricType, Sample
from railwatch.exposition import ExpositionError, Reader, Renderer, parse_series

# The text format is UTF-8, which has no lone surrogates; a line ends at a line feed only.
_TEXT = st.text(st.characters(codec="utf-8"), max_size=12)
_NUMBERS = st.floats() | st.integers(0, 2**64)


def _value(spec: MetricSpec) -> st.SearchStrategy[float | Distribution]:
    if spec.type is MetricType.SUMMARY:
        return st.builds(Distribution, st.just(()), st.integers(0, 10**6), st.floats(0, 1e9))
    if spec.type is not MetricType.HISTOGRAM:
        return _NUMBERS
    size = len(spec.edges) + 1
    counts = st.lists(st.integers(0, 10**6), min_size=size, max_size=size).map(sorted)
    return st.builds(
        lambda counts, total: Distribution(tuple(counts[:-1]), counts[-1], total),
        counts,
        st.floats(0, 1e9),
    )


@st.composite
def _samples(draw: st.DrawFn) -> list[Sample]:
    specs = draw(st.lists(st.sampled_from(METRICS), max_size=5, unique=True))
    found = []
    for spec in specs:
        label_sets = st.tuples(*(_TEXT for _ in spec.labels))
        for labels in draw(st.lists(label_sets, min_size=1, max_size=3, unique=True)):
            value = draw(_value(spec))
            found.append(Sample(spec, labels, value))
    return found


Expected = dict[tuple[str, frozenset[tuple[str, str]]], float]


def _expected(samples: Iterable[Sample]) -> Expected:
    found: Expected = {}
    for sample in samples:
        name, pairs = sample.spec.name, list(zip(sample.spec.labels, sample.labels, strict=True))
        if not isinstance(sample.value, Distribution):
            found[name, frozenset(pairs)] = float(sample.value)
            continue
        if sample.spec.type is MetricType.HISTOGRAM:
            bounds = [*map(str, map(float, sample.spec.edges)), "+Inf"]
            counts = [*sample.value.buckets, sample.value.count]
            for bound, count in zip(bounds, counts, strict=True):
                found[f"{name}_bucket", frozenset([*pairs, ("le", bound)])] = count
        found[f"{name}_sum", frozenset(pairs)] = sample.value.sum
        found[f"{name}_count", frozenset(pairs)] = sample.value.count
    return found


def _assert_equal(found: Expected, expected: Expected) -> None:
    assert found.keys() == expected.keys()
    for series, value in expected.items():
        # prometheus_client keeps whole numbers whole.
        read = float(found[series])
        assert read == float(value) or (math.isnan(read) and math.isnan(value))


@given(samples=_samples())
def test_what_is_written_is_what_prometheus_reads(samples: list[Sample]) -> None:
    text = Renderer().render(samples).decode()

    found = {
        (sample.name, frozenset(sample.labels.items())): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }
    _assert_equal(found, _expected(samples))


@given(samples=_samples())
def test_what_is_written_is_read_back(samples: list[Sample]) -> None:
    text = Renderer().render(samples).decode()

    found = {
        (series.name, frozenset(series.labels)): value for series, value in Reader().read(text)
    }
    _assert_equal(found, _expected(samples))


@given(samples=_samples())
def test_a_renderer_and_a_reader_that_remember_say_the_same_again(samples: list[Sample]) -> None:
    renderer, reader = Renderer(), Reader()
    first = renderer.render(samples)

    assert renderer.render(samples) == first
    text = first.decode()
    assert repr(list(reader.read(text))) == repr(list(reader.read(text)))


@given(samples=_samples())
def test_a_family_has_one_header_before_its_series(samples: list[Sample]) -> None:
    lines = Renderer().render(samples).decode().split("\n")

    types = [line.split()[2] for line in lines if line.startswith("# TYPE")]
    assert len(types) == len(set(types)) == len({sample.spec for sample in samples})


def test_integers_keep_every_digit() -> None:
    spec = next(spec for spec in METRICS if spec.labels == ())

    assert Renderer().render([Sample(spec, (), 2**64 - 1)]).endswith(b" 18446744073709551615\n")


@pytest.mark.parametrize(
    "line",
    ["up", "up{a=1} 1", 'up{a="1} 1', "1up 1", "up one", 'up{a="1"}', 'up{a="1" b="2"} 1'],
)
def test_what_is_no_sample_is_refused(line: str) -> None:
    with pytest.raises(ExpositionError, match=r"."):
        list(Reader().read(line + "\n"))


@given(text=st.text(max_size=80))
def test_any_text_is_read_or_refused(text: str) -> None:
    try:
        list(Reader().read(text))
    except ExpositionError:
        return


@pytest.mark.parametrize(
    ("written", "labels"),
    [
        ("up", ()),
        ("up{}", ()),
        ('up{a="x"}', (("a", "x"),)),
        ('up{ a = "x" , b="y", }', (("a", "x"), ("b", "y"))),
        ('up{a="}"}', (("a", "}"),)),
        (r'up{a="\\n\n\""}', (("a", '\\n\n"'),)),
        ('up{a="x=\\"1\\",b"}', (("a", 'x="1",b'),)),
    ],
)
def test_labels_are_read_as_they_were_meant(
    written: str, labels: tuple[tuple[str, str], ...]
) -> None:
    assert parse_series(written) == ("up", labels)


def test_time_stamps_comments_and_empty_lines_are_passed_over() -> None:
    text = "# HELP up x\n\nup 1 1700000000000\n  \ndown 0\n"

    assert [(s.name, v) for s, v in Reader().read(text)] == [("up", 1.0), ("down", 0.0)]
