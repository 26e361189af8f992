"""ROC and precision-recall curves of one network, their means over the folds and the areas under them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

from covid_core.results.intervals import Interval
from covid_core.results.resampling import DRAWS, averaged

GRID = np.linspace(0, 1, 201)
"""Where curves of several folds are averaged: false positive rates, or recalls."""

_ROUNDING = 1e-9  # recalls are fractions that may lie a hair below the grid's value that they are


@dataclass(frozen=True, eq=False)
class Curves:
    """A network's curves with their bands.

    Args:
        roc: ``x`` (false positive rate, ``GRID``), ``y`` (true positive rate), ``low``, ``high``.
        precision_recall: ``x`` (recall, ``GRID`` without 0), ``y`` (precision), ``low``, ``high``.
        auc: Area under the ROC curve, mean over the folds.
        average_precision: Area under the steps of the precision-recall curve, mean over the folds.
    """

    roc: pd.DataFrame
    precision_recall: pd.DataFrame
    auc: Interval
    average_precision: Interval


def curves(answers: pd.DataFrame, method: str, test_share: float = 0.2, draws: int = DRAWS) -> Curves:
    """Curves of every fold, averaged upright (Fawcett, An introduction to ROC analysis, 2006), with pointwise bands.

    Each fold has its own curve, because its probabilities are those of its own network: pooled, they would be compared
    across networks, which need not be on one scale.

    Args:
        answers: As ``resampling.averaged`` takes them.
        method: As for ``resampling.averaged``.
        test_share: As for ``resampling.averaged``.
        draws: As for ``resampling.averaged``.

    Returns:
        NaN where a curve is not defined, because one of the classes is absent, and where a band is not.
    """
    found = averaged(answers, fold_curves, method, test_share, draws)
    drawn = {
        name: pd.DataFrame({"x": x, "y": mean, "low": low, "high": high})
        for name, x in (("roc", GRID), ("precision_recall", GRID[1:]))
        for mean, low, high in [found[name]]
    }
    areas = {name: Interval(*map(float, found[name])) for name in ("auc", "average_precision")}
    return Curves(**drawn, **areas)


def fold_curves(labels: np.ndarray, probabilities: np.ndarray, weights: np.ndarray) -> dict[str, np.ndarray]:
    """Curves and areas of one fold, for every weighting of its slices.

    The ROC curve runs straight between thresholds, the precision-recall curve in steps: at a recall stands the
    precision of the highest threshold that reaches it. The areas are exact and not those of the grid's points.

    Args:
        labels: ``(n,)``, 0 or 1.
        probabilities: ``(n,)`` in 0-1.
        weights: ``(draws, n)``, >= 0.

    Returns:
        ``roc`` ``(draws, 201)``, ``precision_recall`` ``(draws, 200)``, ``auc`` and ``average_precision``
        ``(draws,)``; NaN where a class has no weight.
    """
    order = np.argsort(-probabilities, kind="stable")
    falling = probabilities[order]
    last = np.append(np.flatnonzero(np.diff(falling)), len(falling) - 1)  # slices of one probability are called at once
    weighted = weights[:, order].astype(np.float64)
    positive = labels[order] == 1
    tp = np.cumsum(weighted * positive, axis=1)[:, last]
    fp = np.cumsum(weighted * ~positive, axis=1)[:, last]
    start = np.zeros((len(tp), 1))
    with np.errstate(invalid="ignore", divide="ignore"):
        recall = np.hstack([start, tp / tp[:, -1:]])
        alarms = np.hstack([start, fp / fp[:, -1:]])
        precision = tp / (tp + fp)
    gained = np.diff(recall, axis=1)
    areas = {
        "auc": np.sum(np.diff(alarms, axis=1) * (recall[:, 1:] + recall[:, :-1]) / 2, axis=1),
        "average_precision": np.sum(gained * precision, axis=1, where=(gained > 0) | np.isnan(gained)),
    }
    lines = [_on_grid(*row) for row in zip(alarms, recall, precision, strict=True)]
    roc, precision_recall = (np.stack(part).astype(np.float32) for part in zip(*lines, strict=True))
    one_class = np.isnan(alarms[:, -1]) | np.isnan(recall[:, -1])
    found = areas | {"roc": roc, "precision_recall": precision_recall}
    for values in found.values():
        values[one_class] = np.nan
        np.clip(values, 0, 1, out=values)  # sums of shares may round to a hair above 1
    return found


def _on_grid(alarms: np.ndarray, recall: np.ndarray, precision: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """True positive rates at ``GRID``, and precisions at ``GRID`` without 0, of one weighting."""
    reached = np.searchsorted(recall[1:], GRID[1:] - _ROUNDING)
    # a recall that no threshold reaches is that of a class without weight
    return np.interp(GRID, alarms, recall), precision[np.minimum(reached, len(precision) - 1)]
