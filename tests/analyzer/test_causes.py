# SPDX-License-Identifier: Apache-2.0
"""Who is to blame among the links that alarm together, and for what."""

from __future__ import annotations

import numpy as np
import pytest

from railwatch_analyzer.causes import Cause, cause_of, followers, victims
from railwatch_analyzer.features import FEATURES, MATERIAL, Direction, Kind

_MUCH = 3.0


def _deviation(*parts: tuple[Kind, Direction, float]) -> np.ndarray:
    """What one link deviates by: for each part so many times what is worth telling (or 1 = all).

    The queue has no such measure; its number is the difference itself.
    """
    out = np.zeros(len(FEATURES))
    for kind, direction, size in parts:
        for number, feature in enumerate(FEATURES):
            if feature.kind is kind and feature.direction is direction:
                unit = MATERIAL[number] if np.isfinite(MATERIAL[number]) else 1.0
                out[number] = size * unit
    return out


_SENDS_LESS = (Kind.RATE, Direction.TRANSMIT, _MUCH)
_RECEIVES_LESS = (Kind.RATE, Direction.RECEIVE, _MUCH)
_QUEUE_FULL = (Kind.SHARE, Direction.TRANSMIT, 0.6)
_QUEUE_EMPTY = (Kind.SHARE, Direction.TRANSMIT, -0.15)
_RESENDS = (Kind.EVENTS, Direction.TRANSMIT, _MUCH)
_REORDERED = (Kind.EVENTS, Direction.RECEIVE, _MUCH)

_CAPPED_SENDER = _deviation(_SENDS_LESS, _QUEUE_FULL)
_STARVED_RECEIVER = _deviation(_RECEIVES_LESS)
_WAITING_SENDER = _deviation(_SENDS_LESS, _QUEUE_EMPTY)
_HEALTHY = _deviation()


def _victims(
    *links: np.ndarray,
    alarming: list[bool] | None = None,
    groups: list[int] | None = None,
    queues: bool = True,
    missed: list[bool] | None = None,
) -> list[bool]:
    size = len(links)
    found: list[bool] = victims(
        np.array(links),
        np.array(alarming or [bool((link > 0).any()) for link in links]),
        np.array(groups or [0] * size),
        queue_known=np.full(size, queues),
        missed=np.array(missed or [False] * size),
    ).tolist()
    return found


def test_a_full_queue_gives_the_sender_away() -> None:
    assert _victims(_CAPPED_SENDER, _STARVED_RECEIVER, _HEALTHY) == [False, True, False]


def test_an_empty_queue_clears_the_sender_and_blames_the_receiver() -> None:
    assert _victims(_WAITING_SENDER, _STARVED_RECEIVER) == [True, False]


def test_a_link_that_forwards_what_it_was_not_sent_is_cleared_by_its_own_empty_queue() -> None:
    """In a ring the neighbour of a capped sender receives less and therefore sends less."""
    forwards_less = _deviation(_RECEIVES_LESS, _SENDS_LESS, _QUEUE_EMPTY)

    assert _victims(_CAPPED_SENDER, forwards_less, forwards_less) == [False, True, True]


def test_of_two_starved_links_the_one_that_only_passes_it_on_is_cleared() -> None:
    """Its queue is empty while it sends less. Were the queue unknown, nothing would clear it."""
    passes_on = _deviation(_RECEIVES_LESS, _SENDS_LESS, _QUEUE_EMPTY)

    assert _victims(_STARVED_RECEIVER, passes_on) == [False, True]
    assert _victims(_STARVED_RECEIVER, passes_on, queues=False) == [False, False]


def test_without_queues_a_sender_is_neither_blamed_nor_cleared() -> None:
    """Then the receive side, which needs no queue, is all that speaks."""
    both = _deviation(_SENDS_LESS, _RECEIVES_LESS)

    assert _victims(both, both, queues=False) == [False, False]
    assert _victims(_deviation(_SENDS_LESS), both, queues=False) == [True, False]


def test_two_culprits_in_one_group_are_both_blamed() -> None:
    found = _victims(_CAPPED_SENDER, _STARVED_RECEIVER, _CAPPED_SENDER, _STARVED_RECEIVER)

    assert found == [False, True, False, True]


def test_of_both_ends_that_lose_packets_the_sender_that_resends_is_blamed() -> None:
    assert _victims(_deviation(_RESENDS), _deviation(_REORDERED)) == [False, True]


def test_a_link_that_alarms_alone_is_nobodys_victim() -> None:
    assert _victims(_STARVED_RECEIVER, _HEALTHY) == [False, False]


def test_blame_is_not_passed_between_groups() -> None:
    assert _victims(_CAPPED_SENDER, _STARVED_RECEIVER, groups=[0, 1]) == [False, False]


def test_a_link_that_does_not_alarm_takes_no_blame_away() -> None:
    alarming = [False, True, True]

    found = _victims(_CAPPED_SENDER, _STARVED_RECEIVER, _STARVED_RECEIVER, alarming=alarming)

    assert found == [False, False, False]


@pytest.mark.parametrize(
    ("deviation", "cause"),
    [
        pytest.param(_HEALTHY, Cause.UNKNOWN, id="nothing"),
        pytest.param(_deviation(_QUEUE_FULL), Cause.UNKNOWN, id="only a full queue"),
        pytest.param(_deviation((Kind.RATE, Direction.TRANSMIT, 0.9)), Cause.UNKNOWN, id="little"),
        pytest.param(_CAPPED_SENDER, Cause.BANDWIDTH, id="sends less"),
        pytest.param(_STARVED_RECEIVER, Cause.BANDWIDTH, id="receives less"),
        pytest.param(_deviation(_RESENDS), Cause.LOSS, id="resends"),
        pytest.param(
            _deviation(_SENDS_LESS, (Kind.EVENTS, Direction.RECEIVE, 1.1)),
            Cause.BANDWIDTH,
            id="a cap reorders a little too",
        ),
        pytest.param(
            _deviation(_RESENDS, (Kind.RATE, Direction.TRANSMIT, 1.1)),
            Cause.LOSS,
            id="loss costs a little rate too",
        ),
    ],
)
def test_the_cause_is_what_the_deviation_speaks_for_most(
    deviation: np.ndarray, cause: Cause
) -> None:
    assert cause_of(deviation) is cause


def test_while_a_culprit_is_out_of_sight_only_its_like_is_accused() -> None:
    links = (_HEALTHY, _STARVED_RECEIVER, _CAPPED_SENDER)

    found = _victims(*links, missed=[True, False, False])

    assert found == [False, True, False]


def _followers(
    score: list[float], weight: list[float] | None = None, degraded: list[int] | None = None
) -> list[int]:
    """Rows of one group that are not told of."""
    told = np.isin(np.arange(len(score)), degraded or [])
    found = followers(
        np.array(score), np.array(weight or score), np.zeros(len(score), dtype=np.int64), told
    )
    return np.flatnonzero(found).tolist()


def test_of_a_crowd_the_one_that_most_speaks_against_is_told_of() -> None:
    assert _followers([0.6, 1.1, 0.7, 1.2], weight=[0.5, 2.0, 0.6, 1.9]) == [0, 2, 3]


def test_who_was_told_of_stays_and_nobody_joins() -> None:
    assert _followers([1.1, 1.3, 0.7, 3.0], degraded=[0]) == [1, 2, 3]


def test_two_faults_of_a_group_are_no_crowd() -> None:
    assert _followers([1.2, 0.1, 1.4, 0.0, 0.2]) == []


def test_a_few_that_are_odd_by_chance_are_no_crowd_of_a_large_group() -> None:
    assert _followers([0.6] * 5 + [0.0] * 95) == []
    assert len(_followers([0.6] * 10 + [0.0] * 90)) == 99
