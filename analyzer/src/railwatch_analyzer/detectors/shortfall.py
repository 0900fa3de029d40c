# SPDX-License-Identifier: Apache-2.0
"""A scikit-learn anomaly detector over one-sided peer residuals.

Healthy rows are summarised by a few k-means centres; the score is the distance to the nearest.
Unlike an isolation forest's path length the distance does not saturate, so a threshold set on
healthy rows keeps its meaning far away from them (`shared` comparisons: EVALUATION.md).
"""

from __future__ import annotations

from typing import Any, Self

import numpy as np
from sklearn.cluster import KMeans
from sklearn.metrics.pairwise import euclidean_distances
from sklearn.utils.validation import validate_data

from railwatch_analyzer.detectors.nearest_center import NearestCenter

_ROWS_FOR_CENTERS = 2_500


class ShortfallDetector(NearestCenter):
    """Distance to the nearest centre of healthy residuals, with an absolute threshold.

    Parameters
    ----------
    n_clusters : int, default=4
        Centres that summarise the healthy rows (fewer if fewer rows are distinct).
    margin : float, default=1.3
        The threshold is this times the largest distance of a healthy row, …
    least_threshold : float, default=8.0
        … but at least this, in spreads. Null runs of a real ring reach 5.
    random_state : int, default=0
        Seed of k-means.

    Attributes
    ----------
    centers_ : ndarray of shape (n_centers, n_features)
        What healthy rows look like.
    offset_ : float
        Minus the threshold, so that `decision_function = score_samples - offset_`.
    n_features_in_ : int
        Columns seen in `fit`.

    Notes
    -----
    Columns are expected in units of their own healthy spread, so they are not scaled again: a
    column that was constant in training still counts in full when it moves.

    Examples
    --------
    >>> import numpy as np
    >>> healthy = np.abs(np.random.default_rng(0).normal(size=(200, 3)))
    >>> detector = ShortfallDetector().fit(healthy)
    >>> detector.predict([[0.5, 0.2, 1.0], [20.0, 15.0, 0.0]])
    array([ 1, -1])
    """

    def __init__(
        self,
        *,
        n_clusters: int = 4,
        margin: float = 1.3,
        least_threshold: float = 8.0,
        random_state: int = 0,
    ) -> None:
        self.n_clusters = n_clusters
        self.margin = margin
        self.least_threshold = least_threshold
        self.random_state = random_state

    def fit(self, X: Any, y: Any = None) -> Self:  # noqa: ARG002, N803 - sklearn's signature
        """Learn from healthy rows *X* of shape (n_samples, n_features)."""
        rows = validate_data(self, X, dtype=np.float64)
        # Few rows tell where the middle is; how far health reaches, all of them do.
        some = rows[:: max(len(rows) // _ROWS_FOR_CENTERS, 1)]
        distinct = len(np.unique(some, axis=0))
        means = KMeans(min(self.n_clusters, distinct), n_init=2, random_state=self.random_state)
        self.centers_ = means.fit(some).cluster_centers_
        largest = float(self._distances(rows).max())
        self.offset_ = -max(self.least_threshold, self.margin * largest)
        return self

    @classmethod
    def restored(cls, centers: np.ndarray[Any, Any], offset: float) -> Self:
        """Return a fitted detector out of what `fit` learned; for state files."""
        detector = cls()
        detector.centers_ = np.asarray(centers, dtype=np.float64)
        detector.offset_ = offset
        detector.n_features_in_ = centers.shape[1]
        return detector

    def _distances(self, rows: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
        # A handful of centres: the threaded reductions of scikit-learn would only spin.
        return np.asarray(euclidean_distances(rows, self.centers_).min(axis=1))


def anomaly_scores(
    detector: ShortfallDetector, rows: np.ndarray[Any, np.dtype[np.float64]]
) -> np.ndarray[Any, np.dtype[np.float64]]:
    """Return the score of each row as railwatch publishes it: higher is worse, 1 = alarm."""
    return np.asarray(detector.score_samples(rows) / detector.offset_)
