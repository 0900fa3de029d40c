# SPDX-License-Identifier: Apache-2.0
"""The detector of changed steps keeps scikit-learn's contract, and the promises of its own."""

from __future__ import annotations

import doctest
from typing import Any

import numpy as np
import pytest
from sklearn.utils.estimator_checks import parametrize_with_checks

from railwatch_analyzer.detectors import step_shift
from railwatch_analyzer.detectors.step_shift import StepShiftDetector


@parametrize_with_checks(  # type: ignore[untyped-decorator]  # sklearn is untyped
    [StepShiftDetector()],
    expected_failed_checks=lambda _: dict.fromkeys(
        ("check_outliers_train", "check_outliers_fit_predict"),
        "absolute threshold: a healthy job has no outliers",
    ),
)
def test_estimator_contract(estimator: StepShiftDetector, check: Any) -> None:
    check(estimator)


def test_the_example_of_the_docstring_runs() -> None:
    assert doctest.testmod(step_shift) == (0, 3)


def _healthy(seed: int = 0) -> np.ndarray:
    """Exposed share and hidden share of steps, the third never moves."""
    rows = np.random.default_rng(seed).normal([0.06, 0.2, 0.0], [0.01, 0.02, 0.0], (200, 3))
    return np.asarray(rows)


def test_a_column_that_was_constant_in_training_counts_when_it_moves() -> None:
    detector = StepShiftDetector().fit(_healthy())

    assert detector.predict([[0.06, 0.2, 0.0], [0.06, 0.2, 0.1]]).tolist() == [1, -1]


def test_healthy_steps_are_normal_also_those_of_two_kinds() -> None:
    """Such as every other one with an optimiser step."""
    two = np.concatenate([_healthy(), _healthy(1) + np.array([0.3, 0.0, 0.0])])
    detector = StepShiftDetector().fit(two)

    assert (detector.predict(two) == 1).mean() > 0.99


def test_a_few_bad_steps_in_training_do_not_make_their_like_normal() -> None:
    spoilt = _healthy()
    spoilt[:6, 0] = 0.5

    assert StepShiftDetector(n_clusters=1).fit(spoilt).predict([[0.5, 0.2, 0.0]]).tolist() == [-1]


def test_a_restored_detector_scores_identically() -> None:
    detector = StepShiftDetector().fit(_healthy())
    rows = _healthy(2)

    restored = StepShiftDetector.restored(
        detector.center_, detector.scale_, detector.centers_, detector.offset_
    )

    assert (restored.decision_function(rows) == detector.decision_function(rows)).all()
    with pytest.raises(ValueError, match="features"):
        restored.predict(rows[:, :2])
