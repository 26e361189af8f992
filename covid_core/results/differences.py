"""Differences of means with intervals and tests: paired over slices, or between two groups of slices."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike
from scipy import stats

from covid_core.results.intervals import LEVEL


@dataclass(frozen=True)
class Difference:
    """Two means and their difference.

    Args:
        counts: Values behind each mean; the same number twice for pairs.
        means: Of the first and of the second.
        difference: First minus second.
        low: Lower bound of the difference's 95 % interval, NaN where there are too few values.
        high: Upper bound.
        p_t: Two-sided p-value of the t test.
        p_rank: Two-sided p-value of the rank test.
    """

    counts: tuple[int, int]
    means: tuple[float, float]
    difference: float
    low: float
    high: float
    p_t: float
    p_rank: float


_NAN = float("nan")


def paired_difference(first: ArrayLike, second: ArrayLike) -> Difference:
    """First minus second of the same slices: paired t test and interval, and Wilcoxon's signed-rank test.

    All three take slices as independent. Slices of one patient are not: p-values and intervals come out too small.

    Args:
        first: ``(n,)``; pairs with a NaN on either side are left out.
        second: ``(n,)``.

    Returns:
        The difference; interval and p-values are NaN for fewer than two pairs. Where all differences are equal the t
        test is not defined, where all are zero Wilcoxon's neither: NaN.
    """
    first, second = np.asarray(first, np.float64), np.asarray(second, np.float64)
    known = ~(np.isnan(first) | np.isnan(second))
    first, second = first[known], second[known]
    count = len(first)
    means = (float(first.mean()), float(second.mean())) if count else (_NAN, _NAN)
    differences = first - second
    difference = float(differences.mean()) if count else _NAN
    low = high = p_t = p_rank = _NAN
    if count >= 2 and np.ptp(differences) > 0:
        test = stats.ttest_rel(first, second)
        low, high = (float(bound) for bound in test.confidence_interval(LEVEL))
        p_t = float(test.pvalue)
    if count >= 2 and differences.any():
        p_rank = float(stats.wilcoxon(differences).pvalue)
    return Difference((count, count), means, difference, low, high, p_t, p_rank)


def group_difference(first: ArrayLike, second: ArrayLike) -> Difference:
    """Mean of one group of slices minus that of another: Welch's t test and interval, and Mann and Whitney's rank test.

    Args:
        first: ``(n,)``; NaN is left out.
        second: ``(m,)``.

    Returns:
        The difference; interval and p-values are NaN where a group has fewer than two values or neither varies.
    """
    groups = [np.asarray(group, np.float64) for group in (first, second)]
    groups = [group[~np.isnan(group)] for group in groups]
    counts = (len(groups[0]), len(groups[1]))
    means = tuple(float(group.mean()) if len(group) else _NAN for group in groups)
    low = high = p_t = p_rank = _NAN
    if min(counts) >= 2 and any(np.ptp(group) > 0 for group in groups):
        test = stats.ttest_ind(*groups, equal_var=False)
        low, high = (float(bound) for bound in test.confidence_interval(LEVEL))
        p_t = float(test.pvalue)
        p_rank = float(stats.mannwhitneyu(*groups).pvalue)
    return Difference(counts, means, means[0] - means[1], low, high, p_t, p_rank)


def holm(p_values: ArrayLike) -> np.ndarray:
    """P-values adjusted for their number by the step-down method of Holm (Scandinavian Journal of Statistics 6, 1979).

    The smallest of m is multiplied by m, the next by m - 1, and so on; none becomes smaller than one before it, or
    larger than 1. Rejecting what is below 0.05 errs in any of them with a probability of at most 0.05.

    Args:
        p_values: ``(m,)`` in 0-1; NaN is no test, stays NaN and does not count.

    Returns:
        float64 ``(m,)``.
    """
    p_values = np.asarray(p_values, np.float64)
    adjusted = np.full(p_values.shape, np.nan)
    tests = np.flatnonzero(~np.isnan(p_values))
    order = tests[np.argsort(p_values[tests], kind="stable")]
    factors = np.arange(len(order), 0, -1)
    adjusted[order] = np.minimum(np.maximum.accumulate(p_values[order] * factors), 1.0)
    return adjusted
