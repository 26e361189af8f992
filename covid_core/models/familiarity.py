"""How far a slice lies from a network's training slices, in the network's own features.

Class-conditional Gaussians with one covariance on the pooled features before the head (Lee et al., A simple unified
framework for detecting out-of-distribution samples, NeurIPS 2018). A thousand features on two thousand slices leave
most directions of a covariance unknown: its largest eigenvalues are kept, the others are shrunk to their mean, as in
probabilistic principal components (Tipping & Bishop, J. R. Stat. Soc. B 61, 1999). That keeps it small on disk, too.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from covid_core.errors import ModelError

FEATURES = "global_pooling"
"""The layer whose output is judged: what the head of every network reads."""

COMPONENTS = 64
PERCENTILE = 99.0


@dataclass(frozen=True, eq=False)
class Familiarity:
    """What is known of a network's features on its training slices.

    Args:
        means: float32 ``(classes, F)``: mean features of each class.
        components: float32 ``(k, F)``: orthonormal directions of largest variance within classes.
        variances: float32 ``(k,)``, > 0: variance along each.
        rest: Mean variance along all other directions, > 0.
        limit: Distance from which a slice counts as unlike the training slices.
    """

    means: np.ndarray
    components: np.ndarray
    variances: np.ndarray
    rest: float
    limit: float

    def distances(self, features: np.ndarray) -> np.ndarray:
        """Mahalanobis distance to the nearest class, over the root of the number of features.

        A slice out of the same Gaussian has a distance of about 1.

        Args:
            features: float ``(N, F)``.

        Returns:
            float64 ``(N,)``.

        Raises:
            ModelError: Another number of features.
        """
        if features.ndim != 2 or features.shape[1] != self.means.shape[1]:
            raise ModelError(f"Expected features (N, {self.means.shape[1]}). Received: shape {features.shape}.")
        away = features[:, None].astype(np.float64) - self.means
        along = away @ self.components.T.astype(np.float64)
        outside = np.maximum(0.0, (away**2).sum(axis=-1) - (along**2).sum(axis=-1))
        squared = (along**2 / self.variances).sum(axis=-1) + outside / self.rest
        return np.sqrt(squared.min(axis=1) / features.shape[1])


def fit_familiarity(
    features: np.ndarray,
    labels: np.ndarray,
    held_out: np.ndarray,
    components: int = COMPONENTS,
    percentile: float = PERCENTILE,
) -> Familiarity:
    """Fit the Gaussians on training slices and set the limit on others.

    Args:
        features: float ``(N, F)``: of the slices that the network was trained on.
        labels: int ``(N,)``: their classes, at least one slice each.
        held_out: float ``(M, F)``: of slices that it was not trained on; the limit is a percentile of their distances.
        components: Directions to keep; all but one where there are fewer.
        percentile: Share of held-out slices that lie within the limit, in percent.

    Raises:
        ModelError: Fewer than ten slices of either kind, features that never change, or no finite numbers.
    """
    features, held_out = np.asarray(features, np.float64), np.asarray(held_out, np.float64)
    if min(len(features), len(held_out)) < 10:
        raise ModelError(
            f"Expected ten training slices and ten held-out slices or more. Received: {len(features)} and "
            f"{len(held_out)}."
        )
    if not (np.isfinite(features).all() and np.isfinite(held_out).all()):
        raise ModelError("Expected finite features. Received: NaN or infinite values.")
    classes = np.unique(labels)
    means = np.stack([features[labels == one].mean(axis=0) for one in classes])
    within = features - means[np.searchsorted(classes, labels)]
    # the covariance's eigenvectors, from the slices' side where there are fewer slices than features
    _, singular, directions = np.linalg.svd(within / np.sqrt(len(within)), full_matrices=False)
    spectrum = singular**2
    if spectrum.sum() <= 0:
        raise ModelError("Expected features that differ between slices. Received: the same for all.")
    kept = max(1, min(components, len(spectrum) - 1))
    rest = max(spectrum[kept:].sum() / max(1, features.shape[1] - kept), 1e-12 * spectrum[0])
    unlimited = Familiarity(
        means.astype(np.float32),
        directions[:kept].astype(np.float32),
        np.maximum(spectrum[:kept], rest).astype(np.float32),
        float(rest),
        np.inf,
    )
    limit = float(np.percentile(unlimited.distances(held_out), percentile))
    return Familiarity(unlimited.means, unlimited.components, unlimited.variances, unlimited.rest, limit)
