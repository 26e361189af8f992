"""Two networks on the same folds and slices: effect size with interval, tests, and the probability of a real gain."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike
from scipy import stats

from covid_core.results.intervals import half_width
from covid_core.results.metrics import THRESHOLD

REGION = 0.01
"""Differences up to this size count as none in practice: one slice in a hundred."""

LEAST_FOLDS = 2


@dataclass(frozen=True)
class FoldComparison:
    """What the folds that two networks share say.

    Args:
        folds: Folds behind it.
        means: Of the first and of the second network over these folds.
        difference: First minus second.
        low: Lower bound of the difference's 95 % interval, inside -1 to 1; NaN where there is none.
        high: Upper bound.
        p_value: Two-sided, of the corrected resampled t-test; NaN where there is no test.
        p_uncorrected: Of the plain paired t-test over folds, for comparison: it errs far too often.
        better: Probability that the first network is better by more than the region of practical equivalence.
        equivalent: That the difference lies inside the region.
        worse: That the first is worse by more. The three add up to 1, or are NaN where there is no test.
        reason: Why there is no test, for people: there is no spread to test against. Empty where there is one.
    """

    folds: int
    means: tuple[float, float]
    difference: float
    low: float
    high: float
    p_value: float
    p_uncorrected: float
    better: float
    equivalent: float
    worse: float
    reason: str


@dataclass(frozen=True)
class SliceComparison:
    """McNemar's test: what two networks make of the same slices.

    Args:
        slices: Slices that both were asked.
        only_first: Slices that the first gets right and the second wrong.
        only_second: The other way round.
        p_value: Two-sided; 1 where the networks never differ, NaN without a slice.
    """

    slices: int
    only_first: int
    only_second: int
    p_value: float


_NAN = float("nan")


def compare_folds(
    first: ArrayLike, second: ArrayLike, test_share: float = 0.2, region: float = REGION
) -> FoldComparison:
    """Compare two networks by their scores on identical folds of repeated cross-validation.

    The corrected resampled t-test (Nadeau & Bengio, Machine Learning 52, 2003; Bouckaert & Frank 2004) divides the
    mean difference by ``sqrt(1 / n + n_test / n_train)`` standard deviations, with ``n - 1`` degrees of freedom. The
    Bayesian correlated t-test (Corani & Benavoli, Machine Learning 100, 2015) takes the same Student distribution
    around the mean difference as what is believed about the true one, and asks how much of it lies beyond the region
    of practical equivalence. ``baycomp`` computes the same where all rounds are whole; it cannot be told the share of
    test slices where folds are missing, and brings a plotting library.

    Args:
        first: ``(n,)`` scores in 0-1, one a fold; a fold with a NaN on either side is left out.
        second: ``(n,)``, the same folds in the same order.
        test_share: Share of the slices in a test fold: 1/k for k folds.
        region: Differences up to this size, 0 or more, count as none.

    Returns:
        The comparison. With fewer than two folds there is no test. Where all folds differ by the same amount there is
        no spread to test against: the interval and the distribution shrink to that amount, and p-values are NaN.

    Raises:
        ValueError: Shapes differ, a score outside 0-1, or a region below 0.
    """
    scores = np.asarray(first, np.float64), np.asarray(second, np.float64)
    if scores[0].ndim != 1 or scores[0].shape != scores[1].shape:
        raise ValueError(f"Expected one score a fold from each. Received: {scores[0].shape} and {scores[1].shape}.")
    if any(((side < 0) | (side > 1)).any() for side in scores) or not region >= 0:
        raise ValueError(f"Expected scores in 0-1 and a region of 0 or more. Received: {first}, {second}, {region=}.")
    known = ~np.isnan(scores[0] + scores[1])
    first, second = (side[known] for side in scores)
    count, differences = len(first), first - second
    means = (float(first.mean()), float(second.mean())) if count else (_NAN, _NAN)
    difference = float(differences.mean()) if count else _NAN
    if count < LEAST_FOLDS:
        reason = "no fold in common" if not count else "only one fold in common"
        return FoldComparison(count, means, difference, *[_NAN] * 7, reason)
    deviation = 0.0 if np.ptp(differences) < 1e-12 else float(differences.std(ddof=1))
    half = float(half_width(deviation, count, "corrected", test_share))
    low, high = max(-1.0, difference - half), min(1.0, difference + half)
    scale = deviation * np.sqrt(1 / count + test_share / (1 - test_share))
    better, worse = _beyond(difference, scale, count - 1, region)
    p_value = p_uncorrected = _NAN
    reason = "" if deviation else "the same difference in every fold"
    if deviation:
        p_value = float(2 * stats.t.sf(abs(difference) / scale, count - 1))
        p_uncorrected = float(stats.ttest_rel(first, second).pvalue)
    return FoldComparison(
        count, means, difference, low, high, p_value, p_uncorrected, better, 1 - better - worse, worse, reason
    )


def compare_slices(labels: ArrayLike, first: ArrayLike, second: ArrayLike) -> SliceComparison:
    """McNemar's test on pooled predictions of one round, in its exact mid-p form.

    Of the slices where one network is right and the other wrong, half should fall to either. The mid-p value takes
    the observed outcome at half its binomial probability, and is less timid than the exact test (Fagerland, Lydersen &
    Laake, BMC Medical Research Methodology 13, 2013). Like every form it takes slices as independent, and speaks of
    the networks as trained: of training them again it knows nothing, and errs more often where that would change much
    (``benchmarks/false_positives.py``).

    Args:
        labels: ``(N,)``, 1 for the positive class and 0 for every other.
        first: ``(N,)`` probabilities of the first network.
        second: Of the second, the same slices in the same order.

    Raises:
        ValueError: Shapes differ.
    """
    actual, sides = np.asarray(labels) == 1, (np.asarray(first), np.asarray(second))
    if not actual.ndim == 1 or any(side.shape != actual.shape for side in sides):
        raise ValueError(
            f"Expected a label and two probabilities a slice. Received: {actual.shape}, {sides[0].shape}, "
            f"{sides[1].shape}."
        )
    right = [(side >= THRESHOLD) == actual for side in sides]
    only_first, only_second = int((right[0] & ~right[1]).sum()), int((right[1] & ~right[0]).sum())
    p_value = mcnemar(only_first, only_second) if len(actual) else _NAN
    return SliceComparison(len(actual), only_first, only_second, p_value)


def mcnemar(only_first: int, only_second: int, exact: bool = False) -> float:
    """Two-sided p-value of McNemar's test from the slices on which two networks differ.

    Args:
        only_first: Slices that only the first gets right.
        only_second: Slices that only the second gets right.
        exact: The exact conditional test, which never errs more often than its level, in place of mid-p.

    Returns:
        A value in 0-1; 1 where they never differ.
    """
    differing, fewer = only_first + only_second, min(only_first, only_second)
    tail = 2 * stats.binom.cdf(fewer, differing, 0.5)
    if not exact:
        tail -= stats.binom.pmf(fewer, differing, 0.5)
    return float(min(1.0, tail)) if differing else 1.0


def _beyond(difference: float, scale: float, degrees: int, region: float) -> tuple[float, float]:
    """Probability above the region and below it; without a spread all of it is where the difference is."""
    if not scale:
        return float(difference > region), float(difference < -region)
    above = stats.t.sf(region, degrees, difference, scale)
    return float(above), float(stats.t.cdf(-region, degrees, difference, scale))
