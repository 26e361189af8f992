"""Published and measured networks in one table."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd

from covid_core.models import zoo
from covid_core.results.bootstrap import bootstrap_scores, draw_groups, group_counts, groups_of
from covid_core.results.intervals import FOLD_METHODS, METHODS, bounds, half_width, round_half_width
from covid_core.results.metrics import METRICS
from covid_core.results.published import STUDY
from covid_core.results.store import ResultsStore, whole_number

DESCRIPTION = [
    *("source", "experiment", "model", "backbone", "variant", "family", "parameters_millions"),
    *("dataset", "size", "split", "groups", "rounds", "folds", "epochs", "images_per_second", "drawn"),
]
SCORES = [column for metric in METRICS for column in (metric, f"{metric}_low", f"{metric}_high", f"{metric}_pm")]
COLUMNS = [*DESCRIPTION, *SCORES, "auc"]

_COUNTS = ["size", "rounds", "folds", "epochs"]


def leaderboard(
    store: ResultsStore, method: str = "corrected", patients: Mapping[str, Mapping[str, str]] | None = None
) -> pd.DataFrame:
    """One row a network and experiment, the highest sensitivity first.

    Means and intervals of measured rows run over all finished folds of all rounds. Published rows keep the interval
    that was printed, whatever ``method`` says.

    Args:
        store: Where the results are.
        method: How measured intervals are computed, one of ``intervals.METHODS``.
        patients: For the bootstrap: digest of a data set -> path of a slice -> its patient. Of other data sets single
            slices are drawn.

    Returns:
        ``source`` (``"published"`` or ``"measured"``), ``experiment`` (id, ``"published"`` for published rows),
        ``model``, ``backbone``, ``variant``, ``family``, ``parameters_millions`` (as published, NaN for networks
        outside the study), ``dataset``, ``size`` (pixels), ``split``, ``groups`` (what a split by group keeps together:
        ``"patients"`` of the data set, or the origin of other groups; empty for a split by slice), ``rounds`` (distinct
        rounds with a finished fold), ``folds`` (finished folds), ``epochs``, ``images_per_second`` (mean), ``drawn``
        (what the bootstrap drew, ``"patients"`` or ``"slices"``; missing for other intervals); for each of ``METRICS``
        the mean, ``_low`` and ``_high`` inside 0-1, and ``_pm``, half the interval before it is cut off at 0 and 1;
        ``auc`` (mean). NaN where unknown: speed and AUC of published rows, intervals of a single fold, a bootstrap
        without predictions.

    Raises:
        StoreError: The store cannot be read.
        ValueError: Unknown method.
    """
    if method not in METHODS:
        raise ValueError(f"Expected a method out of {', '.join(METHODS)}. Received: {method!r}.")
    published = store.published()
    rows = [_published(published)]
    folds = store.folds()
    if len(folds):
        rows.append(_with_intervals(_measured(folds, published), folds, method, store, patients or {}))
    table = pd.concat([frame[COLUMNS] for frame in rows], ignore_index=True)
    return table.sort_values(["sensitivity", "f1", "model"], ascending=[False, False, True], ignore_index=True)


def groups_origin(protocol: dict[str, Any]) -> str:
    """Where the groups of a split by group come from.

    Args:
        protocol: Of the experiment.

    Returns:
        ``"patients"`` of the data set, which its digest covers, or the origin that the protocol states.
    """
    groups = protocol.get("groups")
    return str(groups.get("origin")) if isinstance(groups, dict) else "patients"


def _published(published: pd.DataFrame) -> pd.DataFrame:
    table = published.assign(
        experiment="published",
        dataset=STUDY.dataset,
        size=STUDY.size,
        split=STUDY.split,
        groups="",
        rounds=STUDY.rounds,
        folds=STUDY.rounds * STUDY.folds,
        epochs=STUDY.epochs,
        images_per_second=np.nan,
        drawn=pd.NA,
        auc=np.nan,
    )
    table[_COUNTS] = table[_COUNTS].astype("Int64")
    for metric in METRICS:
        _, table[f"{metric}_low"], table[f"{metric}_high"] = bounds(table[metric], table[f"{metric}_pm"])
    return table


def _measured(folds: pd.DataFrame, published: pd.DataFrame) -> pd.DataFrame:
    groups = folds.groupby(["experiment", "model"], sort=False)
    table = groups.agg(
        dataset=("dataset", "first"),
        size=("size", "first"),
        split=("split", "first"),
        digest=("dataset_digest", "first"),
        protocol=("protocol", "first"),
        rounds=("round", "nunique"),
        folds=("fold", "size"),
        images_per_second=("images_per_second", "mean"),
        auc=("auc", "mean"),
    ).reset_index()
    means = groups[list(METRICS)].mean()
    for metric in METRICS:
        table[metric] = means[metric].to_numpy()
    protocols = {text: json.loads(text) for text in table["protocol"].unique()}
    per_round = {text: folds_a_round(protocol) for text, protocol in protocols.items()}
    table["per_round"] = table["protocol"].map(per_round)
    table["drawn"] = pd.NA
    table["source"] = "measured"
    origins = {text: groups_origin(protocol) for text, protocol in protocols.items()}
    table["groups"] = table["protocol"].map(origins).where(table["split"] == "group", "")
    epochs = {text: whole_number(protocol.get("epochs")) for text, protocol in protocols.items()}
    table["epochs"] = table["protocol"].map(epochs)
    table[_COUNTS] = table[_COUNTS].astype("Int64")
    table["parameters_millions"] = table["model"].map(published.set_index("model")["parameters_millions"])
    for trait in ("backbone", "variant", "family"):
        table[trait] = [_trait(model, trait) for model in table["model"]]
    return table


def _with_intervals(
    table: pd.DataFrame,
    folds: pd.DataFrame,
    method: str,
    store: ResultsStore,
    patients: Mapping[str, Mapping[str, str]],
) -> pd.DataFrame:
    """``table`` with the three columns of every metric's interval; ``folds`` are grouped in the order of its rows."""
    if method == "groups":
        return _bootstrapped(table, store, patients)
    groups = folds.groupby(["experiment", "model"], sort=False)
    deviations, known = groups[list(METRICS)].std(), groups[list(METRICS)].count()
    for metric in METRICS:
        if method in FOLD_METHODS:
            share = 1 / table["per_round"].to_numpy()
            half = half_width(deviations[metric].to_numpy(), known[metric].to_numpy(), method, share)
        else:
            of_network = zip((part for _, part in groups), table["per_round"], strict=True)
            half = np.array([round_half_width(part[metric], part["round"], count) for part, count in of_network])
        _, table[f"{metric}_low"], table[f"{metric}_high"] = bounds(table[metric].to_numpy(), half)
        table[f"{metric}_pm"] = half
    return table


def _bootstrapped(table: pd.DataFrame, store: ResultsStore, patients: Mapping[str, Mapping[str, str]]) -> pd.DataFrame:
    weights: dict[int, np.ndarray] = {}
    table = table.assign(**{f"{metric}_{end}": np.nan for metric in METRICS for end in ("low", "high", "pm")})
    for row in table.itertuples():
        predictions = store.predictions(row.experiment, row.model)
        if predictions.empty:
            continue
        of_slice = patients.get(row.digest)
        groups = groups_of(predictions["slice"], of_slice)
        counts = group_counts(predictions["label"], predictions["probability"], groups)
        if len(counts) not in weights:  # networks of one experiment share their slices, and so the draws
            weights[len(counts)] = draw_groups(len(counts))
        table.loc[row.Index, "drawn"] = "slices" if of_slice is None else "patients"
        for metric, (_, low, high) in bootstrap_scores(counts, weights[len(counts)]).items():
            table.loc[row.Index, [f"{metric}_low", f"{metric}_high", f"{metric}_pm"]] = low, high, (high - low) / 2
    return table


def folds_a_round(protocol: dict[str, Any]) -> int:
    """Folds of one cross-validation; results imported from elsewhere may not say, and get the study's."""
    folds = whole_number(protocol.get("folds"))
    return folds if folds is not None and folds >= 2 else STUDY.folds


def _trait(model: str, trait: str) -> str:
    """A network that is not in the zoo, imported from elsewhere, still has its row."""
    spec = zoo.ALL.get(model)
    return getattr(spec, trait) if spec else {"backbone": model, "variant": "base", "family": "other"}[trait]
