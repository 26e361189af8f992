"""A least-squares coefficient whose interval allows for observations that come in clusters.

Networks of one family are built alike and score alike. An interval that took them as independent would be too narrow,
and the usual cluster-robust one is too narrow with few clusters. This is the bias-reduced one: variance after Bell &
McCaffrey (Bias Reduction in Standard Errors for Linear Regression with Multi-Stage Samples, Survey Methodology 28,
2002), called CR2, with Satterthwaite's degrees of freedom, as recommended for few clusters by Imbens & Kolesár (Robust
Standard Errors in Small Samples, Review of Economics and Statistics 98, 2016) and Pustejovsky & Tipton (Small-Sample
Methods for Cluster-Robust Variance Estimation, Journal of Business & Economic Statistics 36, 2018).
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import stdtrit  # scipy.stats would take far longer to import

from covid_core.results.intervals import LEVEL

_TOLERANCE = 1e-8


class Effect(NamedTuple):
    """A coefficient with the bounds of its confidence interval and its degrees of freedom; NaN where undefined."""

    value: float
    low: float
    high: float
    degrees: float


UNKNOWN = Effect(*[float("nan")] * 4)


def estimate(values: ArrayLike, design: ArrayLike, column: int = -1) -> float:
    """The coefficient alone, without its interval; arguments and NaN as for ``coefficient``."""
    x = np.asarray(design, np.float64)
    if len(x) < x.shape[1] or np.linalg.matrix_rank(x) < x.shape[1]:
        return float("nan")
    return float(np.linalg.lstsq(x, np.asarray(values, np.float64), rcond=None)[0][column])


def coefficient(
    values: ArrayLike, design: ArrayLike, clusters: ArrayLike, column: int = -1, level: float = LEVEL
) -> Effect:
    """One coefficient of an ordinary least-squares fit.

    With every observation a cluster of its own, the interval of a mean is Student's t, and the standard error of the
    difference of two groups is Welch's.

    Args:
        values: float ``(n,)``.
        design: float ``(n, k)``, an intercept among its columns where one is wanted.
        clusters: ``(n,)``, the cluster of each observation.
        column: Which coefficient.
        level: Confidence level.

    Returns:
        The coefficient; NaN where the other columns determine this one. Bounds and degrees of freedom are NaN where
        the coefficient rests on one cluster: the fit then follows that cluster, and nothing is left to judge it by.
    """
    y, x, cluster = np.asarray(values, np.float64), np.asarray(design, np.float64), np.asarray(clusters)
    value = estimate(y, x, column)
    names = np.unique(cluster)
    if np.isnan(value) or len(names) < 2:
        return UNKNOWN._replace(value=value)
    inverse = np.linalg.inv(x.T @ x)
    remainder = np.eye(len(x)) - x @ inverse @ x.T  # turns values into residuals
    weights = x @ inverse[column]  # the coefficient is their product with the values
    parts = []
    for name in names:
        inside = np.flatnonzero(cluster == name)
        eigenvalues, vectors = np.linalg.eigh(remainder[np.ix_(inside, inside)])
        along = vectors.T @ weights[inside]
        free = eigenvalues > _TOLERANCE
        if (np.abs(along[~free]) > _TOLERANCE * np.abs(weights).max()).any():
            return UNKNOWN._replace(value=value)
        adjusted = vectors[:, free] @ (along[free] / np.sqrt(eigenvalues[free]))
        parts.append(remainder[inside].T @ adjusted)
    sums = np.stack(parts)  # (clusters, n): the variance is the sum of squares of its product with the values
    error = float(np.sqrt(((sums @ y) ** 2).sum()))
    spectrum = np.linalg.eigvalsh(sums @ sums.T)
    degrees = float(spectrum.sum() ** 2 / (spectrum**2).sum())
    half = float(stdtrit(degrees, (1 + level) / 2)) * error
    return Effect(value, value - half, value + half, degrees)
