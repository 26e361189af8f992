"""Many pairs of networks of one experiment compared at once, as tables with Holm's correction over their rows."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping

import numpy as np
import pandas as pd

from covid_core.errors import StoreError
from covid_core.models import zoo
from covid_core.results.bootstrap import bootstrap_differences, draw_groups, group_counts, groups_of
from covid_core.results.comparison import REGION, compare_folds, compare_slices
from covid_core.results.differences import holm

CLASSES = {"sensitivity": (1,), "specificity": (0,)}
"""Metrics that rest on slices of one class only; McNemar's test then asks these alone."""

Pair = tuple[str, str]

_FOUND = ("difference", "low", "high", "p_value", "p_uncorrected", "better", "equivalent", "worse", "reason")

FOLD_COLUMNS = ["first", "second", "folds", "rounds", "left_out", "first_mean", "second_mean", *_FOUND, "p_holm"]

SLICE_COLUMNS = [
    *("first", "second", "round", "folds", "slices", "only_first", "only_second", "difference", "low", "high"),
    *("drawn", "p_value", "p_holm"),
]


def variant_pairs(models: Iterable[str], variant: str = "modified") -> list[Pair]:
    """Base network and ``variant`` of every backbone that has both among ``models``, in the zoo's order."""
    models = set(models)
    names = {(spec.backbone, spec.variant): spec.name for spec in zoo.ALL.values()}
    backbones = dict.fromkeys(spec.backbone for spec in zoo.ALL.values())
    pairs = [(names[backbone, "base"], names[backbone, variant]) for backbone in backbones]
    return [pair for pair in pairs if models.issuperset(pair)]


def compare_pairs(
    folds: pd.DataFrame, pairs: Iterable[Pair], metric: str, test_share: float, region: float = REGION
) -> pd.DataFrame:
    """Every pair over the folds that its two networks share.

    Args:
        folds: Finished folds of one experiment, as ``ResultsStore.folds`` gives them: networks of one experiment have
            the same test slices in the same round and fold.
        pairs: Names of networks.
        metric: One of ``METRICS``.
        test_share: Share of the slices in a test fold.
        region: Differences up to this size count as none.

    Returns:
        One row a pair: ``first``, ``second``, ``folds`` and ``rounds`` that both have, ``left_out`` (folds that only
        one of them has), the fields of ``comparison.FoldComparison`` (its means as ``first_mean`` and
        ``second_mean``), and ``p_holm``, corrected for the number of rows with a test.
    """
    scores = {model: part.set_index(["round", "fold"])[metric] for model, part in folds.groupby("model")}
    none = pd.Series(dtype=float, index=pd.MultiIndex.from_arrays([[], []], names=["round", "fold"]))
    rows = []
    for first, second in pairs:
        sides = pd.concat([scores.get(first, none), scores.get(second, none)], axis=1, keys=["first", "second"])
        shared = sides.dropna()
        found = compare_folds(shared["first"], shared["second"], test_share, region)
        rows.append(
            {
                "first": first,
                "second": second,
                "folds": found.folds,
                "rounds": shared.index.get_level_values("round").nunique(),
                "left_out": len(sides) - len(shared),
                "first_mean": found.means[0],
                "second_mean": found.means[1],
                **{name: getattr(found, name) for name in _FOUND},
            }
        )
    table = pd.DataFrame(rows, columns=FOLD_COLUMNS[:-1])
    return table.assign(p_holm=holm(table["p_value"]))


def compare_predictions(
    predictions: Callable[[str], pd.DataFrame],
    pairs: Iterable[Pair],
    metric: str,
    patients: Mapping[str, str] | None = None,
) -> pd.DataFrame:
    """Every pair on the pooled predictions of one round: the first one in which most folds have both networks.

    Args:
        predictions: Network -> its predictions, as ``ResultsStore.predictions`` gives them for one experiment.
        pairs: Names of networks.
        metric: One of ``METRICS``. McNemar's test asks COVID slices for sensitivity, the others for specificity, and
            all for the rest, for which it tests accuracy.
        patients: Path of a slice -> its patient, for the interval; None where they are not known.

    Returns:
        One row a pair with predictions on a common fold: ``first``, ``second``, ``round``, ``folds`` in it, ``slices``
        asked, ``only_first`` and ``only_second`` (slices that one gets right and the other wrong), ``difference`` of
        the pooled metric with ``low`` and ``high`` of its 95 % bootstrap interval, ``drawn`` (``"patients"`` or
        ``"slices"``), ``p_value`` and ``p_holm``.

    Raises:
        StoreError: A fold of one network was tested on other slices than that of the other.
    """
    known: dict[str, pd.DataFrame] = {}
    weights: dict[int, np.ndarray] = {}
    rows = []
    for first, second in pairs:
        for model in (first, second):
            if model not in known:
                known[model] = predictions(model)
        both = _same_slices(known[first], known[second], f"{first} and {second}")
        if both.empty:
            continue
        asked = both[both["label"].isin(CLASSES.get(metric, (0, 1)))]
        found = compare_slices(asked["label"], asked["probability"], asked["other"])
        groups = groups_of(both["slice"], patients)
        counts = [group_counts(both["label"], both[column], groups) for column in ("probability", "other")]
        if len(counts[0]) not in weights:
            weights[len(counts[0])] = draw_groups(len(counts[0]))
        interval = bootstrap_differences(*counts, weights[len(counts[0])])[metric]
        rows.append(
            {
                "first": first,
                "second": second,
                "round": int(both["round"].iloc[0]),
                "folds": both["fold"].nunique(),
                "slices": found.slices,
                "only_first": found.only_first,
                "only_second": found.only_second,
                "difference": interval.mean,
                "low": interval.low,
                "high": interval.high,
                "drawn": "slices" if patients is None else "patients",
                "p_value": found.p_value,
            }
        )
    table = pd.DataFrame(rows, columns=SLICE_COLUMNS[:-1])
    return table.assign(p_holm=holm(table["p_value"]))


def _same_slices(first: pd.DataFrame, second: pd.DataFrame, names: str) -> pd.DataFrame:
    """Predictions of ``first`` with the second's as ``other``, on the folds of one round that both have."""
    keys = [
        set(side[["round", "fold"]].drop_duplicates().itertuples(index=False, name=None)) for side in (first, second)
    ]
    shared = keys[0] & keys[1]
    if not shared:
        return first.iloc[:0]
    rounds = [number for number, _ in shared]
    best = min(set(rounds), key=lambda number: (-rounds.count(number), number))
    sides = []
    for side in (first, second):
        part = side[(side["round"] == best) & side["fold"].isin([fold for number, fold in shared if number == best])]
        sides.append(part.assign(slice=part["slice"].astype(str)))
    other = sides[1][["fold", "slice", "label", "probability"]].rename(columns={"probability": "other"})
    both = sides[0].merge(other, on=["fold", "slice", "label"])
    if not len(both) == len(sides[0]) == len(sides[1]):
        raise StoreError(
            f"Expected {names} to be tested on the same slices in round {best}. They were not: "
            f"{len(sides[0])} and {len(sides[1])} predictions, {len(both)} of them of the same slice and fold. "
            "Import results under the experiment that they belong to."
        )
    return both
