"""Published and measured networks in one table."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from functools import lru_cache
from typing import Any

import numpy as np
import pandas as pd

from covid_core.models import zoo
from covid_core.results.bootstrap import bootstrap_scores, draw_groups, group_counts, groups_of
from covid_core.results.intervals import FOLD_METHODS, METHODS, bounds, half_width
from covid_core.results.metrics import METRICS
from covid_core.results.published import STUDY
from covid_core.results.store import ResultsStore, whole_number

DESCRIPTION = [
    *("source", "experiment", "model", "backbone", "variant", "family", "parameters_millions"),
    *("dataset", "size", "split", "groups", "rounds", "folds", "epochs", "images_per_second", "drawn"),
    *("level", "cases", "ensemble", "members"),
]
SCORES = [column for metric in METRICS for column in (metric, f"{metric}_low", f"{metric}_high", f"{metric}_pm")]
COLUMNS = [*DESCRIPTION, *SCORES, "auc"]

TRAITS = ("backbone", "variant", "family")

_COUNTS = ["size", "rounds", "folds", "epochs", "cases"]

Patients = Mapping[str, Mapping[str, str]]
"""Digest of a data set -> path of a slice -> its patient."""


def leaderboard(store: ResultsStore, method: str = "corrected", patients: Patients | None = None) -> pd.DataFrame:
    """One row a network and experiment, the highest sensitivity first.

    Means and intervals of measured rows run over all finished folds of all rounds. Published rows keep the interval
    that was printed, whatever ``method`` says.

    Args:
        store: Where the results are.
        method: How measured intervals are computed, one of ``intervals.METHODS``.
        patients: For the bootstrap. Of other data sets single slices are drawn.

    Returns:
        ``source`` (``"published"`` or ``"measured"``), ``experiment`` (id, ``"published"`` for published rows),
        ``model``, ``backbone``, ``variant``, ``family``, ``parameters_millions`` (as published, NaN for networks
        outside the study), ``dataset``, ``size`` (pixels), ``split``, ``groups`` (what a split by group keeps together:
        ``"patients"`` of the data set, or the origin of other groups; empty for a split by slice), ``rounds`` (distinct
        rounds with a finished fold), ``folds`` (finished folds), ``epochs``, ``images_per_second`` (mean), ``drawn``
        (what the bootstrap drew, ``"patients"`` or ``"slices"``; missing for other intervals), ``level`` (what one
        case is: ``"slice"``), ``cases`` (tested in the largest round; missing for published rows), ``ensemble`` and
        ``members`` (empty: ``computed.computed_rows`` fills them); for each of ``METRICS`` the mean, ``_low`` and
        ``_high`` inside 0-1, and ``_pm``, half the interval before it is cut off at 0 and 1; ``auc`` (mean). NaN where
        unknown: speed and AUC of published rows, intervals of a single fold, a bootstrap without predictions.

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
        rows.append(measured_rows(folds, published, method, _reader(store), patients or {}))
    return ranked(pd.concat(rows, ignore_index=True))


def measured_rows(
    folds: pd.DataFrame,
    published: pd.DataFrame,
    method: str | None,
    predictions: Callable[[str, str], pd.DataFrame],
    patients: Patients,
) -> pd.DataFrame:
    """One row a network and experiment from its folds, in the order of first appearance.

    Args:
        folds: Columns of ``ResultsStore.folds``, at least one row.
        published: As ``ResultsStore.published`` gives them, for the numbers of parameters.
        method: One of ``intervals.METHODS``; None for no intervals.
        predictions: Experiment and network -> columns of ``ResultsStore.predictions``; asked for the bootstrap only.
        patients: As for ``leaderboard``.

    Returns:
        ``COLUMNS``.
    """
    table = _measured(folds, published)
    return _with_intervals(table, folds, method, predictions, patients)[COLUMNS]


def ranked(rows: pd.DataFrame) -> pd.DataFrame:
    """Rows of the leaderboard, the highest sensitivity first."""
    return rows.sort_values(["sensitivity", "f1", "model"], ascending=[False, False, True], ignore_index=True)


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
        level="slice",
        cases=pd.NA,
        ensemble="",
        members="",
        auc=np.nan,
    )
    table[_COUNTS] = table[_COUNTS].astype("Int64")
    for metric in METRICS:
        _, table[f"{metric}_low"], table[f"{metric}_high"] = bounds(table[metric], table[f"{metric}_pm"])
    return table[COLUMNS]


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
    tested = folds[["tp", "fp", "tn", "fn"]].sum(axis=1)
    by_round = tested.groupby([folds["experiment"], folds["model"], folds["round"]], sort=False).sum()
    table["cases"] = by_round.groupby(level=[0, 1], sort=False).max().to_numpy()
    table[["level", "ensemble", "members"]] = "slice", "", ""
    origins = {text: groups_origin(protocol) for text, protocol in protocols.items()}
    table["groups"] = table["protocol"].map(origins).where(table["split"] == "group", "")
    epochs = {text: whole_number(protocol.get("epochs")) for text, protocol in protocols.items()}
    table["epochs"] = table["protocol"].map(epochs)
    table[_COUNTS] = table[_COUNTS].astype("Int64")
    table["parameters_millions"] = table["model"].map(published.set_index("model")["parameters_millions"])
    for trait in TRAITS:
        table[trait] = [trait_of(model, trait) for model in table["model"]]
    return table


def _with_intervals(
    table: pd.DataFrame,
    folds: pd.DataFrame,
    method: str | None,
    predictions: Callable[[str, str], pd.DataFrame],
    patients: Patients,
) -> pd.DataFrame:
    """``table`` with the three columns of every metric's interval; ``folds`` are grouped in the order of its rows."""
    if method is None:
        return table.assign(**_no_intervals())
    if method == "groups":
        return _bootstrapped(table, predictions, patients)
    units = folds if method in FOLD_METHODS else _whole_rounds(folds, table)
    groups = units.groupby(["experiment", "model"], sort=False)[list(METRICS)]
    names = pd.MultiIndex.from_frame(table[["experiment", "model"]])
    deviations, known = groups.std().reindex(names), groups.count().reindex(names, fill_value=0)
    share = 1 / table["per_round"].to_numpy()
    for metric in METRICS:
        over = method if method in FOLD_METHODS else "t"
        half = half_width(deviations[metric].to_numpy(), known[metric].to_numpy(), over, share)
        _, table[f"{metric}_low"], table[f"{metric}_high"] = bounds(table[metric].to_numpy(), half)
        table[f"{metric}_pm"] = half
    return table


def _whole_rounds(folds: pd.DataFrame, table: pd.DataFrame) -> pd.DataFrame:
    """Mean scores of the rounds that are whole, as ``intervals.round_half_width`` takes them."""
    rounds = folds.groupby(["experiment", "model", "round"], sort=False)
    whole = table.set_index(["experiment", "model"])["per_round"].rename("whole")
    counted = (
        rounds[list(METRICS)].mean().assign(folds=rounds.size()).reset_index().join(whole, ["experiment", "model"])
    )
    return counted[counted["folds"] == counted["whole"]]


def _no_intervals() -> dict[str, float]:
    return {f"{metric}_{end}": np.nan for metric in METRICS for end in ("low", "high", "pm")}


def _reader(store: ResultsStore) -> Callable[[str, str], pd.DataFrame]:
    """Predictions of an experiment's network; an experiment is read at once, in a tenth of the time."""

    @lru_cache(maxsize=1)
    def of_experiment(experiment: str) -> dict[str, pd.DataFrame]:
        return by_network(store.predictions(experiment))

    return lambda experiment, model: of_experiment(experiment).get(model, pd.DataFrame())


def by_network(predictions: pd.DataFrame) -> dict[str, pd.DataFrame]:
    """Rows of each ``model``, in the order of their names."""
    return {str(name): part for name, part in predictions.groupby("model", observed=True)}


def _bootstrapped(
    table: pd.DataFrame, predictions: Callable[[str, str], pd.DataFrame], patients: Patients
) -> pd.DataFrame:
    weights: dict[int, np.ndarray] = {}
    found = {name: [np.nan] * len(table) for name in _no_intervals()} | {"drawn": [pd.NA] * len(table)}
    for position, row in enumerate(table.itertuples()):
        predicted = predictions(row.experiment, row.model)
        if predicted.empty:
            continue
        of_slice = patients.get(row.digest)
        groups = groups_of(predicted["slice"], of_slice)
        counts = group_counts(predicted["label"], predicted["probability"], groups)
        if len(counts) not in weights:  # networks of one experiment share their slices, and so the draws
            weights[len(counts)] = draw_groups(len(counts))
        found["drawn"][position] = "slices" if of_slice is None else "patients"
        for metric, (_, low, high) in bootstrap_scores(counts, weights[len(counts)]).items():
            ends = {"low": low, "high": high, "pm": (high - low) / 2}
            for end, value in ends.items():
                found[f"{metric}_{end}"][position] = value
    return table.assign(**found)


def folds_a_round(protocol: dict[str, Any]) -> int:
    """Folds of one cross-validation; results imported from elsewhere may not say, and get the study's."""
    folds = whole_number(protocol.get("folds"))
    return folds if folds is not None and folds >= 2 else STUDY.folds


def trait_of(model: str, trait: str) -> str:
    """One of ``TRAITS`` of a network; one that is not in the zoo, imported from elsewhere, still has its row."""
    spec = zoo.ALL.get(model)
    return getattr(spec, trait) if spec else {"backbone": model, "variant": "base", "family": "other"}[trait]
