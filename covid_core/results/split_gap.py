"""What a network loses when no patient stands on both sides of a fold: split by slice against split by group."""

from __future__ import annotations

import json

import pandas as pd

from covid_core.results.metrics import METRICS

SPLITS = ("slice", "group")
COLUMNS = [
    *("model", "family", "dataset", "size", "groups"),
    *(f"{name}_{split}" for name in ("experiment", "folds") for split in SPLITS),
    *(f"{metric}{suffix}_{split}" for metric in METRICS for split in SPLITS for suffix in ("", "_pm")),
    *(f"{metric}_gap" for metric in METRICS),
]


def split_gaps(rows: pd.DataFrame, experiments: pd.DataFrame) -> pd.DataFrame:
    """Networks measured under both splits of one data set, everything else alike.

    Args:
        rows: As ``leaderboard.leaderboard`` gives them.
        experiments: As ``ResultsStore.experiments`` gives them.

    Returns:
        One row a network and pair of experiments, the largest gap in sensitivity first: ``model``, ``family``,
        ``dataset``, ``size``, ``groups`` (see ``leaderboard``), ``experiment_slice`` and ``experiment_group``,
        ``folds_slice`` and ``folds_group``; for each of ``METRICS`` the means ``_slice`` and ``_group``, their
        half-widths ``_pm_slice`` and ``_pm_group``, and ``_gap``: mean by slice minus mean by group. The folds of the
        two splits are not the same slices, so gaps are no paired differences.
    """
    if set(SPLITS) - set(experiments["split"]):  # the usual case, at the cost of a look
        return pd.DataFrame(columns=COLUMNS)
    alike = {row.id: _all_but_split(row) for row in experiments.itertuples()}
    measured = rows[rows["experiment"].isin(alike)]
    measured = measured.assign(alike=measured["experiment"].map(alike))
    by_slice, by_group = (measured[measured["split"] == split] for split in SPLITS)
    if by_slice.empty or by_group.empty:
        return pd.DataFrame(columns=COLUMNS)
    values = ["experiment", "folds", *(f"{metric}{suffix}" for metric in METRICS for suffix in ("", "_pm"))]
    table = by_slice[["model", "alike", *values]].merge(
        by_group[["model", "alike", "family", "dataset", "size", "groups", *values]],
        on=["model", "alike"],
        suffixes=[f"_{split}" for split in SPLITS],
    )
    for metric in METRICS:
        table[f"{metric}_gap"] = table[f"{metric}_slice"] - table[f"{metric}_group"]
    return table[COLUMNS].sort_values(["sensitivity_gap", "model"], ascending=[False, True], ignore_index=True)


def _all_but_split(experiment) -> str:
    """What two experiments that differ in their split alone have in common."""
    protocol = json.loads(experiment.protocol)
    protocol.pop("groups", None)
    return json.dumps([experiment.dataset_digest, json.loads(experiment.transform), protocol], sort_keys=True)
