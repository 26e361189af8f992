"""Balanced accuracy and AUC of predictions that come in groups, with intervals; chance is 0.5 for both.

Slices of one patient are right or wrong together. Each interval is Wilson's (1927) at the effective number of
independent slices, the number that would give a share the variance that it has over groups (Rao & Scott, A simple
method for the analysis of clustered binary data, Biometrics 48, 1992).
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from scipy.special import ndtri

LEVEL = 0.95


class Estimate(NamedTuple):
    """A score and the bounds of its interval."""

    value: float
    low: float
    high: float


def balanced_accuracy(right: np.ndarray, positive: np.ndarray, groups: np.ndarray) -> Estimate:
    """Mean of sensitivity and specificity.

    The bounds of both are joined by the square-and-add rule (Newcombe, Interval estimation for the difference between
    independent proportions, 1998).

    Args:
        right: bool ``(N,)``, whether a slice was classified rightly.
        positive: bool ``(N,)``; both classes occur.
        groups: int ``(N,)``, numbers of groups.
    """
    first, second = (_share(right[side], groups[side]) for side in (positive, ~positive))
    value = (first.value + second.value) / 2
    below = np.hypot(first.value - first.low, second.value - second.low) / 2
    above = np.hypot(first.high - first.value, second.high - second.value) / 2
    return Estimate(value, float(max(0.0, value - below)), float(min(1.0, value + above)))


def area_under_curve(scores: np.ndarray, positive: np.ndarray, groups: np.ndarray) -> Estimate:
    """Area under the ROC curve: the share of pairs of a positive and another slice that the score orders rightly.

    Its variance over groups is that of Obuchowski, Nonparametric analysis of clustered ROC curve data, Biometrics 53,
    1997.

    Args:
        scores: float ``(N,)``, higher for the positive class.
        positive: bool ``(N,)``; both classes occur.
        groups: int ``(N,)``, numbers of groups.
    """
    from scipy.stats import rankdata  # scipy.stats takes far longer to import than the rest of this file

    ranks = rankdata(scores)
    ones, zeros = int(positive.sum()), int((~positive).sum())
    # share of the slices of the other class that each slice stands on the right side of
    placement = np.empty(len(scores))
    placement[positive] = (ranks[positive] - rankdata(scores[positive])) / zeros
    placement[~positive] = 1 - (ranks[~positive] - rankdata(scores[~positive])) / ones
    value = float(placement[positive].mean())
    deviation = (placement - value) / np.where(positive, ones, zeros)
    fewest = min(len(np.unique(groups[positive])), len(np.unique(groups[~positive])))
    return _wilson(value, _effective(value, deviation, groups, fewest, min(ones, zeros)))


def difference_of_balanced_accuracies(
    first: np.ndarray, second: np.ndarray, positive: np.ndarray, groups: np.ndarray
) -> Estimate:
    """Balanced accuracy of the first less that of the second, on the same slices; normal interval over groups.

    Args:
        first: bool ``(N,)``, whether a slice was classified rightly.
        second: The same by another rule.
        positive: bool ``(N,)``; both classes occur.
        groups: int ``(N,)``, numbers of groups.
    """
    gain = first.astype(float) - second
    weight = np.where(positive, 0.5 / positive.sum(), 0.5 / (~positive).sum())
    value = float((gain * weight).sum())
    mean = np.where(positive, gain[positive].mean(), gain[~positive].mean())
    half = float(ndtri((1 + LEVEL) / 2) * np.sqrt(_variance((gain - mean) * weight, groups)))
    return Estimate(value, value - half, value + half)


def chance_p(scores: np.ndarray, positive: np.ndarray, groups: np.ndarray) -> float:
    """One-sided p-value that the scores know nothing of the label: Mann–Whitney on the mean score of each group.

    A group that holds both classes counts once in each. Scores of slices from one group are not independent; their
    means over groups are.
    """
    from scipy.stats import mannwhitneyu

    means = [_group_means(scores[side], groups[side]) for side in (positive, ~positive)]
    if np.ptp(np.concatenate(means)) == 0:
        return 1.0
    return float(mannwhitneyu(*means, alternative="greater").pvalue)


def detectable(positive_groups: int, other_groups: int, alpha: float) -> float:
    """Balanced accuracy that is told from chance with a probability of 80 %.

    Both shares are 0.5 by chance, so that the mean of both has the variance ``(1/n1 + 1/n2) / 16``.

    Args:
        positive_groups: Independent groups of the positive class.
        other_groups: Of all others.
        alpha: One-sided level of the test.
    """
    deviation = np.sqrt((1 / positive_groups + 1 / other_groups) / 16)
    return float(min(1.0, 0.5 + (ndtri(1 - alpha) + ndtri(0.8)) * deviation))


def _share(hits: np.ndarray, groups: np.ndarray) -> Estimate:
    value = float(hits.mean())
    deviation = (hits - value) / len(hits)
    return _wilson(value, _effective(value, deviation, groups, len(np.unique(groups)), len(hits)))


def _effective(value: float, deviation: np.ndarray, groups: np.ndarray, fewest: int, most: int) -> float:
    """How many independent trials would give ``value`` its variance; ``fewest`` where it has none."""
    variance = _variance(deviation, groups)
    if not 0 < value < 1 or variance == 0:
        return fewest
    return float(np.clip(value * (1 - value) / variance, 1, most))


def _variance(deviation: np.ndarray, groups: np.ndarray) -> float:
    """Of a sum over slices, from the sums of each group."""
    sums = np.bincount(np.unique(groups, return_inverse=True)[1], deviation)
    return float((sums**2).sum() * len(sums) / (len(sums) - 1)) if len(sums) > 1 else 0.0


def _wilson(value: float, count: float) -> Estimate:
    z = ndtri((1 + LEVEL) / 2)
    middle = (value + z**2 / (2 * count)) / (1 + z**2 / count)
    half = z / (1 + z**2 / count) * np.sqrt(value * (1 - value) / count + z**2 / (4 * count**2))
    return Estimate(value, float(max(0.0, min(value, middle - half))), float(min(1.0, max(value, middle + half))))


def _group_means(values: np.ndarray, groups: np.ndarray) -> np.ndarray:
    numbers = np.unique(groups, return_inverse=True)[1]
    return np.bincount(numbers, values) / np.bincount(numbers)
