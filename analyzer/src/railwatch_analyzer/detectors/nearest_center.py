# SPDX-License-Identifier: Apache-2.0
"""What detectors by distance have in common: rows are as abnormal as they are far from health."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any

import numpy as np
from sklearn.base import BaseEstimator, OutlierMixin
from sklearn.utils.validation import check_is_fitted, validate_data


class NearestCenter(ABC, OutlierMixin, BaseEstimator):  # type: ignore[misc]  # sklearn is untyped
    """Scores rows by distance to the nearest centre; a subclass learns centres and `offset_`."""

    offset_: float

    def score_samples(self, X: Any) -> np.ndarray[Any, Any]:  # noqa: N803
        """Return minus the distance to the nearest centre; lower is more abnormal."""
        check_is_fitted(self)
        rows = validate_data(self, X, dtype=np.float64, reset=False)
        return -self._distances(rows)

    def decision_function(self, X: Any) -> np.ndarray[Any, Any]:  # noqa: N803
        """Return `score_samples - offset_`; negative is abnormal."""
        return self.score_samples(X) - self.offset_

    def predict(self, X: Any) -> np.ndarray[Any, Any]:  # noqa: N803
        """Return 1 for normal rows and -1 for abnormal ones."""
        return np.where(self.decision_function(X) < 0, -1, 1)

    @abstractmethod
    def _distances(self, rows: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
        """Return the distance of each of *rows*, shape (n_samples,)."""
