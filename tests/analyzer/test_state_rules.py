# SPDX-License-Identifier: Apache-2.0
"""What a link's state says without statistics: down, flapping, slower than its rail."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from analyzer.fleet import SPEED, Cells, Fleet
from railwatch_analyzer.detectors.state import (
    DOWNED,
    FLAP_SECONDS,
    FLAPS,
    Rule,
    remember_flaps,
    rulings,
)
from railwatch_analyzer.frame import POSITION, Frame, Link

_NAN = float("nan")
_NAMES = ("present", "admin_up", "up")
_ONE_RAIL = np.zeros(4, dtype=np.int64)


def _ruled(cells: Cells, flaps: dict[Link, tuple[float, ...]] | None = None) -> Rule | None:
    fleet = Fleet(nodes=4)
    found = rulings(fleet.window({fleet.links[0]: cells}), _ONE_RAIL, flaps or {})
    assert set(found) <= {fleet.links[0]}
    return found[fleet.links[0]].rule if found else None


@pytest.mark.parametrize(
    ("present", "admin_up", "up", "is_down"),
    [
        (1, 1, 1, False),
        (1, 1, 0, True),
        (1, 0, 0, False),
        (1, _NAN, 0, True),
        (0, 1, 1, True),
        (0, 0, 0, True),
        (0, _NAN, _NAN, True),
        (_NAN, 1, 0, True),
        (1, 1, _NAN, False),
        (_NAN, _NAN, _NAN, False),
    ],
)
def test_a_rail_is_down_if_it_is_gone_or_not_up_although_it_should_be(
    present: float, admin_up: float, up: float, *, is_down: bool
) -> None:
    cells = dict(zip(_NAMES, (present, admin_up, up), strict=True))

    assert (_ruled(cells) is Rule.DOWN) is is_down


def test_of_several_rules_the_worst_is_said() -> None:
    link = Fleet(nodes=4).links[0]
    flaps = {link: (1.0,) * FLAPS}
    slow = {"speed_bytes_per_second": SPEED / 2}

    assert _ruled(slow) is Rule.SPEED
    assert _ruled(slow, flaps) is Rule.FLAPPING
    assert _ruled(slow | {"up": 0.0}, flaps) is Rule.DOWN
    assert _ruled({}, {link: (1.0,) * (FLAPS - 1)}) is None


@pytest.mark.parametrize(
    ("speeds", "slow"),
    [
        pytest.param([50, 50, 50, 25], [3], id="one slower"),
        pytest.param([50, 50, 50, 100], [], id="one faster is no fault of the others"),
        pytest.param([50, 50, 25, 25], [], id="two and two decide nothing"),
        pytest.param([50, 50, 25, 25, 10], [], id="nor do they for a third"),
        pytest.param([50, 50, 25, 10], [2, 3], id="each slower than the common one"),
        pytest.param([50, _NAN, _NAN, 25], [], id="one and one decide nothing"),
        pytest.param([50, 50, _NAN, 25], [3], id="unknown speeds do not vote"),
        pytest.param([_NAN] * 4, [], id="nothing is known"),
    ],
)
def test_a_link_is_slow_if_most_of_its_rail_is_faster(speeds: list[float], slow: list[int]) -> None:
    frame = _with_speeds(speeds)

    found = rulings(frame, np.zeros(len(speeds), dtype=np.int64), {})

    assert {(link.node, said.observed, said.expected) for link, said in found.items()} == {
        (f"n{row:02d}", speeds[row], 50.0) for row in slow
    }


def test_each_rail_has_its_own_speed() -> None:
    """Half the rails are of another generation, and none of them is slow."""
    found = rulings(_with_speeds([50, 50, 25, 25]), np.array([0, 0, 1, 1]), {})

    assert found == {}


def _with_speeds(speeds: list[float]) -> Frame:
    fleet = Fleet(nodes=len(speeds))
    frame = fleet.window()
    frame.values[:, POSITION["speed_bytes_per_second"]] = speeds
    return frame


@settings(deadline=None)
@given(
    st.lists(
        st.tuples(st.floats(1.0, 400.0), st.one_of(st.just(_NAN), st.integers(0, 6))), max_size=30
    )
)
def test_flaps_are_counted_as_they_happen_and_forgotten_after_ten_minutes(
    rounds: list[tuple[float, float]],
) -> None:
    """Against a list of all events; NaN is a round in which the counter was not read."""
    fleet = Fleet(nodes=1)
    frame = fleet.window()
    now, counter, before = 0.0, 1000.0, np.array([_NAN])
    flaps: dict[Link, tuple[float, ...]] = {}
    events: list[float] = []
    unseen = 0.0
    for number, (seconds, grown) in enumerate(rounds):
        now += seconds
        read = np.isfinite(grown)
        counter += grown if read else 0.0
        unseen = grown if read else 0.0
        values = frame.values.copy()
        values[0, POSITION[DOWNED]] = counter if read else _NAN
        flaps = remember_flaps(flaps, before, replace(frame, time=now, values=values))
        before = np.where(read, counter, before)
        if number and np.isfinite(before[0]) and any(np.isfinite(g) for _, g in rounds[:number]):
            events += [now] * int(unseen)

        recent = [when for when in events if now - when <= FLAP_SECONDS]
        assert list(flaps.get(fleet.links[0], ())) == recent[-FLAPS:]


def test_a_reset_of_the_counter_is_no_flap() -> None:
    fleet = Fleet(nodes=1)
    frame = fleet.window({fleet.links[0]: {DOWNED: 2.0}})

    assert remember_flaps({}, np.array([900.0]), frame) == {}
    assert remember_flaps({}, np.array([_NAN]), frame) == {}
