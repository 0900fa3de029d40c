# SPDX-License-Identifier: Apache-2.0
"""Pauses of a whole group, and their edges, are nobody's fault."""

from __future__ import annotations

import numpy as np

from railwatch_analyzer.comparison import pausing

_USUAL = np.full(20, np.log(20e9))
_ONE_GROUP = np.zeros(20, dtype=np.int64)


def _paused(rates: list[float]) -> bool:
    found = pausing(np.log(np.array(rates)), _USUAL, _ONE_GROUP)
    assert len(set(found.tolist())) == 1
    return bool(found[0])


def test_a_group_whose_bursts_are_a_tenth_of_the_usual_pauses() -> None:
    assert _paused([2e9] * 20)


def test_so_does_one_at_the_edge_of_a_pause_where_some_still_send() -> None:
    assert _paused([19e9] * 17 + [1e6] * 3)


def test_a_group_that_is_slowed_to_a_quarter_does_not_pause() -> None:
    assert not _paused([5e9] * 20)


def test_one_silent_link_is_no_pause_of_its_group() -> None:
    assert not _paused([1e6] + [20e9] * 19)


def test_a_pause_of_one_group_is_none_of_another() -> None:
    rates = np.log(np.array([2e9] * 10 + [20e9] * 10))
    groups = np.repeat([0, 1], 10)

    assert pausing(rates, _USUAL, groups).tolist() == [True] * 10 + [False] * 10
