# SPDX-License-Identifier: Apache-2.0
"""Peer groups, and the median of a link's peers without itself."""

from __future__ import annotations

import statistics

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from railwatch_analyzer.frame import Link
from railwatch_analyzer.peers import group_medians, group_names, group_numbers, peer_medians

# Few distinct values, so that ties are common.
_CELL = st.one_of(st.just(np.nan), st.sampled_from([-1.0, 0.0, 1.0, 2.5]), st.floats(-1e9, 1e9))


@st.composite
def _tables(draw: st.DrawFn) -> tuple[np.ndarray, np.ndarray]:
    """Cells of several groups of one to seven rows each, in any order of rows."""
    sizes = draw(st.lists(st.integers(1, 7), min_size=1, max_size=4))
    groups = draw(st.permutations([n for n, size in enumerate(sizes) for _ in range(size)]))
    columns = draw(st.integers(1, 3))
    row = st.lists(_CELL, min_size=columns, max_size=columns)
    cells = draw(st.lists(row, min_size=len(groups), max_size=len(groups)))
    return np.array(cells), np.array(groups)


@settings(deadline=None)
@given(_tables())
def test_the_yardstick_of_a_cell_is_the_median_of_the_others(
    table: tuple[np.ndarray, np.ndarray],
) -> None:
    values, groups = table

    medians, counts = peer_medians(values, groups)

    for row, column in np.ndindex(*values.shape):
        others = [
            float(values[other, column])
            for other in range(len(groups))
            if other != row and groups[other] == groups[row] and np.isfinite(values[other, column])
        ]
        assert counts[row, column] == len(others)
        expected = statistics.median(others) if others else np.nan
        assert medians[row, column] == pytest.approx(expected, nan_ok=True)


def test_one_bad_link_in_a_small_group_does_not_move_its_own_yardstick() -> None:
    values = np.array([[40.0], [41.0], [1.0]])

    medians, _ = peer_medians(values, np.zeros(3, dtype=np.int64))

    assert medians[:, 0].tolist() == [21.0, 20.5, 40.5]


def test_links_of_one_job_and_rail_are_peers_whatever_their_speed() -> None:
    links = (Link("a", "0", "m0"), Link("b", "0", "m1"), Link("c", "1", "m0"), Link("d", "0", "m0"))
    speed = np.array([25e9, 50e9, 25e9, 25e9])

    names = group_names(links, ("7", "7", "7", "8"), speed)

    assert group_numbers(names)[0] == group_numbers(names)[1]
    assert len(set(names)) == 3


def test_without_a_job_links_of_one_rail_and_speed_are_peers() -> None:
    """An unknown speed is a group of its own, not one group for each NaN."""
    links = tuple(Link(node, "0", "m0") for node in "abcde")
    speed = np.array([25e9, 25e9, 50e9, np.nan, np.nan])

    a, b, c, d, e = group_numbers(group_names(links, ("",) * 5, speed)).tolist()

    assert a == b
    assert d == e
    assert len({a, c, d}) == 3


def test_the_median_of_a_group_has_everybody_who_is_known_in_it() -> None:
    values = np.array([1.0, 2.0, 9.0, np.nan, 4.0, np.nan])
    groups = np.array([0, 0, 0, 0, 1, 2])

    found = group_medians(values, groups)

    assert found[:5].tolist() == [2.0, 2.0, 2.0, 2.0, 4.0]
    assert np.isnan(found[5])
