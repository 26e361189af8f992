"""Scores and curves of each fold, averaged, with an interval over the folds or over patients drawn again."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pandas as pd

from covid_core.results.bootstrap import draw_groups
from covid_core.results.intervals import LEVEL, Interval, mean_interval

DRAWS = 1000
"""How often groups are drawn: half of what single scores get, a curve takes far longer."""

METHODS = ("corrected", "groups")
"""Those of ``intervals.METHODS`` that ``averaged`` knows: over the folds, or by drawing groups."""

Measure = Callable[[np.ndarray, np.ndarray, np.ndarray], dict[str, np.ndarray]]
"""``(labels (n,), probabilities (n,), weights (draws, n))`` of a fold -> name -> ``(draws, ...)`` in 0-1 or NaN."""

_MOST_CELLS = 4_000_000  # draws x slices in memory at once: some 200 MB with all that is made of them


def averaged(
    answers: pd.DataFrame, measure: Measure, method: str, test_share: float = 0.2, draws: int = DRAWS
) -> dict[str, Interval]:
    """Mean of a measure over the folds and its interval.

    Args:
        answers: Columns ``round``, ``fold``, ``label`` (0 or 1), ``probability`` and ``group`` (whole numbers from 0).
        measure: What is measured in a fold, for every drawing of its slices.
        method: ``"corrected"``: by how far the folds differ, see ``intervals.half_width``; ``"groups"``: the middle of
            the means when groups are drawn again, with all their slices in all folds.
        test_share: Share of the slices in a test fold.
        draws: How often groups are drawn.

    Returns:
        Name -> interval of arrays without the axis of draws. Bounds are NaN where the method gives none: one fold has
        no interval over folds. A fold in which a measure is not defined is left out.

    Raises:
        ValueError: Unknown method.
    """
    if method not in METHODS:
        raise ValueError(f"Expected a method out of {', '.join(METHODS)}. Received: {method!r}.")
    groups = int(answers["group"].max()) + 1
    weights = np.ones((1, groups), np.float32)  # first the slices as they are
    if method == "groups":
        weights = np.concatenate([weights, draw_groups(groups, draws)])
    of_folds = [
        _in_blocks(measure, fold["label"].to_numpy(), fold["probability"].to_numpy(), weights, fold["group"].to_numpy())
        for _, fold in answers.groupby(["round", "fold"])
    ]
    found = {}
    for name in of_folds[0]:
        values = np.stack([one[name] for one in of_folds], axis=-1)  # (draws, ..., folds)
        if method == "corrected":
            found[name] = mean_interval(values[0], "corrected", test_share)
        else:
            found[name] = _middle(values)
    return found


def _in_blocks(
    measure: Measure, labels: np.ndarray, probabilities: np.ndarray, weights: np.ndarray, groups: np.ndarray
) -> dict[str, np.ndarray]:
    """A fold's measure for all draws, so many at a time as fit into memory."""
    rows = max(1, _MOST_CELLS // len(labels))
    blocks = [
        measure(labels, probabilities, weights[start : start + rows, groups]) for start in range(0, len(weights), rows)
    ]
    return {name: np.concatenate([block[name] for block in blocks]) for name in blocks[0]}


def _middle(values: np.ndarray) -> Interval:
    """Mean over the last axis: of the first row, and the middle ``LEVEL`` of the others."""
    known = ~np.isnan(values)
    count = known.sum(axis=-1)
    with np.errstate(invalid="ignore"):
        means = np.sum(values, axis=-1, where=known) / np.where(count == 0, np.nan, count)
    drawn = means[1:]
    defined = ~np.isnan(drawn).all(axis=0)
    low, high = (np.full(means.shape[1:], np.nan) for _ in range(2))
    if defined.any():
        ends = [(1 - LEVEL) / 2, (1 + LEVEL) / 2]
        quantile = np.nanquantile if np.isnan(drawn[:, defined]).any() else np.quantile  # the former is far slower
        low[defined], high[defined] = quantile(drawn[:, defined], ends, axis=0)
    return Interval(means[0], low, high)
