"""Jobs that several tests look at: each runs once, one after another, on ranks that stay."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from training.cells import LONG, SLIGHT, STRAGGLER, stretched
from training.laboratory import ENERGY, GPM, SLOW_POWER, Laboratory
from training.observation import watch

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from training.observation import Observation

# Nodes in the order of their instruments; two alike, so that not all hangs on one.
FAST = (0, 1)
GPM_NODE, SLOW_NODE = 2, 3
_INSTRUMENTS = (ENERGY, ENERGY, GPM, SLOW_POWER)
# What has to be seen of a job, and how long a busy machine may take over it.
_STEPS = 10
_PATIENCE_SECONDS = 100.0


@pytest.fixture(scope="session")
def laboratory(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Laboratory]:
    with Laboratory(tmp_path_factory.mktemp("laboratory"), _INSTRUMENTS) as running:
        yield running


def _seen(observation: Observation, split: Sequence[int]) -> bool:
    """Whether enough steps were marked, and split where they can be."""
    least = _STEPS * observation.true_period
    return all(
        observation.parts(node, "marker").steps >= _STEPS for node in range(len(_INSTRUMENTS))
    ) and all(observation.parts(node, "inferred").split_seconds >= least for node in split)


@pytest.fixture(scope="session")
def bound(laboratory: Laboratory) -> Observation:
    """A job that waits for its network more than half of the time, in steps of 2 s."""
    split = (*FAST, GPM_NODE)
    return watch(laboratory, LONG, lambda seen: _seen(seen, split), _PATIENCE_SECONDS)


@pytest.fixture(scope="session")
def slight(laboratory: Laboratory) -> Observation:
    """A job that hides nearly all of its communication, in steps of 1.2 s."""
    plan = stretched(SLIGHT, 3)
    return watch(laboratory, plan, lambda seen: _seen(seen, FAST), _PATIENCE_SECONDS)


@pytest.fixture(scope="session")
def straggler(laboratory: Laboratory) -> Observation:
    """A job like that with one device that takes half as long again, until that is explained."""
    plan = stretched(STRAGGLER, 2)

    def is_explained(observation: Observation) -> bool:
        _, newest = observation.verdicts[-1]
        return bool(newest.waited_for) and "straggler" in newest.causes

    return watch(laboratory, plan, is_explained, _PATIENCE_SECONDS)
