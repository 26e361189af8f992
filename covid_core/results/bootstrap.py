"""Intervals of scores by drawing patients again from the stored predictions, the networks as they are.

Slices of one patient resemble each other, so patients are what is drawn (the cluster bootstrap of Davison & Hinkley,
Bootstrap Methods and their Application, 1997, section 3.8): a patient comes with all slices and all their predictions.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pandas as pd

from covid_core.errors import StoreError
from covid_core.results.intervals import LEVEL, Interval
from covid_core.results.metrics import METRICS, THRESHOLD, scores

DRAWS = 2000


def groups_of(slices: pd.Series, patients: Mapping[str, str] | None = None) -> np.ndarray:
    """A number for each prediction that says whose it is.

    Args:
        slices: Paths in the data set, categorical or texts.
        patients: Path -> patient; None where they are not known: every slice then stands for itself.

    Returns:
        int64 ``(n,)`` from 0.

    Raises:
        StoreError: A slice has no patient.
    """
    slices = pd.Series(slices).astype("category")
    codes, names = slices.cat.codes.to_numpy(), slices.cat.categories
    if patients is not None:
        owners = pd.Series(names, dtype=object).map(patients)
        missing = np.unique(codes[owners.isna().to_numpy()[codes]])
        if len(missing):
            raise StoreError(
                f"Expected a patient for every predicted slice. Received: none for {len(missing)} of them, the first "
                f"{names[missing[0]]!r}. Complete patients.csv, or remove it to draw slices."
            )
        codes = pd.factorize(owners)[0][codes]
    return np.unique(codes, return_inverse=True)[1].astype(np.int64)


def group_counts(labels: np.ndarray, probabilities: np.ndarray, groups: np.ndarray) -> np.ndarray:
    """Confusion matrix of each group.

    Args:
        labels: ``(n,)``, 1 for the positive class and 0 for every other.
        probabilities: ``(n,)`` in 0-1.
        groups: int ``(n,)`` from 0.

    Returns:
        int64 ``(groups, 4)``: tp, fp, tn, fn at probability 0.5 or above.
    """
    actual, called = np.asarray(labels) == 1, np.asarray(probabilities) >= THRESHOLD
    cells = (called & actual, called & ~actual, ~called & ~actual, ~called & actual)
    count = int(groups.max()) + 1 if len(groups) else 0
    return np.stack([np.bincount(groups[cell], minlength=count) for cell in cells], axis=1)


def draw_groups(groups: int, draws: int = DRAWS, seed: int = 0) -> np.ndarray:
    """How often each group is drawn when as many as there are are drawn with replacement.

    Args:
        groups: Their number, 1 or more.
        draws: How often all are drawn anew.
        seed: Of the draws.

    Returns:
        float32 ``(draws, groups)``; each row adds up to ``groups``.
    """
    random = np.random.default_rng(seed)
    return random.multinomial(groups, np.full(groups, 1 / groups), size=draws).astype(np.float32)


def bootstrap_scores(counts: np.ndarray, weights: np.ndarray, level: float = LEVEL) -> dict[str, Interval]:
    """Score of all predictions pooled, and its percentile interval, which cannot leave 0-1.

    Args:
        counts: ``(groups, 4)`` as ``group_counts`` gives them.
        weights: ``(draws, groups)`` as ``draw_groups`` gives them.
        level: Confidence level.

    Returns:
        Metric -> interval of floats; NaN where a score is not defined. Draws without a slice that the score is about
        are skipped.
    """
    pooled, drawn = scores(*counts.sum(axis=0)), scores(*_drawn(counts, weights))
    return {metric: Interval(pooled[metric], *_middle(drawn[metric], level)) for metric in METRICS}


def bootstrap_differences(
    first: np.ndarray, second: np.ndarray, weights: np.ndarray, level: float = LEVEL
) -> dict[str, Interval]:
    """First minus second of two networks' pooled scores on the same predictions: both see the same draws.

    Args:
        first: ``(groups, 4)`` as ``group_counts`` gives them.
        second: Of the other network, over the same groups.
        weights: ``(draws, groups)``.
        level: Confidence level.

    Returns:
        Metric -> interval of floats inside -1 to 1.
    """
    pooled = [scores(*counts.sum(axis=0)) for counts in (first, second)]
    drawn = [scores(*_drawn(counts, weights)) for counts in (first, second)]
    return {
        metric: Interval(pooled[0][metric] - pooled[1][metric], *_middle(drawn[0][metric] - drawn[1][metric], level))
        for metric in METRICS
    }


def bootstrap_change(
    before: np.ndarray,
    weights_before: np.ndarray,
    after: np.ndarray,
    weights_after: np.ndarray,
    level: float = LEVEL,
) -> dict[str, Interval]:
    """Second minus first score of one network on two sets of slices, drawn independently.

    Args:
        before: ``(groups, 4)`` as ``group_counts`` gives them, of the first set.
        weights_before: ``(draws, groups)`` as ``draw_groups`` gives them.
        after: Of the second set, over groups of its own.
        weights_after: As many draws, of another seed.
        level: Confidence level.

    Returns:
        Metric -> interval of floats inside -1 to 1.
    """
    pooled = [scores(*counts.sum(axis=0)) for counts in (before, after)]
    drawn = scores(*_drawn(before, weights_before)), scores(*_drawn(after, weights_after))
    return {
        metric: Interval(pooled[1][metric] - pooled[0][metric], *_middle(drawn[1][metric] - drawn[0][metric], level))
        for metric in METRICS
    }


def _drawn(counts: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Counts of every draw, ``(4, draws)``: whole numbers far below the 2^24 that float32 holds exactly."""
    return (weights @ counts.astype(weights.dtype)).T


def _middle(values: np.ndarray, level: float) -> tuple[float, float]:
    values = values[~np.isnan(values)]
    if not len(values):
        return float("nan"), float("nan")
    low, high = np.quantile(values, [(1 - level) / 2, (1 + level) / 2])
    return float(low), float(high)
