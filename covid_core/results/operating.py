"""What a threshold decides: sensitivity and specificity at it, and predictive values at a chosen prevalence."""

from __future__ import annotations

import numpy as np
import pandas as pd

from covid_core.results.clusters import grouped_share
from covid_core.results.intervals import LEVEL, Interval

THRESHOLDS = np.linspace(0, 1, 101).round(2)
"""Those that are tabulated."""

_ENDS = ("", "_low", "_high")


def operating_points(
    labels: np.ndarray,
    probabilities: np.ndarray,
    groups: np.ndarray,
    thresholds: np.ndarray = THRESHOLDS,
    level: float = LEVEL,
) -> pd.DataFrame:
    """Confusion matrix, sensitivity and specificity of all predictions pooled, at every threshold.

    Args:
        labels: ``(n,)``, 1 for the positive class and 0 for every other.
        probabilities: ``(n,)`` in 0-1.
        groups: int ``(n,)`` from 0: predictions of one patient, or of one slice, share a number.
        thresholds: ``(m,)``; a slice is called positive at this probability or above.
        level: Confidence level.

    Returns:
        One row a threshold: ``threshold``, ``tp``, ``fp``, ``tn``, ``fn``, then ``sensitivity`` and ``specificity``
        each with ``_low`` and ``_high`` as ``clusters.grouped_share`` gives them; NaN without a slice of the class.
    """
    actual, probability = np.asarray(labels) == 1, np.asarray(probabilities)
    table = {"threshold": np.asarray(thresholds, np.float64)}
    found, present = _of_groups(probability[actual], groups[actual], thresholds)
    called, absent = _of_groups(probability[~actual], groups[~actual], thresholds)
    tp, fp = found.sum(axis=0), called.sum(axis=0)
    table |= {"tp": tp, "fp": fp, "tn": absent.sum() - fp, "fn": present.sum() - tp}
    for name, hits, counts in (("sensitivity", found, present), ("specificity", absent[:, None] - called, absent)):
        interval = grouped_share(hits, np.broadcast_to(counts[:, None], hits.shape), level)
        table |= dict(zip((name, f"{name}_low", f"{name}_high"), interval, strict=True))
    return pd.DataFrame(table)


def predictive_values(points: pd.DataFrame, prevalence: float) -> pd.DataFrame:
    """What a call is worth where a share ``prevalence`` of the slices is positive, by Bayes' theorem.

    PPV = p Se / (p Se + (1 - p) (1 - Sp)) and NPV = (1 - p) Sp / ((1 - p) Sp + p (1 - Se)) depend on sensitivity and
    specificity through the ratios Se / (1 - Sp) and Sp / (1 - Se) alone. Their intervals are those of the ratios
    (``ratio_interval``); positive and negative slices are never of one patient, so both shares are independent.

    Args:
        points: As ``operating_points`` gives them.
        prevalence: Above 0 and below 1, taken as known.

    Returns:
        ``ppv``, ``ppv_low``, ``ppv_high``, ``npv``, ``npv_low``, ``npv_high`` in 0-1, in the rows of ``points``. NaN
        where nothing is called so (0/0), and where sensitivity or specificity is not defined.

    Raises:
        ValueError: Another prevalence: where all slices are of one class there is nothing to find out.
    """
    if not 0 < prevalence < 1:
        raise ValueError(f"Expected a prevalence above 0 and below 1. Received: {prevalence}.")
    shares = {name: _interval(points, name) for name in ("sensitivity", "specificity")}
    missed, alarmed = (_complement(shares[name]) for name in ("sensitivity", "specificity"))
    values = {
        "ppv": _posterior(ratio_interval(shares["sensitivity"], alarmed), prevalence),
        "npv": _posterior(ratio_interval(shares["specificity"], missed), 1 - prevalence),
    }
    columns = {f"{name}{end}": part for name, one in values.items() for end, part in zip(_ENDS, one, strict=True)}
    return pd.DataFrame(columns, index=points.index)


def ratio_interval(first: Interval, second: Interval) -> Interval:
    """Ratio of two independent shares and its interval, recovered from the interval of each.

    MOVER for ratios: Donner & Zou, Closed-form confidence intervals for functions of the normal mean and standard
    deviation, Statistical Methods in Medical Research 21, 2012, equation 9; with Wilson's bounds as in Fagerland,
    Lydersen & Laake, Statistical Analysis of Contingency Tables, 2017. Written so that nothing cancels.

    Args:
        first: Share above the line, with its bounds; arrays.
        second: Share below the line.

    Returns:
        Arrays, >= 0; infinite where the divisor, or its lower bound, is 0. NaN throughout for 0/0.
    """
    product = first.mean * second.mean
    lower = first.low * (2 * first.mean - first.low), second.high * (2 * second.mean - second.high)
    upper = first.high * (2 * first.mean - first.high), second.low * (2 * second.mean - second.low)
    with np.errstate(invalid="ignore", divide="ignore"):
        ratio = first.mean / second.mean
        low = lower[0] / (product + np.sqrt(np.maximum(product**2 - lower[0] * lower[1], 0)))
        high = (product + np.sqrt(np.maximum(product**2 - upper[0] * upper[1], 0))) / upper[1]
    undefined = np.isnan(ratio)
    low = np.where(first.low == 0, 0.0, low)
    high = np.where(second.low == 0, np.inf, high)
    return Interval(ratio, np.where(undefined, np.nan, low), np.where(undefined, np.nan, high))


def _of_groups(probabilities: np.ndarray, groups: np.ndarray, thresholds: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Slices of each group at or above each threshold, int64 ``(groups, thresholds)``, and in all, ``(groups,)``."""
    number = np.unique(groups, return_inverse=True)[1]
    counts = np.bincount(number)
    above = [np.bincount(number[probabilities >= threshold], minlength=len(counts)) for threshold in thresholds]
    return np.stack(above, axis=1), counts


def _interval(points: pd.DataFrame, name: str) -> Interval:
    return Interval(*(points[f"{name}{end}"].to_numpy(np.float64) for end in _ENDS))


def _complement(share: Interval) -> Interval:
    return Interval(1 - share.mean, 1 - share.high, 1 - share.low)


def _posterior(ratio: Interval, prior: float) -> Interval:
    """Probability after a call whose likelihood ratio is ``ratio``, from the one before."""
    with np.errstate(divide="ignore"):
        return Interval(*(prior / (prior + (1 - prior) / part) for part in ratio))  # a ratio may be infinite
