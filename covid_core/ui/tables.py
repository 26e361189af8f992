"""Frames of results as tables for readers."""

from __future__ import annotations

import json
from collections.abc import Sequence

import pandas as pd
import streamlit as st

from covid_core.models import zoo
from covid_core.results.leaderboard import groups_origin
from covid_core.results.metrics import METRIC_LABELS, METRICS

_BY_GROUP = {"patients": "by patient", "table": "by listed groups", "likeness": "by look-alikes"}


def row_labels(rows: pd.DataFrame) -> pd.Series:
    """A name for each row of a leaderboard that tells it from the others.

    Published rows are called by their network; measured ones add data set, size, rounds and folds, what a split by
    group keeps together, who is judged where that is not every slice, and the experiment where even that is the same.

    Args:
        rows: As ``results.leaderboard.leaderboard`` gives them.

    Returns:
        Unique texts, with the index of ``rows``.
    """
    texts = [
        name if row.source == "published" else f"{name} · {_facts(row)}"
        for name, row in zip(network_names(rows), rows.itertuples(), strict=True)
    ]
    labels = pd.Series(texts, rows.index, dtype="str")
    return labels.where(~labels.duplicated(keep=False), labels + " · " + rows["experiment"].str[:6])


def network_names(rows: pd.DataFrame) -> pd.Series:
    """What each row of a leaderboard is about; base and modified network together are their backbone's pair.

    Args:
        rows: As ``results.leaderboard.leaderboard`` gives them.
    """
    if rows["ensemble"].eq("").all():
        return rows["model"]
    pair = rows["members"] == rows["backbone"] + " + Modified-" + rows["backbone"]
    return rows["model"].where(~pair, rows["backbone"] + " pair, " + rows["ensemble"])


def in_zoo_order(models: Sequence[str]) -> list[str]:
    """Names of networks in the order of the tables; those from elsewhere stand at the end."""
    order = {name: position for position, name in enumerate(zoo.ALL)}
    return sorted(set(models), key=lambda name: (order.get(name, len(order)), name))


def split_text(split: str, groups: str) -> str:
    """What is kept apart between training and test, in words.

    Args:
        split: Of the experiment.
        groups: Where its groups come from, see ``results.leaderboard.leaderboard``.
    """
    return {"slice": "by slice", "group": _BY_GROUP.get(groups, "by group")}.get(split, split)


def case_text(cases: int, level: str) -> str:
    """``497 slices``; nothing where their number is not known.

    Args:
        cases: How many are tested in a round.
        level: What a case is, see ``results.computed.Computed``.
    """
    return "" if pd.isna(cases) else _number(cases, level)


def score_text(mean: float, half_width: float) -> str:
    """``0.9918 ± 0.0057``; the mean alone where there is no interval, nothing where there is no mean."""
    if pd.isna(mean):
        return ""
    return f"{mean:.4f}" if pd.isna(half_width) else f"{mean:.4f} ± {half_width:.4f}"


def probability_text(probability: float) -> str:
    """Four digits; never ``1.0000`` or ``0.0000``, which would claim a certainty that no network has."""
    if probability > 0.99995:
        return "> 0.9999"
    return "< 0.0001" if probability < 0.00005 else f"{probability:.4f}"


def leaderboard_table(rows: pd.DataFrame, metric: str) -> None:
    """Draw the leaderboard; a click on a header sorts.

    Scores are texts of fixed width, whose order as text is their order as numbers.

    Args:
        rows: As ``results.leaderboard.leaderboard`` gives them, in the order to show.
        metric: The score that stands first.
    """
    scores = [metric, *(name for name in METRICS if name != metric)]
    split = {"Split": [split_text(*pair) for pair in zip(rows["split"], rows["groups"], strict=True)]}
    differ = rows["split"].nunique() > 1  # then it stands where it is seen
    drawn = rows["drawn"].notna().any()
    ensembles, levels = rows["ensemble"].ne("").any(), rows["level"].ne("slice").any()
    table = pd.DataFrame(
        {
            "Network": network_names(rows),
            **(
                {"Judged": [case_text(*pair) for pair in zip(rows["cases"], rows["level"], strict=True)]}
                if levels
                else {}
            ),
            "Source": rows["source"],
            **(split if differ else {}),
            **({} if levels else {"Folds": rows["folds"]}),
            **{METRIC_LABELS[name]: [_score_cell(row, name) for row in rows.to_dict("records")] for name in scores},
            "Parameters": rows["parameters_millions"],
            "Data set": rows["dataset"],
            **split,
            "Size": rows["size"],
            "Rounds": rows["rounds"],
            **({"Folds": rows["folds"]} if levels else {}),  # who is judged needs its room
            "Epochs": rows["epochs"],
            "Family": rows["family"],
            "Variant": rows["variant"],
            **({"Members": rows["members"]} if ensembles else {}),
        }
    )
    text, number = st.column_config.TextColumn, st.column_config.NumberColumn
    st.dataframe(
        table,
        key="leaderboard",
        hide_index=True,
        height="auto" if len(table) <= 10 else 458,  # half a row more: there is something to scroll to
        column_config={
            "Network": text(pinned=True, width=190),
            "Judged": text(width=88, help="Cases tested in a round of cross-validation"),
            **{
                METRIC_LABELS[name]: text(
                    width=168 if drawn else 115, help="Mean over the folds ± half of its 95 % interval, or the interval"
                )
                for name in scores
            },
            "Parameters": number(format="%.1f M", width=98, help="Millions of weights, as published"),
            "Family": text(width=100),
            "Variant": text(width=85),
            "Source": text(width=86),
            "Size": number(format="%d px", width=70),
            "Rounds": number(width=70, help="Rounds of cross-validation with a finished fold"),
            "Folds": number(width=58, help="Finished folds over all rounds"),
            "Epochs": number(width=70),
            "Split": text(width=110, help="What is kept apart between training and test"),
        },
    )


def _score_cell(row: dict, metric: str) -> str:
    """A score with half its interval; with both ends where the halves differ, as drawn ones do, or one is cut off."""
    mean, half = row[metric], row[f"{metric}_pm"]
    lopsided = pd.notna(row["drawn"]) or not 0 <= mean - half <= mean + half <= 1
    if row["source"] == "published" or pd.isna(mean) or pd.isna(half) or not lopsided:
        return score_text(mean, half)
    return f"{mean:.4f} ({row[f'{metric}_low']:.3f} to {row[f'{metric}_high']:.3f})"


def split_table(gaps: pd.DataFrame, metric: str) -> None:
    """Draw networks measured under both splits, and what they lose.

    Args:
        gaps: As ``results.split_gap.split_gaps`` gives them, at least one row.
        metric: The score that is shown under both splits.
    """
    by_slice, by_group = (
        [score_text(*pair) for pair in zip(gaps[f"{metric}_{split}"], gaps[f"{metric}_pm_{split}"], strict=True)]
        for split in ("slice", "group")
    )
    table = pd.DataFrame(
        {
            "Network": gaps["model"],
            "By slice": by_slice,
            "By group": by_group,
            **{
                f"{METRIC_LABELS[name]} gap": gaps[f"{name}_gap"]
                for name in [metric, *(name for name in METRICS if name != metric)]
            },
            "Groups": [split_text("group", origin) for origin in gaps["groups"]],
            "Folds by slice": gaps["folds_slice"],
            "Folds by group": gaps["folds_group"],
            "Data set": gaps["dataset"],
            "Size": gaps["size"],
        }
    )
    number = st.column_config.NumberColumn
    st.dataframe(
        table,
        key="splits",
        hide_index=True,
        column_config={
            "Network": st.column_config.TextColumn(pinned=True, width=190),
            **{
                f"{METRIC_LABELS[name]} gap": number(format="%+.4f", help="Mean by slice minus mean by group")
                for name in METRICS
            },
            "Size": number(format="%d px", width=70),
        },
    )


def _facts(row) -> str:
    size = "" if pd.isna(row.size) else f"{row.size} px, "
    split = f", {split_text('group', row.groups)}" if row.split == "group" else ""
    judged = "" if row.level == "slice" else f", {case_text(row.cases, row.level)}"
    return f"{row.dataset}, {size}{_number(row.rounds, 'round')}, {_number(row.folds, 'fold')}{split}{judged}"


def _number(count: int, noun: str) -> str:
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"


def experiment_labels(experiments: pd.DataFrame) -> dict[str, str]:
    """A name for people for each experiment.

    Args:
        experiments: As ``ResultsStore.experiments`` gives them.

    Returns:
        Name to id, in the order of the rows; names end in the first digits of the id, which tells them apart.
    """
    labels = {}
    for row in experiments.itertuples():
        transform, protocol = json.loads(row.transform), json.loads(row.protocol)
        epochs, split = protocol.get("epochs"), split_text(row.split, groups_origin(protocol))
        size, packing = transform.get("size"), transform.get("packing")
        facts = [f"{size} px"] * (size is not None) + [f"{epochs} epochs"] * (epochs is not None)
        if isinstance(packing, dict):
            facts.append(f"WebP {packing.get('quality')}")
        labels[" · ".join([row.dataset or "unnamed data set", *facts, split, row.id[:6]])] = row.id
    return labels


def campaign_table(networks: pd.DataFrame) -> None:
    """Draw the networks of a campaign, as ``campaigns.CampaignState.networks`` has them."""
    number = st.column_config.NumberColumn
    st.dataframe(
        networks,
        key="campaign",
        hide_index=True,
        column_config={
            "network": st.column_config.TextColumn("Network", pinned=True),
            "done": number("Done"),
            "failed": number("Failed"),
            "left": number("Left", help="Of the rounds that have begun"),
            "seconds": number("Seconds a fold", format="%.1f", help="Training and testing, mean of the finished folds"),
            "images_per_second": number(
                "Slices a second", format="%.1f", help="Training slices, mean of the finished folds"
            ),
        },
    )


def hardware_table(hardware: pd.DataFrame) -> None:
    """Draw what the folds ran on, as ``campaigns.CampaignState.hardware`` has it."""
    text = st.column_config.TextColumn
    st.dataframe(
        hardware,
        key="hardware",
        hide_index=True,
        column_config={
            "device": text("Device"),
            "backend": text("Backend"),
            "precision": text("Precision"),
            "versions": text("Versions"),
            "folds": st.column_config.NumberColumn("Folds"),
        },
    )
