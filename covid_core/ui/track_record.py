"""What a network's answers have been worth so far, to stand beside every new one."""

from __future__ import annotations

import pandas as pd
import streamlit as st

from covid_core.models.library import Card
from covid_core.results.calibration import alike_answers
from covid_core.results.intervals import Interval, interval_text, share_interval
from covid_core.ui.errors import plain
from covid_core.ui.external import tests_by_data
from covid_core.ui.one_network import Asked, answers_of
from covid_core.ui.results import results_store
from covid_core.ui.tables import probability_text

COLUMNS = ["Slices", "Accuracy", "Sensitivity", "Specificity", "Always naming the larger class"]


def draw_track_record(card: Card, probability: float) -> None:
    """Draw these weights' scores on their own held-out fold and elsewhere, and how often such an answer was right.

    Args:
        card: The network's.
        probability: What it says now: of the positive class, 0-1.

    Raises:
        StoreError: The store or a file of patients cannot be read.
    """
    positive = card.classes[-1]
    elsewhere = _elsewhere(card)
    rows = [_own_row(card), *(_row(name, row) for name, row in elsewhere)]
    st.markdown("**What its answers have been worth**")
    st.table(pd.DataFrame(rows, columns=["", *COLUMNS]).set_index(""))
    said = [_alike(card, positive, probability)]
    if not elsewhere:
        said.append("It has **not been tested on slices from elsewhere**: what it is worth there is not known.")
    elif all(row["accuracy_low"] <= row["majority"] for _, row in elsewhere):
        said.append(
            "On slices from elsewhere it is **not shown to be better than always naming the larger class**, and an "
            "uploaded slice is likely to be one."
        )
    said.append(
        "Intervals of the own fold take slices as independent and are too narrow: those of one patient are alike."
    )
    st.caption(" ".join(one for one in said if one))


def _own_row(card: Card) -> tuple[str, ...]:
    tp, fp, tn, fn = card.counts
    larger = max(tp + fn, tn + fp) / sum(card.counts)
    shares = [(tp + tn, sum(card.counts)), (tp, tp + fn), (tn, tn + fp)]
    texts = [interval_text(*share_interval(*share)) for share in shares]
    return (f"Own held-out fold of {plain(card.dataset)}", str(sum(card.counts)), *texts, f"{larger:.3f}")


def _row(name: str, row: pd.Series) -> tuple[str, ...]:
    scores = [
        Interval(*(row[f"{metric}{end}"] for end in ("", "_low", "_high")))
        for metric in ("accuracy", "sensitivity", "specificity")
    ]
    texts = [interval_text(*score) for score in scores]
    return (f"Elsewhere: {plain(name)}", str(row["slices"]), *texts, f"{row['majority']:.3f}")


def _elsewhere(card: Card) -> list[tuple[str, pd.Series]]:
    """External tests of these very weights: name of the data set and row."""
    return [
        (row["dataset"], row)
        for table in tests_by_data().values()
        for _, row in table[table["sha256"] == card.sha256].iterrows()
    ]


def _alike(card: Card, positive: str, probability: float) -> str:
    """How many slices of the own fold were positive where the network said nearly the same."""
    if card.experiment not in set(results_store().experiments()["id"]):
        return ""
    rows = answers_of(Asked(card.model, card.experiment)).rows
    rows = rows[(rows["round"] == card.round) & (rows["fold"] == card.fold)]
    if rows.empty:
        return ""
    alike = alike_answers(rows, probability)
    return (
        f"Of the {alike.slices} held-out slices with the most similar probabilities of {plain(positive)} "
        f"({probability_text(alike.lowest)} to {probability_text(alike.highest)}), **{alike.positives} were "
        f"{plain(positive)}**: {interval_text(*alike.share, digits=2)}. That holds for slices of the same source."
    )
