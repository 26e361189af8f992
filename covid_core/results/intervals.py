"""Confidence intervals of a mean, over cross-validation folds or over independent values, and of a share."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import stdtrit  # Student's t quantile; scipy.stats would take far longer to import

METHODS = {
    "corrected": "Corrected for shared slices",
    "t": "Student t",
    "rounds": "Round means",
    "groups": "Bootstrap",
}
"""Ways to the interval of a network's score, with their names for people; the first is the default.

The first two need the folds' scores (``half_width``), the third the folds by round (``round_half_width``), the last the
predictions (``bootstrap.bootstrap_scores``).
"""

FOLD_METHODS = ("corrected", "t")
"""Those of ``METHODS`` that ``half_width`` and ``mean_interval`` know."""

MEANINGS = {
    "corrected": "The range that the expected score of this way of training is in, judged by how far folds differ and "
    "widened because the folds of one cross-validation share training slices; treating them as independent would "
    "promise too much.",
    "t": "Student's t over the folds as if they were independent, as studies usually print it. They are not: the range "
    "is too narrow, and every further round narrows it without a single new slice.",
    "rounds": "Student's t over the means of whole rounds: how far another round on the same slices would move the "
    "mean. Every round tests the same slices, so the range says nothing about other patients, and is too narrow for "
    "them.",
    "groups": "The middle 95 % of the scores when patients are drawn again 2,000 times, or single slices where "
    "patients are not known: how far other test cases would move the score of the networks as they are. That training "
    "again would give other networks is left out; redrawn slices of the same patients make the range too narrow.",
}
"""What each of ``METHODS`` means, for people."""

LEVEL = 0.95


class Interval(NamedTuple):
    """A mean and the bounds of its confidence interval, floats or arrays; NaN where undefined."""

    mean: float | np.ndarray
    low: float | np.ndarray
    high: float | np.ndarray


def mean_interval(
    values: ArrayLike, method: str = "corrected", test_share: float = 0.2, level: float = LEVEL
) -> Interval:
    """Mean of a score over folds and its confidence interval.

    The interval is mean ± half-width, cut off at 0 and 1: a score cannot lie outside, so cutting loses no coverage.
    One value has a mean but no interval: its bounds are NaN. No value has neither.

    Args:
        values: ``(..., folds)`` in 0-1; NaN is skipped. The last axis is averaged.
        method: As for ``half_width``.
        test_share: As for ``half_width``.
        level: As for ``half_width``.

    Returns:
        Floats for one series of values, else arrays of the leading shape.

    Raises:
        ValueError: A value outside 0-1, or as for ``half_width``.
    """
    series = np.asarray(values, dtype=np.float64)
    if series.ndim == 0 or ((series < 0) | (series > 1)).any():
        raise ValueError(f"Expected an array of scores in 0-1, folds last. Received: {values}.")
    known = ~np.isnan(series)
    count = known.sum(axis=-1)
    with np.errstate(invalid="ignore", divide="ignore"):
        mean = np.sum(series, axis=-1, where=known) / count
        spread = np.sum((series - mean[..., None]) ** 2, axis=-1, where=known)
        deviation = np.sqrt(spread / (count - 1))
    interval = bounds(mean, half_width(deviation, count, method, test_share, level))
    return interval if series.ndim > 1 else Interval(*map(float, interval))


def mean_with_interval(values: ArrayLike, level: float = LEVEL) -> Interval:
    """Mean of independent values and its interval by Student's t, not cut off: for differences as well as for scores.

    Args:
        values: ``(n,)``; NaN is skipped.
        level: Confidence level.

    Returns:
        Floats. One value has a mean and no interval, none has neither: NaN.
    """
    known = np.asarray(values, np.float64)
    known = known[~np.isnan(known)]
    if len(known) < 2:
        return Interval(float(known[0]) if len(known) else float("nan"), float("nan"), float("nan"))
    mean, half = known.mean(), half_width(known.std(ddof=1), len(known), "t", level=level)
    return Interval(float(mean), float(mean - half), float(mean + half))


def share_interval(hits: int, count: int, level: float = LEVEL) -> Interval:
    """A share and its Wilson score interval (Wilson 1927), which stays inside 0-1 and has a width at both ends.

    Args:
        hits: How many of ``count`` independent trials, for example slices that were classified rightly.
        count: Number of trials.
        level: Confidence level.

    Returns:
        Floats; NaN without a trial.

    Raises:
        ValueError: More hits than trials, or fewer than none.
    """
    if not 0 <= hits <= count:
        raise ValueError(f"Expected 0 to {count} hits of {count} trials. Received: {hits}.")
    if count == 0:
        return Interval(float("nan"), float("nan"), float("nan"))
    from scipy.stats import binomtest  # scipy.stats takes far longer to import than the rest of this file

    low, high = binomtest(int(hits), int(count)).proportion_ci(level, method="wilson")
    return Interval(hits / count, float(low), float(high))


def interval_text(mean: float, low: float, high: float, digits: int = 3, signed: bool = False) -> str:
    """``1.234 (0.450 to 2.010)``; the mean alone where there is no interval, a dash where there is no mean."""
    if np.isnan(mean):
        return "–"
    form = f"{{:{'+' if signed else ''}.{digits}f}}"
    text = form.format(mean)
    return text if np.isnan(low) else f"{text} ({form.format(low)} to {form.format(high)})"


def half_width(
    deviation: ArrayLike,
    count: ArrayLike,
    method: str = "corrected",
    test_share: ArrayLike = 0.2,
    level: float = LEVEL,
) -> np.ndarray:
    """Half the width of a confidence interval of a mean over folds, for whole columns at once.

    Both methods take ``t(count - 1) * sqrt(v) * deviation``. ``"t"`` has ``v = 1 / n``, which is too narrow: folds of
    one data set share training slices, so their scores are not independent. ``"corrected"`` has
    ``v = 1 / n + n_test / n_train`` (Nadeau & Bengio, Inference for the Generalization Error, Machine Learning 52,
    2003), which for repeated k-fold cross-validation is the corrected repeated k-fold of Bouckaert & Frank (2004).

    Args:
        deviation: Sample standard deviation of the folds' scores (``ddof=1``).
        count: Number ``n`` of folds.
        method: One of ``FOLD_METHODS``.
        test_share: Share of the slices in a test fold: 1/k for k folds.
        level: Confidence level.

    Returns:
        Values ≥ 0 of the arguments' common shape; NaN where there are fewer than two folds.

    Raises:
        ValueError: Unknown method, or a level or share that is not between 0 and 1.
    """
    if method not in FOLD_METHODS:
        raise ValueError(f"Expected a method out of {', '.join(FOLD_METHODS)}. Received: {method!r}.")
    share = np.asarray(test_share, dtype=np.float64)
    if not (0 < level < 1 and ((share > 0) & (share < 1)).all()):
        raise ValueError(f"Expected level and test_share between 0 and 1. Received: {level=}, {test_share=}.")
    folds = np.asarray(count, dtype=np.float64)
    folds = np.where(folds >= 2, folds, np.nan)
    variance = 1 / folds + (share / (1 - share) if method == "corrected" else 0.0)
    return stdtrit(folds - 1, (1 + level) / 2) * np.sqrt(variance) * np.asarray(deviation, dtype=np.float64)


def round_half_width(values: ArrayLike, rounds: ArrayLike, folds: int, level: float = LEVEL) -> float:
    """Half the width of Student's t interval over the means of whole rounds of a cross-validation.

    Args:
        values: ``(n,)`` scores of folds; NaN is skipped.
        rounds: ``(n,)``, the round of each.
        folds: Folds of a whole round; others are left out, their means rest on fewer slices.
        level: Confidence level.

    Returns:
        A value ≥ 0; NaN for fewer than two whole rounds.
    """
    values, rounds = np.asarray(values, np.float64), np.asarray(rounds)
    of_round = [values[rounds == number] for number in np.unique(rounds)]
    means = [
        scores[~np.isnan(scores)].mean() for scores in of_round if len(scores) == folds and not np.isnan(scores).all()
    ]
    if len(means) < 2:
        return float("nan")
    return float(half_width(np.std(means, ddof=1), len(means), "t", level=level))


def bounds(mean: ArrayLike, half: ArrayLike) -> Interval:
    """``mean`` ± ``half`` inside 0-1.

    Args:
        mean: Scores in 0-1.
        half: Half-widths, as computed or as printed.
    """
    mean, half = np.asarray(mean, dtype=np.float64), np.asarray(half, dtype=np.float64)
    return Interval(mean, np.clip(mean - half, 0.0, 1.0), np.clip(mean + half, 0.0, 1.0))
