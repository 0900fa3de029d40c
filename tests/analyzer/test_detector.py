# SPDX-License-Identifier: Apache-2.0
"""The shortfall detector keeps scikit-learn's contract, and the promises of its own."""

from __future__ import annotations

import doctest
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from sklearn.base import clone
from sklearn.utils.estimator_checks import parametrize_with_checks

from railwatch_analyzer.detectors import shortfall
from railwatch_analyzer.detectors.shortfall import ShortfallDetector, anomaly_scores

_WIDTH = 3
_ROWS = arrays(np.float64, st.tuples(st.integers(1, 8), st.just(_WIDTH)), elements=st.floats(0, 30))


@parametrize_with_checks(  # type: ignore[untyped-decorator]  # sklearn is untyped
    [ShortfallDetector()],
    expected_failed_checks=lambda _: dict.fromkeys(
        ("check_outliers_train", "check_outliers_fit_predict"),
        "absolute threshold: a healthy fleet has no outliers",
    ),
)
def test_estimator_contract(estimator: ShortfallDetector, check: Any) -> None:
    check(estimator)


def test_the_example_of_the_docstring_runs() -> None:
    assert doctest.testmod(shortfall) == (0, 4)


def _healthy(seed: int = 0) -> np.ndarray:
    return np.abs(np.random.default_rng(seed).normal(size=(400, _WIDTH)))


def _detector() -> ShortfallDetector:
    return ShortfallDetector().fit(_healthy())


@pytest.fixture(scope="module")
def fitted() -> ShortfallDetector:
    """Shared, as scoring leaves a detector alone: one of the properties below."""
    return _detector()


def test_healthy_rows_are_normal_those_of_training_and_others() -> None:
    detector = _detector()

    assert set(detector.predict(_healthy())) == {1}
    assert set(detector.predict(_healthy(seed=1))) == {1}


def test_a_column_that_was_constant_in_training_counts_in_full_when_it_moves() -> None:
    """Packets are lost for the first time in the life of a link."""
    healthy = _healthy()
    healthy[:, 1] = 0.0
    detector = ShortfallDetector().fit(healthy)
    row = np.array([[0.8, 20.0, 0.8]])

    assert detector.predict(row).tolist() == [-1]
    assert anomaly_scores(detector, row) > 1.0


def test_identical_healthy_rows_are_enough_to_train_on() -> None:
    detector = ShortfallDetector().fit(np.zeros((40, _WIDTH)))

    assert detector.predict([[0.0, 0.0, 0.0], [30.0, 0.0, 0.0]]).tolist() == [1, -1]


def test_the_score_grows_with_the_distance_without_an_end() -> None:
    rows = np.array([0.0, 5.0, 10.0, 20.0, 30.0])[:, None] * np.ones(_WIDTH)

    scores = anomaly_scores(_detector(), rows)

    assert (np.diff(scores[1:]) > 0).all()
    assert scores[0] < 1.0 < scores[-1]


@settings(deadline=None)
@given(rows=_ROWS)
def test_decision_prediction_and_published_score_agree(
    fitted: ShortfallDetector, rows: np.ndarray
) -> None:
    """Signs are turned once: the contract's decision is negative where the score exceeds 1."""
    decision = fitted.decision_function(rows)
    scores = anomaly_scores(fitted, rows)

    assert decision == pytest.approx(fitted.score_samples(rows) - fitted.offset_)
    assert ((decision < 0) == (fitted.predict(rows) == -1)).all()
    certain = np.abs(scores - 1.0) > 1e-9
    assert ((scores > 1.0) == (decision < 0))[certain].all()


@settings(deadline=None)
@given(rows=_ROWS, data=st.data())
def test_the_score_of_a_row_depends_on_that_row_alone(
    fitted: ShortfallDetector, rows: np.ndarray, data: st.DataObject
) -> None:
    """Not on the other rows of the call, not on calls before."""
    order = data.draw(st.permutations(range(len(rows))))

    together = fitted.score_samples(rows)
    again = fitted.score_samples(rows[order])
    alone = np.concatenate([fitted.score_samples(row[None, :]) for row in rows])

    assert again == pytest.approx(together[order], abs=1e-6)
    assert alone == pytest.approx(together, abs=1e-6)
    assert (fitted.score_samples(rows) == together).all()


def test_training_twice_on_the_same_rows_gives_the_same_detector() -> None:
    one, other = _detector(), clone(_detector()).fit(_healthy())

    assert (one.centers_ == other.centers_).all()
    assert one.offset_ == other.offset_


def test_the_threshold_has_a_floor_and_a_margin() -> None:
    calm = ShortfallDetector().fit(np.zeros((40, _WIDTH)))
    wild = ShortfallDetector(n_clusters=1, margin=1.5).fit(np.eye(_WIDTH) * 90)
    far = np.linalg.norm(np.eye(_WIDTH)[0] * 90 - 30)

    assert calm.offset_ == -calm.least_threshold
    assert wild.offset_ == pytest.approx(-1.5 * far)


def test_a_restored_detector_scores_identically() -> None:
    detector = _detector()
    rows = np.random.default_rng(3).uniform(0, 30, size=(50, _WIDTH))

    restored = ShortfallDetector.restored(detector.centers_, detector.offset_)

    assert (restored.score_samples(rows) == detector.score_samples(rows)).all()
    assert (restored.decision_function(rows) == detector.decision_function(rows)).all()
    with pytest.raises(ValueError, match="features"):
        restored.predict(rows[:, :2])
