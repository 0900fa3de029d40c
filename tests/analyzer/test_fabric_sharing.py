# SPDX-License-Identifier: Apache-2.0
"""Max-min fair shares, and how senders answer to congestion."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from railwatch_analyzer.simulation.fabric import dcqcn
from railwatch_analyzer.simulation.fabric.sharing import max_min

_RATE = 50e9
_TICK = 0.0005


@given(
    demand=st.lists(st.floats(0.0, 1e3), min_size=1, max_size=6),
    capacity=st.floats(0.0, 2e3),
)
def test_shares_use_the_capacity_and_are_fair(demand: list[float], capacity: float) -> None:
    asked = np.array(demand)

    got = max_min(asked, capacity)

    assert (got <= asked + 1e-9).all()
    assert got.sum() == pytest.approx(min(asked.sum(), capacity), abs=1e-6)
    unsatisfied = got < asked - 1e-6
    if unsatisfied.any():
        assert got[unsatisfied].min() >= got.max() - 1e-6


def test_many_capacities_are_shared_at_once() -> None:
    got = max_min(np.array([[9.0, 9.0, 1.0], [1.0, 2.0, 3.0]]), np.array([7.0, 100.0]))

    np.testing.assert_allclose(got, [[3.0, 3.0, 1.0], [1.0, 2.0, 3.0]])


def test_a_sender_that_is_notified_slows_down_to_what_gets_through_and_recovers() -> None:
    state = dcqcn.senders((1, 2), _RATE)
    for _ in range(20):
        dcqcn.react(state, np.array([0]), np.array([5.0]), np.array([_RATE / 4]), _TICK)

    assert _RATE / 5 < state.rate[0, 0] < _RATE / 2
    assert state.rate[0, 1] == _RATE
    for _ in range(2000):
        dcqcn.recover(state, _TICK)
    assert state.calm


def test_marks_and_notifications_grow_with_the_queue() -> None:
    queue = np.array([0.0, dcqcn.MARK_FROM_BYTES, 1e6, dcqcn.MARK_ALL_BYTES, 1e9])

    marked = dcqcn.marked_share(queue)
    told = dcqcn.notifications(marked, np.full(5, _RATE * _TICK), _TICK)

    assert marked[:2].tolist() == [0.0, 0.0]
    assert 0.0 < marked[2] < marked[3] == marked[4] == 1.0
    assert (np.diff(told) >= 0.0).all()
    assert told[4] == pytest.approx(_TICK / dcqcn.CNP_SECONDS)
