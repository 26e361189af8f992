"""External tests as a page shows them; imports no deep-learning library."""

from __future__ import annotations

import pandas as pd
import streamlit as st

from covid_core.results import external_tests
from covid_core.results.intervals import interval_text
from covid_core.results.metrics import METRIC_LABELS, METRICS
from covid_core.settings import Settings
from covid_core.ui.results import results_store


def tests_by_data() -> dict[str, pd.DataFrame]:
    """Rows of ``external_tests.external_table`` by a name for their data set, the one tested last first.

    A column ``label`` tells the rows of one data set apart.

    Raises:
        StoreError: The store cannot be read.
    """
    store = results_store()
    table = _table(store, Settings.from_environment().store_url, store.studies_revision())
    groups = {
        f"{name} · {part['slices'].iloc[0]} slices" + _patients(part["patients"].iloc[0]): part.assign(
            label=_labels(part)
        )
        for (name, _, _), part in table.groupby(["dataset", "slices", "patients"], dropna=False)
    }
    return dict(sorted(groups.items(), key=lambda item: item[1]["finished"].max(), reverse=True))


def answers_of(study_id: str) -> pd.DataFrame:
    """``external_tests.answers``.

    Raises:
        StoreError: The store cannot be read.
    """
    return external_tests.answers(results_store(), study_id)


def sentence(row: pd.Series) -> str:
    """What happened to one network, in words; Markdown."""
    fall = row["accuracy_change"]
    verb = "falls" if row["accuracy_change_high"] < 0 else "rises" if row["accuracy_change_low"] > 0 else "moves"
    said = (
        f"**{row['label']}**: accuracy {verb} from {row['accuracy_own']:.3f} to **{row['accuracy']:.3f}** "
        f"({fall:+.3f}; 95 % {row['accuracy_change_low']:+.3f} to {row['accuracy_change_high']:+.3f}). "
    )
    if pd.notna(row["specificity"]):
        said += f"Of 100 slices without COVID it calls {100 * (1 - row['specificity']):.0f} COVID; "
    if pd.notna(row["sensitivity"]):
        said += f"of 100 with COVID it misses {100 * (1 - row['sensitivity']):.0f}. "
    if row["accuracy_low"] > row["majority"]:
        return said + f"It is better than always naming the larger class, which is right for {row['majority']:.3f}."
    return said + f"It is not shown to be better than always naming the larger class ({row['majority']:.3f})."


def score_rows(table: pd.DataFrame) -> pd.DataFrame:
    """Every score of every row, as text: own fold, elsewhere, change."""
    rows = []
    for row in table.to_dict("records"):
        for metric in METRICS:
            own, there, change = (
                interval_text(*(row[f"{metric}{part}{end}"] for end in ("", "_low", "_high")), signed=signed)
                for part, signed in (("_own", False), ("", False), ("_change", True))
            )
            rows.append((row["label"], METRIC_LABELS[metric], own, there, change))
        areas = [interval_text(row[name], float("nan"), float("nan")) for name in ("auc_own", "auc")]
        change = interval_text(row["auc"] - row["auc_own"], float("nan"), float("nan"), signed=True)
        rows.append((row["label"], "AUC", *areas, change))
    return pd.DataFrame(rows, columns=["Network", "Score", "Own held-out fold", "Elsewhere", "Change"])


def _patients(count: object) -> str:
    return "" if pd.isna(count) else f" of {count} patients"


def _labels(part: pd.DataFrame) -> pd.Series:
    """Networks by name; with their fold, size and weights where a name stands there more than once."""
    labels = part["network"]
    for more in (
        " · round " + part["round"].astype("string") + ", fold " + part["fold"].astype("string"),
        " · " + part["size"].astype("string") + " px",
        " · " + part["sha256"].str[:6],
    ):
        labels = labels.where(~labels.duplicated(keep=False), labels + more)
    return labels


@st.cache_data(max_entries=4, show_spinner=False)
def _table(_store, url: str, revision: int) -> pd.DataFrame:
    return external_tests.external_table(_store)
