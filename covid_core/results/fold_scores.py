"""Predictions -> what the store keeps of a fold: counts, scores, area under the ROC curve; all folds at once."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
from pandas.api.types import union_categoricals

from covid_core.results.metrics import METRICS, THRESHOLD, scores
from covid_core.results.store import KEY


def union_frames(parts: Sequence[pd.DataFrame]) -> pd.DataFrame:
    """Predictions of several networks in one frame; texts stay categorical, which ``pd.concat`` alone would undo."""
    parts = list(parts)
    columns = {name: part[name].dtype for part in parts[:1] for name in part}
    texts = [name for name, dtype in columns.items() if dtype == "category" or name in ("experiment", "model")]
    whole = pd.concat([part.drop(columns=texts) for part in parts], ignore_index=True)
    for name in texts:
        whole[name] = union_categoricals([part[name].astype("category") for part in parts])
    return whole[list(columns)]


def fold_scores(predictions: pd.DataFrame) -> pd.DataFrame:
    """One row a fold, as if a network had been stored with these predictions.

    Args:
        predictions: Columns of ``ResultsStore.predictions``; what ``slice`` stands for does not matter.

    Returns:
        ``experiment``, ``model``, ``round``, ``fold``, ``tp``, ``fp``, ``tn``, ``fn``, the five ``METRICS``, ``auc``
        (NaN where a class is absent), sorted by its key.
    """
    actual = predictions["label"].to_numpy() == 1
    probability = predictions["probability"].to_numpy(np.float64)
    called = probability >= THRESHOLD
    folds = [predictions[name] for name in KEY]
    ranks = pd.Series(probability, predictions.index).groupby(folds, observed=True).rank()  # ties share their mean
    cases = pd.DataFrame(
        {
            "tp": called & actual,
            "fp": called & ~actual,
            "tn": ~called & ~actual,
            "fn": ~called & actual,
            "ranks": np.where(actual, ranks, 0.0),
        },
        index=predictions.index,
    )
    table = cases.groupby(folds, observed=True, sort=True).sum()
    measured = scores(table["tp"], table["fp"], table["tn"], table["fn"])
    for metric in METRICS:
        table[metric] = measured[metric]
    positive, negative = table["tp"] + table["fn"], table["fp"] + table["tn"]
    # Mann and Whitney's statistic: how many pairs of a positive and a negative stand in the right order
    pairs = (positive * negative).astype(float).replace(0.0, np.nan)
    table["auc"] = (table.pop("ranks") - positive * (positive + 1) / 2) / pairs
    return table.reset_index().astype({"experiment": "str", "model": "str"})
