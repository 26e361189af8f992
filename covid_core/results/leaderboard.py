"""Published and measured networks in one table."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pandas as pd

from covid_core.models import zoo
from covid_core.results.intervals import bounds, half_width
from covid_core.results.metrics import METRICS
from covid_core.results.published import STUDY
from covid_core.results.store import ResultsStore, whole_number

DESCRIPTION = [
    *("source", "experiment", "model", "backbone", "variant", "family", "parameters_millions"),
    *("dataset", "size", "split", "groups", "rounds", "folds", "epochs", "images_per_second"),
]
SCORES = [column for metric in METRICS for column in (metric, f"{metric}_low", f"{metric}_high", f"{metric}_pm")]
COLUMNS = [*DESCRIPTION, *SCORES, "auc"]

_COUNTS = ["size", "rounds", "folds", "epochs"]


def leaderboard(store: ResultsStore, method: str = "corrected") -> pd.DataFrame:
    """One row a network and experiment, the highest sensitivity first.

    Means and intervals of measured rows run over all finished folds of all rounds. Published rows keep the interval
    that was printed, whatever ``method`` says.

    Args:
        store: Where the results are.
        method: How measured intervals are computed, one of ``intervals.METHODS``.

    Returns:
        ``source`` (``"published"`` or ``"measured"``), ``experiment`` (id, ``"published"`` for published rows),
        ``model``, ``backbone``, ``variant``, ``family``, ``parameters_millions`` (as published, NaN for networks
        outside the study), ``dataset``, ``size`` (pixels), ``split``, ``groups`` (what a split by group keeps together:
        ``"patients"`` of the data set, or the origin of other groups; empty for a split by slice), ``rounds`` (distinct
        rounds with a finished fold), ``folds`` (finished folds), ``epochs``, ``images_per_second`` (mean); for each of
        ``METRICS`` the mean, ``_low`` and ``_high`` inside 0-1, and ``_pm``, the half-width before it is cut off at 0
        and 1; ``auc`` (mean). NaN where unknown: speed and AUC of published rows, intervals of a single fold.

    Raises:
        StoreError: The store cannot be read.
        ValueError: Unknown method.
    """
    published = store.published()
    rows = [_published(published)]
    folds = store.folds()
    if len(folds):
        rows.append(_measured(folds, published, method))
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
        auc=np.nan,
    )
    table[_COUNTS] = table[_COUNTS].astype("Int64")
    for metric in METRICS:
        _, table[f"{metric}_low"], table[f"{metric}_high"] = bounds(table[metric], table[f"{metric}_pm"])
    return table


def _measured(folds: pd.DataFrame, published: pd.DataFrame, method: str) -> pd.DataFrame:
    groups = folds.groupby(["experiment", "model"], sort=False)
    table = groups.agg(
        dataset=("dataset", "first"),
        size=("size", "first"),
        split=("split", "first"),
        protocol=("protocol", "first"),
        rounds=("round", "nunique"),
        folds=("fold", "size"),
        images_per_second=("images_per_second", "mean"),
        auc=("auc", "mean"),
    ).reset_index()
    means, deviations, known = (getattr(groups[list(METRICS)], name)() for name in ("mean", "std", "count"))
    protocols = {text: json.loads(text) for text in table["protocol"].unique()}
    test_share = table["protocol"].map({text: _test_share(protocol) for text, protocol in protocols.items()}).to_numpy()
    for metric in METRICS:
        half = half_width(deviations[metric].to_numpy(), known[metric].to_numpy(), method, test_share)
        table[metric], table[f"{metric}_low"], table[f"{metric}_high"] = bounds(means[metric].to_numpy(), half)
        table[f"{metric}_pm"] = half
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


def _test_share(protocol: dict[str, Any]) -> float:
    """Share of the slices in a test fold; results imported from elsewhere may not say, and get the study's."""
    folds = whole_number(protocol.get("folds"))
    return 1 / (folds if folds is not None and folds >= 2 else STUDY.folds)


def _trait(model: str, trait: str) -> str:
    """A network that is not in the zoo, imported from elsewhere, still has its row."""
    spec = zoo.ALL.get(model)
    return getattr(spec, trait) if spec else {"backbone": model, "variant": "base", "family": "other"}[trait]
