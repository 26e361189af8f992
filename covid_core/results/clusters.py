"""Shares of slices that come in groups: slices of one patient, or answers of several rounds about one slice.

Such slices are right or wrong together, so there is less to learn from them than from as many independent ones.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import ndtri, stdtrit

from covid_core.results.intervals import LEVEL, Interval


def grouped_share(hits: ArrayLike, counts: ArrayLike, level: float = LEVEL) -> Interval:
    """A share and its Wilson score interval over the effective number of slices, for whole rows of shares at once.

    The effective number is the number of slices divided by the design effect, how many times wider than binomial the
    share scatters over the groups (Rao & Scott, A simple method for the analysis of clustered binary data, Biometrics
    48, 1992), and by what few groups cost in degrees of freedom (Korn & Graubard, Survey Methodology 24, 1998). The
    design effect is kept between 1 and that of groups whose slices are all alike; where nothing scatters, at 0 and 1,
    it is the latter. Groups of one slice each give Wilson's interval of independent slices.

    Args:
        hits: ``(groups, ...)``, how many slices of each group count.
        counts: The same shape: how many slices each group has; 0 for a group that has none.
        level: Confidence level.

    Returns:
        Arrays of the trailing shape in 0-1, the share inside its bounds; NaN where there is no slice. A single group
        of several slices says nothing about others: its bounds are 0 and 1.

    Raises:
        ValueError: Other shapes, or more hits than slices.
    """
    hits, counts = np.asarray(hits, np.float64), np.asarray(counts, np.float64)
    if hits.shape != counts.shape or hits.ndim == 0 or not ((hits >= 0) & (hits <= counts)).all():
        raise ValueError(
            f"Expected as many hits as slices or fewer, for each group. Received: shapes {hits.shape} and "
            f"{counts.shape}, or a group with more."
        )
    total, groups = counts.sum(axis=0), (counts > 0).sum(axis=0)
    with np.errstate(invalid="ignore", divide="ignore"):
        share = hits.sum(axis=0) / total
        scattered = groups / (groups - 1) * np.sum((hits - share * counts) ** 2, axis=0) / total**2
        alike = np.sum(counts**2, axis=0) / total
        effect = np.where((share > 0) & (share < 1) & (groups > 1), scattered / (share * (1 - share) / total), alike)
        quantile = (1 + level) / 2
        freedom = (stdtrit(total - 1, quantile) / stdtrit(groups - 1, quantile)) ** 2
        effective = total / np.clip(effect, 1.0, np.maximum(alike, 1.0)) * np.where(groups == total, 1.0, freedom)
    return _wilson(share, np.where(groups > 1, effective, np.where(total == 1, 1.0, 0.0)), level)


def _wilson(share: np.ndarray, count: np.ndarray, level: float) -> Interval:
    """Wilson's score interval of a share of ``count`` slices, which need not be a whole number; 0-1 for none."""
    z = ndtri((1 + level) / 2)
    middle = (count * share + z**2 / 2) / (count + z**2)
    half = z / (count + z**2) * np.sqrt(count * share * (1 - share) + z**2 / 4)
    # at shares of 0 and 1 one bound is the share itself, but for rounding
    low, high = np.clip(middle - half, 0.0, share), np.clip(middle + half, share, 1.0)
    return Interval(share, low, high)
