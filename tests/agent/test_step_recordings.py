"""Real DDP jobs, recorded in network namespaces: what is found against their own marks."""

import numpy as np
import pytest

from agent.stepping import RECORDINGS, recording, shares, watch_recording
from railwatch.catalogue.step import Unresolved

_NAMES = sorted(path.stem for path in RECORDINGS.glob("*.npz"))
# It waits for its input after the last bytes, which looks like a signal that is late.
_WITHHELD = {"late-input-culprit"}


def test_there_are_recordings() -> None:
    assert len(_NAMES) >= 11


@pytest.mark.parametrize("name", _NAMES)
def test_the_period_of_a_real_job_is_that_of_its_marks(name: str) -> None:
    held = recording(name)
    view = watch_recording(held, "ideal").view

    lengths = np.diff(held["start"])
    assert view.period_seconds is not None
    # Between the usual step and the mean one: a few are longer.
    low, high = sorted((float(np.median(lengths)), float(lengths.mean())))
    assert 0.99 * low < view.period_seconds < 1.01 * high
    assert view.totals.steps == pytest.approx(len(lengths), abs=4)


@pytest.mark.parametrize("name", sorted({*_NAMES} - _WITHHELD))
def test_the_exposed_share_of_a_real_job_is_that_of_its_hook(name: str) -> None:
    """The hook counts waiting for others' gradients, in which nothing moves, as exposed."""
    held = recording(name)
    found = shares(watch_recording(held, "ideal").view)

    true = held["exposed_seconds"].sum() / (held["end"] - held["start"]).sum()
    assert found["exposed"] + found["stalled"] == pytest.approx(true, abs=0.05)


@pytest.mark.parametrize("name", _NAMES)
def test_a_signal_that_is_too_slow_for_a_real_job_splits_nothing(name: str) -> None:
    view = watch_recording(recording(name), "gpm").view

    assert view.reason is Unresolved.LAG
    assert view.totals.split_steps == 0


def test_a_job_that_waits_for_its_input_is_not_split() -> None:
    assert watch_recording(recording("late-input-culprit"), "ideal").view.reason is Unresolved.LAG
