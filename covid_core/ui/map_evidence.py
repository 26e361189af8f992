"""Evaluations of maps as the page reads them from the store; imports no deep-learning library."""

from __future__ import annotations

import json

import pandas as pd
import streamlit as st

from covid_core.explain import verdict
from covid_core.explain.evaluation import JUDGED, KIND, MEASURES
from covid_core.explain.method_names import METHODS
from covid_core.results.intervals import interval_text
from covid_core.settings import Settings
from covid_core.ui.results import results_store

BEATS = {
    verdict.BOTH: "both",
    verdict.ONLY_RANDOM: "random maps only",
    verdict.ONLY_CENTRED: "the Gaussian only",
    verdict.NEITHER: "neither",
    verdict.WORSE: "worse than both",
    verdict.UNKNOWN: "—",
}
SANITY = {
    "subject": "Network",
    "probability": "Probability",
    "blurred probability": "… of the blurred slice",
    "randomised rank": "Rank correlation with random weights",
    "randomised ssim": "SSIM with random weights",
    "fold rank": "Rank correlation between folds",
}


def evaluations() -> dict[str, pd.DataFrame]:
    """Studies that can be compared, the data set's name for people to their rows in the store.

    Studies of one data set and one setting belong together, one a network. Of a network that was trained again only the
    study with the most measures stays.

    Raises:
        StoreError: The store cannot be read.
    """
    studies = results_store().studies(KIND)
    studies = studies[studies["measured"] > 0]
    if studies.empty:
        return {}
    studies = studies.assign(network=studies["networks"].map(lambda text: next(iter(json.loads(text)))))
    groups = {}
    for _, group in studies.groupby(["dataset_digest", "settings"], sort=False):
        kept = group.sort_values("measured", ascending=False).drop_duplicates("network").sort_values("network")
        settings = json.loads(kept["settings"].iloc[0])
        lesions = "lesions drawn" if settings["lesions"] else "no lesions drawn"
        label = f"{kept['dataset'].iloc[0]} · {lesions}"
        groups[label if label not in groups else f"{label} · {kept['id'].iloc[0][:6]}"] = kept
    return groups


def measures_of(studies: pd.DataFrame) -> pd.DataFrame:
    """Measures of every slice, read once for each state of the store.

    Raises:
        StoreError: The store cannot be read.
    """
    store = results_store()
    return _measures(store, Settings.from_environment().store_url, store.studies_revision(), tuple(studies["id"]))


def summaries(studies: pd.DataFrame) -> tuple[pd.DataFrame, pd.DataFrame]:
    """``verdict.summary`` and ``verdict.null_summary``, computed once for each state of the store.

    Args:
        studies: As ``evaluations`` gives them.

    Raises:
        StoreError: The store cannot be read.
    """
    store = results_store()
    return _summaries(store, Settings.from_environment().store_url, store.studies_revision(), tuple(studies["id"]))


def overview(rows: pd.DataFrame) -> pd.DataFrame:
    """One row a network and method, one column a judged measure: which controls it beats.

    Args:
        rows: As ``verdict.summary`` gives them.
    """
    judged = rows[rows["measure"].isin(JUDGED)]
    table = judged.assign(
        Network=judged["subject"],
        Method=judged["method"].map(METHODS),
        cell=judged["beats"].map(BEATS),
        column=judged["measure"].map(lambda name: MEASURES[name].label),
    ).pivot(index=["Network", "Method"], columns="column", values="cell")
    order = [one.label for one in MEASURES.values() if one.label in table.columns]
    return in_order(table[order].reset_index().fillna("—"))


def numbers(rows: pd.DataFrame, name: str) -> pd.DataFrame:
    """One row a network and method: the measure beside its controls on the same slices, as texts.

    Args:
        rows: As ``verdict.summary`` gives them.
        name: A measure out of ``MEASURES``.
    """
    of = rows[rows["measure"] == name]
    table = pd.DataFrame(
        {
            "Network": of["subject"],
            "Method": of["method"].map(METHODS),
            "Map": [interval_text(*row) for row in zip(of["mean"], of["low"], of["high"], strict=True)],
            "Random maps": of["random"].map("{:.3f}".format),
            "Gaussian": of["centred"].map("{:.3f}".format),
            "Better than": of["beats"].map(BEATS) if MEASURES[name].judged else "not judged",
            "Slices": of["slices"],
            "Counted": of["groups"],
        }
    )
    return in_order(table)


def gain_rows(rows: pd.DataFrame, name: str) -> pd.DataFrame:
    """The same as ``charts.evidence.gains`` takes it."""
    of = rows[rows["measure"] == name].sort_values(["subject", "method"], key=_rank, kind="stable")
    parts = [
        pd.DataFrame(
            {
                "label": of["subject"] + " · " + of["method"].map(METHODS),
                "control": text,
                "gain": of[f"{control}_gain"],
                "low": of[f"{control}_gain_low"],
                "high": of[f"{control}_gain_high"],
            }
        )
        for control, text in verdict.CONTROLS.items()
    ]
    return pd.concat(parts, ignore_index=True)


def null_rows(nulls: pd.DataFrame) -> pd.DataFrame:
    """Maps that must not beat the controls, as texts.

    Args:
        nulls: As ``verdict.null_summary`` gives them.
    """
    nulls = nulls[nulls["measure"].isin(JUDGED)]
    return pd.DataFrame(
        {
            "Network": nulls["subject"],
            "Map": nulls["null"].map(verdict.NULLS),
            "Measure": nulls["measure"].map(lambda name: MEASURES[name].label),
            "Seeds": nulls["seeds"],
            "Beating both alone": nulls["seeds_beating"],
            **{
                f"Gain on {text}": [
                    interval_text(*row, signed=True)
                    for row in zip(*(nulls[f"{control}_gain{bound}"] for bound in ("", "_low", "_high")), strict=True)
                ]
                for control, text in verdict.CONTROLS.items()
            },
            "Beats": nulls["beats"].map(BEATS),
        }
    )


def sanity_rows(measures: pd.DataFrame) -> pd.DataFrame:
    """What has to be known about slices and networks before a measure means anything, one row a network.

    Args:
        measures: As ``measures_of`` gives them.
    """
    return verdict.sanity(measures).rename(columns=SANITY).round(3)


def trained_on(studies: pd.DataFrame) -> dict[str, tuple[str, int]]:
    """Network to the name of the data set that it was trained on and the size of its slices in pixels.

    Args:
        studies: As ``evaluations`` gives them.
    """
    return {
        row.network: (json.loads(row.networks)[row.network]["dataset"], json.loads(row.transform)["size"])
        for row in studies.itertuples()
    }


def in_order(table: pd.DataFrame) -> pd.DataFrame:
    """By network, then in the order of ``METHODS``."""
    by_label = {label: position for position, label in enumerate(METHODS.values())}
    return table.sort_values(
        ["Network", "Method"], key=lambda column: column.map(by_label) if column.name == "Method" else column
    ).reset_index(drop=True)


def _rank(column: pd.Series) -> pd.Series:
    return column.map({name: position for position, name in enumerate(METHODS)}) if column.name == "method" else column


@st.cache_data(max_entries=4, show_spinner=False)
def _measures(_store, url: str, revision: int, ids: tuple[str, ...]) -> pd.DataFrame:
    return pd.concat([_store.measures(study) for study in ids], ignore_index=True)


# Keyed by where the measures come from, not by the measures: to hash them takes long, and of many rows Streamlit would
# hash a sample only.
@st.cache_data(max_entries=8, show_spinner=False)
def _summaries(_store, url: str, revision: int, ids: tuple[str, ...]) -> tuple[pd.DataFrame, pd.DataFrame]:
    measures = _measures(_store, url, revision, ids)
    return verdict.summary(measures), verdict.null_summary(measures)
