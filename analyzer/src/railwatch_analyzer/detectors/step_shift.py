# SPDX-License-Identifier: Apache-2.0
"""A scikit-learn anomaly detector over the features of a job's steps.

Healthy steps are scaled robustly (median and median deviation) and summarised by a few k-means
centres, as steps may come in kinds; the score is the distance to the nearest. A feature that never
moved in training has a floor for its scale instead of being ignored.
"""

from __future__ import annotations

from typing import Any, Self

import numpy as np
from sklearn.cluster import KMeans
from sklearn.metrics.pairwise import euclidean_distances
from sklearn.utils.validation import validate_data

from railwatch_analyzer.detectors.nearest_center import NearestCenter

# The median deviation of a normal distribution in standard deviations.
_DEVIATIONS = 1.4826


class StepShiftDetector(NearestCenter):
    """Distance to the nearest centre of healthy steps, in robust units, with an absolute threshold.

    Parameters
    ----------
    n_clusters : int, default=2
        Centres that summarise the healthy steps (fewer if fewer are distinct).
    least_scale : float, default=0.01
        A column is never scaled by less: what a feature may move by without meaning anything.
    margin : float, default=1.2
        The threshold is this times the 95 % quantile of the healthy distances, …
    least_threshold : float, default=5.0
        … but at least this, in robust standard deviations.
    random_state : int, default=0
        Seed of k-means.

    Attributes
    ----------
    center_, scale_ : ndarray of shape (n_features,)
        Median and robust standard deviation of the healthy steps.
    centers_ : ndarray of shape (n_centers, n_features)
        What healthy steps look like, scaled.
    offset_ : float
        Minus the threshold, so that `decision_function = score_samples - offset_`.
    n_features_in_ : int
        Columns seen in `fit`.

    Examples
    --------
    >>> import numpy as np
    >>> healthy = np.random.default_rng(0).normal([0.05, 0.9], 0.01, size=(100, 2))
    >>> StepShiftDetector().fit(healthy).predict([[0.05, 0.9], [0.15, 0.6]])
    array([ 1, -1])
    """

    def __init__(
        self,
        *,
        n_clusters: int = 2,
        least_scale: float = 0.01,
        margin: float = 1.2,
        least_threshold: float = 5.0,
        random_state: int = 0,
    ) -> None:
        self.n_clusters = n_clusters
        self.least_scale = least_scale
        self.margin = margin
        self.least_threshold = least_threshold
        self.random_state = random_state

    def fit(self, X: Any, y: Any = None) -> Self:  # noqa: ARG002, N803 - sklearn's signature
        """Learn from healthy steps *X* of shape (n_samples, n_features)."""
        rows = validate_data(self, X, dtype=np.float64)
        self.center_ = np.median(rows, axis=0)
        spread = _DEVIATIONS * np.median(np.abs(rows - self.center_), axis=0)
        self.scale_ = np.maximum(spread, self.least_scale)
        scaled = (rows - self.center_) / self.scale_
        distinct = len(np.unique(scaled, axis=0))
        means = KMeans(min(self.n_clusters, distinct), n_init=2, random_state=self.random_state)
        self.centers_ = means.fit(scaled).cluster_centers_
        usual = float(np.quantile(self._distances(rows), 0.95))
        self.offset_ = -max(self.least_threshold, self.margin * usual)
        return self

    @classmethod
    def restored(
        cls,
        center: np.ndarray[Any, Any],
        scale: np.ndarray[Any, Any],
        centers: np.ndarray[Any, Any],
        offset: float,
    ) -> Self:
        """Return a fitted detector out of what `fit` learned; for state files."""
        detector = cls()
        detector.center_ = np.asarray(center, dtype=np.float64)
        detector.scale_ = np.asarray(scale, dtype=np.float64)
        detector.centers_ = np.asarray(centers, dtype=np.float64)
        detector.offset_ = offset
        detector.n_features_in_ = len(detector.center_)
        return detector

    def _distances(self, rows: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
        scaled = (rows - self.center_) / self.scale_
        return np.asarray(euclidean_distances(scaled, self.centers_).min(axis=1))
