"""The tables and figures of the study from any rows of the leaderboard: published, measured or imported."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd

from covid_core.models import zoo
from covid_core.results.metrics import METRICS
from covid_core.results.pairs import variant_pairs

BASE, OTHER, EQUAL = "base", "other", "equal"
"""Which network of a pair is better."""

CELLS = {"tp": (True, True), "fn": (True, False), "fp": (False, True), "tn": (False, False)}
"""Cells of a confusion matrix: whether the slice is positive, and whether it is called so."""

_BINS = 12


def network_table(rows: pd.DataFrame, variant: str, metric: str = "sensitivity") -> pd.DataFrame:
    """Table 1 (``"base"``) or 2 (``"modified"``): all networks with one head, best first, best values marked.

    Args:
        rows: Of one experiment or of the study, as ``leaderboard.leaderboard`` gives them.
        variant: One of ``zoo.VARIANTS``.
        metric: One of ``METRICS``, which orders the rows; F1 decides between equals.

    Returns:
        ``rows`` of the variant with a column ``<metric>_best`` (bool) for each of ``METRICS``; of equal best values
        all are marked.
    """
    table = rows[rows["variant"] == variant].sort_values(
        [metric, "f1", "model"], ascending=[False, False, True], ignore_index=True
    )
    return table.assign(**{f"{name}_best": table[name] == table[name].max() for name in METRICS})


def pair_table(rows: pd.DataFrame, variant: str = "modified") -> pd.DataFrame:
    """Table 3: base against another head, backbone by backbone.

    Args:
        rows: As for ``network_table``.
        variant: The other head.

    Returns:
        One row a backbone that has both, in the zoo's order: ``backbone``, ``family``, and for each of ``METRICS``
        ``<metric>_base``, ``<metric>_other``, their half-widths ``<metric>_pm_base`` and ``<metric>_pm_other``, and
        ``<metric>_better``: ``BASE``, ``OTHER`` or ``EQUAL``; missing where a score is.
    """
    of = rows.set_index("model")
    found = []
    for first, second in variant_pairs(rows["model"], variant):
        row = {"backbone": zoo.ALL[first].backbone, "family": zoo.ALL[first].family}
        for metric in METRICS:
            for side, name in ((BASE, first), (OTHER, second)):
                row |= {f"{metric}_{side}": of.at[name, metric], f"{metric}_pm_{side}": of.at[name, f"{metric}_pm"]}
            row[f"{metric}_better"] = _better(row[f"{metric}_{BASE}"], row[f"{metric}_{OTHER}"])
        found.append(row)
    parts = [
        f"{metric}{part}" for metric in METRICS for part in ("_base", "_pm_base", "_other", "_pm_other", "_better")
    ]
    return pd.DataFrame(found, columns=["backbone", "family", *parts])


def wins(pairs: pd.DataFrame) -> pd.DataFrame:
    """How often each network of a pair is the better one.

    Args:
        pairs: As ``pair_table`` gives them.

    Returns:
        One row for each of ``METRICS``: ``metric``, and the counts ``base``, ``other`` and ``equal``.
    """
    rows = [
        {"metric": metric, **{side: int((pairs[f"{metric}_better"] == side).sum()) for side in (BASE, OTHER, EQUAL)}}
        for metric in METRICS
    ]
    return pd.DataFrame(rows)


def family_best(rows: pd.DataFrame, variant: str, metric: str = "sensitivity") -> pd.DataFrame:
    """Figure 2 (``"base"``) or 3 (``"modified"``): the best network of each family, the highest score last.

    Args:
        rows: As for ``network_table``.
        variant: One of ``zoo.VARIANTS``.
        metric: One of ``METRICS``, by which networks are the best and stand in order.
    """
    best = network_table(rows, variant, metric).dropna(subset=metric).drop_duplicates("family")
    return best[rows.columns].iloc[::-1].reset_index(drop=True)


def histograms(scores: pd.DataFrame, metric: str) -> pd.DataFrame:
    """How the scores of each family are distributed.

    Args:
        scores: Of networks or of folds: columns ``family``, ``variant`` and ``<metric>`` in 0-1.
        metric: One of ``METRICS``.

    Returns:
        One row a family, variant and bin that is not empty: ``family``, ``variant``, ``from``, ``to``, ``count``. Bins
        have a round width, the same for all, and hold their lower end; the last one holds 1 too.
    """
    known = scores.loc[scores[metric].notna(), ["family", "variant", metric]]
    if known.empty:
        return pd.DataFrame(columns=["family", "variant", "from", "to", "count"])
    width = _round_width((known[metric].max() - known[metric].min()) / _BINS)
    # the rounding keeps 0.97 from standing one bin lower than it should
    number = np.floor(np.round(known[metric] / width, 6)).clip(upper=math.ceil(round(1 / width, 6)) - 1)
    counts = known.assign(bin=number).groupby(["family", "variant", "bin"]).size().rename("count").reset_index()
    counts["from"] = (counts["bin"] * width).round(9)
    counts["to"] = (counts["from"] + width).round(9)
    return counts[["family", "variant", "from", "to", "count"]]


def confusion_cells(folds: pd.DataFrame) -> pd.DataFrame:
    """Confusion matrices of some folds of one network, cell by cell.

    Args:
        folds: Columns ``round``, ``fold``, ``tp``, ``fp``, ``tn``, ``fn``.

    Returns:
        Four rows a fold: ``round``, ``fold``, ``positive`` and ``called`` (bool: the slice is positive, the network
        says so), ``slices``, and ``share`` of the slices of that class (NaN where it has none).
    """
    long = folds[["round", "fold", *CELLS]].melt(["round", "fold"], list(CELLS), "cell", "slices")
    long["positive"] = long["cell"].map({name: positive for name, (positive, _) in CELLS.items()})
    long["called"] = long["cell"].map({name: called for name, (_, called) in CELLS.items()})
    of_class = long.groupby(["round", "fold", "positive"])["slices"].transform("sum")
    long["share"] = long["slices"] / of_class.where(of_class > 0)
    long = long.sort_values(["round", "fold", "positive", "called"], ascending=[True, True, False, False])
    return long[["round", "fold", "positive", "called", "slices", "share"]].reset_index(drop=True)


def pooled_cells(folds: pd.DataFrame) -> pd.DataFrame:
    """``confusion_cells`` of all folds added up, as those of one fold: round and fold are 0.

    Every round tests all slices once, so of several rounds a slice counts several times.
    """
    total = folds[list(CELLS)].sum().to_frame().T.assign(round=0, fold=0)
    return confusion_cells(total)


def _better(base: float, other: float) -> str | None:
    if pd.isna(base) or pd.isna(other):
        return None
    return EQUAL if base == other else BASE if base > other else OTHER


def _round_width(least: float) -> float:
    """The smallest of 1, 2 and 5 times a power of ten that is not below ``least``; 0.001 at the least."""
    least = max(least, 0.001)
    power = 10.0 ** math.floor(math.log10(least) + 1e-9)
    return next(step * power for step in (1, 2, 5, 10) if step * power >= least * (1 - 1e-9))
