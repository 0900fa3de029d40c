"""Numbers that are given once, and the book that keeps them."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from railwatch_agent.numbering import (
    Book,
    Record,
    assign,
    format_book,
    parse_book,
    place_order,
)
from railwatch_agent.selection import Kind, Rule


def _record(**changes: object) -> dict[str, object]:
    facts = json.loads(
        format_book(
            Book((Record(0, "a", Rule.RDMA, "eth0", Kind.ROCE, None, None, None),), is_settled=True)
        )
    )["rails"][0]
    return {**facts, **changes}


@pytest.mark.parametrize(
    "rails",
    [
        pytest.param([_record(number=-1)], id="negative"),
        pytest.param([_record(number=True)], id="boolean"),
        pytest.param([_record(number="0")], id="text"),
        pytest.param([_record(rule="whim")], id="unknown rule"),
        pytest.param([_record(netdev=None)], id="no name"),
        pytest.param([_record(), _record(binding="b")], id="number twice"),
        pytest.param([_record(), _record(number=1)], id="place twice"),
        pytest.param([_record(extra=1)], id="too much"),
    ],
)
def test_a_book_that_cannot_be_true_is_refused(rails: list[dict[str, object]]) -> None:
    with pytest.raises(ValueError, match=r"."):
        parse_book(json.dumps({"format": 1, "is_settled": True, "rails": rails}))


_RECORDS = st.builds(
    Record,
    number=st.integers(0, 100),
    binding=st.text(max_size=20),
    rule=st.sampled_from(Rule),
    netdev=st.text(max_size=15),
    kind=st.sampled_from(Kind),
    driver=st.none() | st.text(max_size=10),
    pci_address=st.none() | st.text(max_size=12),
    numa_node=st.none() | st.integers(0, 7),
)


@given(
    records=st.lists(_RECORDS, unique_by=(lambda r: r.number, lambda r: r.binding), max_size=6),
    is_settled=st.booleans(),
)
def test_a_book_comes_back_as_it_was_written(records: list[Record], *, is_settled: bool) -> None:
    book = Book(tuple(records), is_settled)

    assert parse_book(format_book(book)) == book


@given(
    bindings=st.lists(st.text(max_size=3), unique=True),
    taken=st.dictionaries(st.text(max_size=3), st.integers(0, 9)),
    reserved=st.sets(st.integers(0, 9)),
)
def test_no_number_is_given_twice(
    bindings: list[str], taken: dict[str, int], reserved: set[int]
) -> None:
    numbers = assign(bindings, taken, reserved)

    new = [numbers[binding] for binding in bindings if binding not in taken]
    assert len(set(new)) == len(new)
    assert not set(new) & (set(taken.values()) | reserved)
    assert all(numbers[b] == taken[b] for b in bindings if b in taken)


@given(places=st.lists(st.text("0123456789abcdef:./eth", max_size=14)))
def test_any_places_have_an_order(places: list[str]) -> None:
    assert [place_order(p) for p in sorted(places, key=place_order)] == sorted(
        place_order(p) for p in places
    )
