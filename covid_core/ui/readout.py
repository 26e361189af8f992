"""Where in a network the decision appears, drawn from the store; imports no deep-learning library."""

from __future__ import annotations

import pandas as pd
import streamlit as st

from covid_core.charts.readout import readout_curves
from covid_core.errors import CovidCoreError
from covid_core.results.readouts import RANDOM, TRAINED, parts_from, readout_studies, readout_table
from covid_core.settings import Settings
from covid_core.ui.choices import choose
from covid_core.ui.errors import error_box, plain
from covid_core.ui.results import results_store

SCORES = {"Accuracy": "accuracy", "Area under the ROC curve": "auc"}
NAMES = {TRAINED: "Trained", RANDOM: "Random weights"}


def command(network_name: str) -> str:
    """What measures the curve of a network."""
    return f"python -m covid_core.explain.linear_readout --dataset FOLDER --networks {network_name}"


def draw_readout(network_name: str, sha256: str | None = None) -> None:
    """Draw how well a linear read-out of each layer separates the classes, or the command that measures it.

    Args:
        network_name: Name from the zoo.
        sha256: Checksum of the weights on the page; where the curve is of other weights, that is said. None if it does
            not matter.
    """
    try:
        study, table = _newest(network_name, sha256)
    except CovidCoreError as error:
        error_box(error)
        return
    if study is None or table.empty:
        st.info(
            f"Where the decision appears has not been measured for {network_name} yet. One command reads the classes "
            "out of each of its layers, on the data set that it was trained on; it goes on where it was stopped:",
            icon=":material/info:",
        )
        st.code(command(network_name), language="bash")
        return
    score = choose(st.segmented_control, "Score", list(SCORES), "readout_score", default="Accuracy", required=True)
    points = _points(table, SCORES[score])
    if SCORES[score] == "accuracy":
        chance = (float(table["majority"].max()), "always the larger class")
    else:
        chance = (0.5, "guessing")
    st.altair_chart(
        readout_curves(points, score, chance),
        key="readout",
        alt=f"{score} of a linear read-out over the layers of {network_name}, trained and with random weights",
    )
    for line in _captions(study, table, sha256):
        st.caption(line)


def _newest(network_name: str, sha256: str | None) -> tuple[pd.Series | None, pd.DataFrame]:
    """The study to draw and its table: of these weights if there is one, else of others of the network."""
    store = results_store()
    studies = readout_studies(store)
    studies = studies[studies["network"] == network_name]
    if (studies["sha256"] == sha256).any():
        studies = studies[studies["sha256"] == sha256]
    if studies.empty:
        return None, pd.DataFrame()
    study = studies.iloc[-1]
    return study, _table(store, Settings.from_environment().store_url, store.studies_revision(), study["id"])


@st.cache_data(max_entries=8, show_spinner=False)
def _table(_store, url: str, revision: int, study_id: str) -> pd.DataFrame:
    return readout_table(_store, study_id)


def _points(table: pd.DataFrame, score: str) -> pd.DataFrame:
    """``readout_table`` as the chart takes it; only an accuracy has an interval."""
    bounds = table[["low", "high"]] if score == "accuracy" else table[["low", "high"]] * float("nan")
    return (
        table[["number", "layer", "channels"]]
        .assign(curve=table["weights"].map(NAMES), score=table[score])
        .join(bounds)
    )


def _captions(study: pd.Series, table: pd.DataFrame, sha256: str | None) -> list[str]:
    """What has to be said about the curves, in words; Markdown."""
    lines = []
    if sha256 is not None and study["sha256"] != sha256:
        lines.append(
            f"Measured on other weights of this network: round {study['round']}, fold {study['fold']}, "
            f"{study['size']} px."
        )
    if pd.isna(study["finished"]):
        lines.append(f"Not finished: {len(table)} layers are measured. The same command goes on.")
    lines.append(
        f"Each layer's maps are averaged over all places, one number a channel. A logistic regression on these numbers "
        f"is fitted on {study['fit']} slices of {plain(study['dataset'])} that the network was trained on, and scored "
        f"on {study['held_out']} that it was not. Layer 1 is the input: its mean grey value alone. Random weights are "
        "the same architecture before training (one draw): the distance between the curves is what training adds. "
        + ("" if pd.isna(study["finished"]) else _parting(table))  # nothing is concluded from half a curve
    )
    lines.append(
        "Read the shape over depth, not the level. "
        + (
            "No patient stands on both sides of the split, but slices of one patient are not independent: the band "
            "(Wilson, 95 %) is too narrow. "
            if study["split"] == "group"
            else "Folds split slices, so neighbouring slices of one patient stand on both sides: the level is "
            "optimistic and the band (Wilson, 95 %) too narrow. "
        )
        + "A read-out finds what can be read linearly; it does not show that the network uses it. Where a layer "
        "squeezes many channels into a few, there is less to read from, and the curve dips."
    )
    if not table["converged"].all():
        lines.append(f"{int((~table['converged']).sum())} of {len(table)} read-outs did not converge.")
    return lines


def _parting(table: pd.DataFrame) -> str:
    apart = parts_from(table)
    if apart is None:
        return (
            "At the last layer the trained network's interval of the accuracy does not lie above that of random "
            "weights."
        )
    name = table.loc[table["number"] == apart, "layer"].iloc[0]
    return (
        f"From layer {apart} ({plain(name)}) to the last one the trained network's interval of the accuracy lies above "
        "that of random weights."
    )
